"""The share of the machine that a process may have: limits, priority, CPUs."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable

from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.table.machine import MachineOptions


def limit(options: MachineOptions, warn: Callable[[str], None]) -> None:
    """Limit this process, and all that it will start. Raises UsageError for what we may not set.

    More descriptors than there may be are as many as there may be, with a warning: files for uWSGI ask for them freely.
    """
    wanted = (
        ("limit-as", resource.RLIMIT_AS, options.limit_as << 20),
        ("limit-nproc", resource.RLIMIT_NPROC, options.limit_nproc),
    )
    for name, kind, most in wanted:
        if most:
            try:
                resource.setrlimit(kind, (most, most))
            except (OSError, ValueError):
                _, allowed = resource.getrlimit(kind)
                raise UsageError(f"{name}: only root may have more than {allowed}", Origin(name)) from None
    if options.max_fd:
        _limit_descriptors(options.max_fd, warn)
    if options.prio:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, options.prio)
        except PermissionError:
            raise UsageError(f"prio {options.prio}: only root may go below what it is now", Origin("prio")) from None


def _limit_descriptors(most: int, warn: Callable[[str], None]) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError):
        _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
        warn(f"max-fd {most}: this is more than may be had; it is {allowed}")


def bind(number: int, count: int) -> None:
    """Bind this process, worker `number`, to `count` of the CPUs that it may use, after those of the workers before."""
    if count and hasattr(os, "sched_setaffinity"):
        every = sorted(os.sched_getaffinity(0))
        first = (number - 1) * count
        os.sched_setaffinity(0, {every[(first + index) % len(every)] for index in range(min(count, len(every)))})
