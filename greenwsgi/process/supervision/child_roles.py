"""The roles of the master's child processes: when a child is started, started again, and told to leave.

Zygotes and workers belong to generations. `plan` has the rules by which generations replace each other; how long their
processes may take is in ZYGOTE_ROLE and WORKER_ROLE.

All other children belong to the server. SERVER_CHILDREN has one row for each of their roles, which also finds in the
settings what children there are to be; `plan` keeps them running by the facts of their role alone. Their state is in
the fleet, with a copy of these facts. So it goes over a re-exec, and a master that has no such role ends them properly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from signal import SIGTERM, Signals

from greenwsgi.config.settings import Settings


class StartsWhen(Enum):
    """When a child is started for the first time."""

    WITH_GENERATION = "with each generation"
    BEFORE_WORKERS = "before the first generation"
    AFTER_READY = "when the first generation serves"


class StopsWhen(Enum):
    """When a child is told to leave while the server stops."""

    BEFORE_WORKERS = "first; the workers serve until it has ended"
    WITH_WORKERS = "together with the workers"
    AFTER_WORKERS = "when the workers have ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRole:
    """What is the same for all children of one kind."""

    name: str
    starts: StartsWhen = StartsWhen.AFTER_READY
    restarts: bool = True
    """Whether it is started again when it ends by itself."""
    longest_backoff: float = 30.0
    """Most seconds until it is started again, when it dies quickly again and again before it was ready."""
    longest_after_ready: float = 30.0
    """The same if it had been ready. Only workers report that."""
    stop_signal: Signals = SIGTERM
    """What tells it to leave; a zygote leaves at the end of file on its command pipe."""
    mercy: float = 10.0
    """Seconds that it may take to leave, then it gets SIGKILL."""
    stops: StopsWhen = StopsWhen.AFTER_WORKERS
    survives_reload: bool = True
    """Whether it stays when another generation serves. Otherwise it leaves, and another one is started."""
    survives_reexec: bool = True
    """Whether it stays when the master is executed again. Otherwise it leaves, and another one is started."""


@dataclass(frozen=True, slots=True)
class ChildProgram:
    """One child that the settings ask for."""

    name: str
    """Its name in the log, unlike that of any other of its role."""
    arguments: list[str]
    """The program, which is looked for on PATH, and its arguments."""
    environment: dict[str, str] | None = None
    """The master's own if None."""


@dataclass(frozen=True, slots=True)
class ServerChildren:
    """One row: a role, and its children by the settings of the generation that serves."""

    role: ChildRole
    programs: Callable[[Settings], Iterable[ChildProgram]]


ZYGOTE_ROLE = ChildRole(
    name="zygote",
    starts=StartsWhen.WITH_GENERATION,
    mercy=10.0,  # also to fork a worker that makes itself heard, and to report the death of one that was killed
    survives_reload=False,
)

WORKER_ROLE = ChildRole(
    name="worker",
    starts=StartsWhen.WITH_GENERATION,
    # The application of a worker that was ready works, so a request ended it. While no worker is started again, all
    # other clients wait for the one that sends such requests.
    longest_after_ready=1.0,
    stops=StopsWhen.WITH_WORKERS,
    survives_reload=False,
)
"""Its mercy is an option: worker-reload-mercy."""


@dataclass(frozen=True, slots=True)
class WantedChild:
    """A child of the server that is to run."""

    role: ChildRole
    program: ChildProgram

    def __str__(self) -> str:
        return f"{self.role.name} {self.program.name}"


def wanted_children(rows: Iterable[ServerChildren], settings: Settings) -> list[WantedChild]:
    """All children of the server by these settings, in the order of the rows."""
    return [WantedChild(row.role, program) for row in rows for program in row.programs(settings)]


ROLES = (ZYGOTE_ROLE, WORKER_ROLE)

SERVER_CHILDREN: tuple[ServerChildren, ...] = ()
