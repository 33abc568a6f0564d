"""What the processes are called, and what they may have of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import ChangeNeeds, option
from greenwsgi.options.value_kinds import INTEGER, PATHS, TEXT


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """Names, priority and shares of the machine"""

    procname: str = option(
        "procname",
        metavar="NAME",
        kind=TEXT,
        default="",
        help="What the processes are called, in place of greenwsgi and what each one is.",
    )
    procname_master: str = option(
        "procname-master",
        metavar="NAME",
        kind=TEXT,
        default="",
        help="What the master is called.",
        reload=ChangeNeeds.RESTART,
    )
    procname_prefix: str = option(
        "procname-prefix",
        kind=TEXT,
        default="",
        help="What the processes' names begin with.",
    )
    procname_prefix_spaced: str = option(
        "procname-prefix-spaced",
        kind=TEXT,
        default="",
        help="What they begin with, before a space.",
    )
    procname_append: str = option(
        "procname-append",
        kind=TEXT,
        default="",
        help="What they end with.",
    )
    cpu_affinity: int = option(
        "cpu-affinity",
        kind=INTEGER,
        default=0,
        help="Bind each worker to so many CPUs, each to the next ones; 0 leaves it to the kernel. On Linux.",
    )
    prio: int = option(
        "prio",
        kind=INTEGER,
        default=0,
        least=-20,
        most=19,
        help="The processes' nice value; below 0 takes root.",
        reload=ChangeNeeds.RESTART,
    )
    limit_as: int = option(
        "limit-as",
        metavar="MB",
        kind=INTEGER,
        default=0,
        help="How large the address space of a process may be, in megabytes; 0 leaves it as it is.",
        reload=ChangeNeeds.RESTART,
    )
    limit_nproc: int = option(
        "limit-nproc",
        kind=INTEGER,
        default=0,
        help="How many processes and threads the user may have; 0 leaves it as it is.",
        reload=ChangeNeeds.RESTART,
    )
    max_fd: int = option(
        "max-fd",
        kind=INTEGER,
        default=0,
        help="How many descriptors a process may have, more than now only as root; 0: as many as it is allowed.",
        reload=ChangeNeeds.RESTART,
    )
    add_gid: tuple[str, ...] = option(
        "add-gid",
        metavar="GROUP",
        kind=PATHS,
        default=(),
        help="A group, by name or number, that the processes have besides. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )
