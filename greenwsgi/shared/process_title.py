"""What `ps` shows of a process."""

from __future__ import annotations

from contextlib import suppress

from greenwsgi.options.table.machine import MachineOptions


def show(title: str, options: MachineOptions) -> None:
    """Show `greenwsgi TITLE`, or what the options want; without setproctitle, what the system shows by itself."""
    with suppress(ImportError):
        import setproctitle

        setproctitle.setproctitle(named(title, options))


def named(title: str, options: MachineOptions) -> str:
    """The name of the process that is `title`, which begins with its part: master, zygote, worker."""
    own = options.procname_master if title == "master" else ""
    prefix = options.procname_prefix_spaced and f"{options.procname_prefix_spaced} "
    return (
        options.procname_prefix + prefix + (own or options.procname or f"greenwsgi {title}") + options.procname_append
    )
