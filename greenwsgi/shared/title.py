"""What `ps` shows of a process."""

from __future__ import annotations

from contextlib import suppress


def show(title: str) -> None:
    """Show `greenwsgi TITLE`; where setproctitle is missing, whatever the system shows by itself."""
    with suppress(ImportError):
        import setproctitle

        setproctitle.setproctitle(f"greenwsgi {title}")
