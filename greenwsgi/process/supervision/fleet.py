"""What the master knows of its generations, zygotes and workers: data, and how each event changes it.

Nothing here acts: `plan` reads the fleet and says what to do, the master does it and writes down that it did. Times are
monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from signal import SIGABRT, SIGQUIT, SIGTERM, Signals

from greenwsgi.errors import EXIT_APP_FAILED
from greenwsgi.process.supervision.child_roles import WORKER_ROLE, ZYGOTE_ROLE, StartsWhen, StopsWhen, WantedChild
from greenwsgi.process.supervision.child_state import ChildState
from greenwsgi.process.supervision.restart_backoff import QUICK, RestartBackoff

ABRUPT_MERCY = 1.0
"""Seconds that whoever is to leave at once has, before SIGKILL."""

MOST_DRAINING = 2
"""How many generations drain at a time unless draining-generations says otherwise: each holds all its processes."""

ZYGOTE = 0
"""The number under which a generation keeps its zygote's trouble; workers begin at 1."""


class Stop(Enum):
    """How the server is being stopped."""

    NO = "no"
    GRACEFUL = "gracefully"
    NOW = "at once"


class ReloadKind(Enum):
    """What a reload replaces, and how; of two that are asked for at once, the first in this order is done."""

    WHOLE = "the configuration and the application, all workers at once"
    CHAIN = "the configuration and the application, one worker after the other"
    WORKERS = "the application, all workers at once; the configuration stays"


class Errand(Enum):
    """What an operator can ask for that leaves the workers as they are; the value says what is done, for the log."""

    STATISTICS = "statistics are logged"
    WRITE_PIDFILE = "the pidfile is written again"
    REOPEN_LOG = "the log is opened again"
    ROTATE_LOG = "the log is rotated"
    REEXEC = "the master is executed again, if a rehearsal succeeds"
    EXECUTE = "the rehearsal has succeeded"

    @property
    def needs(self) -> str:
        """Why it may be that there is nothing to do."""
        return "there is no pidfile" if self is Errand.WRITE_PIDFILE else "the log goes to no file (logto)"


class GenerationStage(Enum):
    """RISING until all its workers are READY, SERVING until the next one's are; DRAINING also when it was given up."""

    RISING = "rising"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(slots=True)
class ZygoteState:
    """A zygote, as the master sees it. It loads the application first, and can fork when it has `loaded`.

    loaded_at: when it said so. stuck: why it must die although it was asked nothing.
    """

    pid: int
    since: float
    loaded: bool = False
    loaded_at: float = 0.0
    stuck: str = ""
    dismissed: bool = False
    kill_at: float = inf

    @property
    def killed(self) -> bool:
        return self.dismissed and self.kill_at == inf

    def dismiss(self, now: float) -> None:
        """It was told to leave, or said that it does."""
        self.dismissed = True
        self.kill_at = now + ZYGOTE_ROLE.mercy


class WorkerStage(Enum):
    """Where a worker is in its life, as the master sees it."""

    ASKED = "asked for"
    """Its zygote was asked to fork it; nothing was heard of it."""
    BOOTING = "booting"
    SERVING = "serving"
    LEAVING = "leaving"
    """It was told to leave (SIGTERM, SIGQUIT)."""
    KILLED = "killed"
    """It was sent a signal that ends it (SIGABRT, SIGKILL)."""


WORKER_TRANSITIONS: Mapping[WorkerStage, frozenset[WorkerStage]] = {
    WorkerStage.ASKED: frozenset({WorkerStage.BOOTING}),
    WorkerStage.BOOTING: frozenset({WorkerStage.SERVING, WorkerStage.LEAVING, WorkerStage.KILLED}),
    WorkerStage.SERVING: frozenset({WorkerStage.LEAVING, WorkerStage.KILLED}),
    # Back to serving: it was told while it booted, and is told again with the time that its requests are due.
    WorkerStage.LEAVING: frozenset({WorkerStage.SERVING, WorkerStage.LEAVING, WorkerStage.KILLED}),
    WorkerStage.KILLED: frozenset({WorkerStage.KILLED}),
}
"""What may follow each stage. A dead worker is in no stage: it leaves the fleet."""


class IllegalTransitionError(Exception):
    """A worker cannot go from its stage to that one: a defect of the master."""


@dataclass(slots=True)
class WorkerState:
    """A worker, as the master sees it."""

    number: int
    seat: int
    parent: int
    """The zygote that was asked to fork it."""
    since: float
    pid: int = 0
    """0 until it was heard of."""
    ready_at: float | None = None
    """When it said READY."""
    retiring: str = ""
    """Why it wants a successor."""
    retiring_since: float = 0.0
    stuck: str = ""
    """Why it must die although it was asked nothing."""
    end_by: Signals = SIGABRT
    """How it is ended then."""
    told: Signals | None = None
    """The last signal that asked it to go."""
    kill_at: float = inf
    """When it gets SIGKILL if it has not gone; after SIGKILL, when its zygote must have told of its death."""
    paused: bool = False
    """It was told to accept nothing."""
    stage: WorkerStage | None = None
    """Never None once it is made."""

    def __post_init__(self) -> None:
        if self.stage is None:  # handed over by an older greenwsgi
            self.stage = self._found()

    def _found(self) -> WorkerStage:
        if not self.pid:
            return WorkerStage.ASKED
        if self.told is not None:
            return WorkerStage.LEAVING if self.told in (SIGTERM, SIGQUIT) else WorkerStage.KILLED
        return WorkerStage.BOOTING if self.ready_at is None else WorkerStage.SERVING

    def _go(self, stage: WorkerStage) -> None:
        assert self.stage is not None
        if stage not in WORKER_TRANSITIONS[self.stage]:
            raise IllegalTransitionError(f"{self} is {self.stage.value} and cannot be {stage.value}")
        self.stage = stage

    def heard(self, pid: int) -> None:
        """Its first message has come."""
        self.pid = pid
        self._go(WorkerStage.BOOTING)

    def ready(self, now: float) -> None:
        """It accepts connections. If it was told to leave while it booted, it has to be told again."""
        self.ready_at = now
        if self.stage is not WorkerStage.KILLED:
            self.told, self.kill_at = None, inf
            self._go(WorkerStage.SERVING)

    def tell(self, signal: Signals, kill_at: float) -> None:
        """It was sent this signal."""
        self.told, self.kill_at = signal, kill_at
        self._go(WorkerStage.LEAVING if signal in (SIGTERM, SIGQUIT) else WorkerStage.KILLED)

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})" if self.pid else f"worker {self.number}"

    @property
    def serves(self) -> bool:
        return self.stage is WorkerStage.SERVING

    @property
    def crashed(self) -> bool:
        """Once it is dead: it was not told to leave, or was ended since it was stuck."""
        return self.told is None or bool(self.stuck)


@dataclass(slots=True)
class Generation:
    """One load of the application: a zygote and its workers, by seat.

    size: how many workers it may have, which its seats are for; count: how many it shall have now, numbers 1 to count.
    kind: how it takes over; taken: in a chain reload, how many numbers it has taken over; hurry: those whom it relieves
    have ABRUPT_MERCY seconds. reloads: how many had been asked for when it was made; it is the answer to them. mercy:
    seconds a worker may take to leave. proven: one of its workers has been READY. failure: why it did not come up, with
    the exit status that says so. ends_at: when all its workers are killed, since too many generations drain. cut: how
    many requests died with workers that had been told to leave.
    """

    number: int
    size: int
    mercy: float
    stage: GenerationStage = GenerationStage.RISING
    zygote: ZygoteState | None = None
    workers: dict[int, WorkerState] = field(default_factory=dict)
    trouble: dict[int, RestartBackoff] = field(default_factory=dict)
    proven: bool = False
    failure: str = ""
    failure_status: int = 0
    kind: ReloadKind = ReloadKind.WHOLE
    count: int = -1
    taken: int = 0
    hurry: bool = False
    reloads: int = 0
    ends_at: float = inf
    cut: int = 0

    def __post_init__(self) -> None:
        if self.count < 0:
            self.count = self.size

    def team(self, number: int) -> list[WorkerState]:
        """The workers of that number that were not told to go."""
        return [worker for worker in self.workers.values() if worker.number == number and worker.told is None]

    def has(self, number: int) -> bool:
        """Does a worker of that number serve?"""
        return any(worker.serves for worker in self.workers.values() if worker.number == number)

    def serving(self) -> int:
        """How many worker numbers have a worker that serves."""
        return len({worker.number for worker in self.workers.values() if worker.serves})

    def free_seats(self) -> list[int]:
        """The seats nobody has; there are two a worker, so that a successor can boot beside the one it replaces."""
        return [seat for seat in range(seats_for(self.size)) if seat not in self.workers]

    def wait(self, number: int, now: float) -> float:
        """Seconds until that worker, or the ZYGOTE, may be started again; 0 for at once."""
        return max(0.0, self.trouble[number].not_before - now) if number in self.trouble else 0.0

    def fail(self, reason: str, status: int) -> None:
        """Remember the first reason; what follows is only its consequence."""
        if not self.failure:
            self.failure, self.failure_status = reason, status

    def worker_gone(self, worker: WorkerState, now: float) -> None:
        """It is dead. Whether that slows its successor depends on how long it served, unless it was told to go."""
        del self.workers[worker.seat]
        if worker.crashed:
            quickly = worker.ready_at is None or now - worker.ready_at < QUICK
            trouble = self.trouble.setdefault(worker.number, RestartBackoff())
            trouble.died(WORKER_ROLE, quickly, now, was_ready=worker.ready_at is not None)
        elif worker.number in self.trouble:
            self.trouble[worker.number].crashed = False

    def zygote_gone(self, now: float) -> None:
        """It is dead; its workers live on. Dying while it loads, or at its first forks, slows its successor."""
        assert self.zygote is not None
        quickly = not self.zygote.loaded or now - self.zygote.loaded_at < QUICK
        self.trouble.setdefault(ZYGOTE, RestartBackoff()).died(ZYGOTE_ROLE, quickly, now)
        self.zygote = None


@dataclass(slots=True)
class Fleet:
    """All generations, oldest first, and what the operator wants of them.

    reload_mercy: seconds everything may take to stop. most_draining: how many generations may drain at a time, 0 for
    any number. reload_wanted: a generation is to be made, and how, and with what hurry; the first one too.
    reloads: how many were asked for so far. paused: workers accept nothing. errands: what was asked for besides, and is
    not done yet.
    """

    reload_mercy: float
    generations: list[Generation] = field(default_factory=list)
    born: int = 0
    reload_wanted: ReloadKind | None = ReloadKind.WHOLE
    stop: Stop = Stop.NO
    stop_since: float = 0.0
    exit_status: int = 0
    hurry: bool = False
    reloads: int = 0
    paused: bool = False
    errands: list[Errand] = field(default_factory=list)
    most_draining: int = MOST_DRAINING
    children: list[ChildState] = field(default_factory=list)
    """The children of the server, in the order in which they were wanted."""
    wanted: list[WantedChild] = field(default_factory=list)
    """Which of them are to run."""

    def want(self, wanted: list[WantedChild]) -> None:
        """Have these children of the server, and no others."""
        self.wanted = wanted
        self.children = [one for one in self.children if one.pid or one.wanted in wanted]
        known = [one.wanted for one in self.children]
        self.children += [ChildState(one) for one in wanted if one not in known]

    def child_gone(self, child: ChildState, now: float) -> None:
        """Its process has ended."""
        child.gone(now)
        if child.wanted not in self.wanted:
            self.children.remove(child)

    def may_start(self, child: ChildState, now: float) -> bool:
        """Whether it is to be started now."""
        if child.pid or child.ended or self.stop is not Stop.NO or now < child.backoff.not_before:
            return False
        return child.wanted.role.starts is StartsWhen.BEFORE_WORKERS or self.at(GenerationStage.SERVING) is not None

    def reason_to_leave(self, child: ChildState) -> str:
        """Why it has to leave now, "" if it may stay."""
        role, serving = child.wanted.role, self.at(GenerationStage.SERVING)
        if self.stop is not Stop.NO:
            early = role.stops is not StopsWhen.AFTER_WORKERS or not self.generations
            return "the server stops" if early else ""
        if child.wanted not in self.wanted:
            return "it is not configured any more"
        if serving and child.generation and serving.number != child.generation and not role.survives_reload:
            return f"generation {serving.number} serves"
        return child.outdated

    def stops_before_workers(self) -> bool:
        """Whether a child runs that has to end before the workers are told to leave."""
        return any(one.pid and one.wanted.role.stops is StopsWhen.BEFORE_WORKERS for one in self.children)

    def at(self, stage: GenerationStage) -> Generation | None:
        """The generation at that stage: there is at most one that rises, and one that serves."""
        return next((generation for generation in self.generations if generation.stage is stage), None)

    def generation(self, number: int) -> Generation | None:
        return next((generation for generation in self.generations if generation.number == number), None)

    def chain(self) -> Generation | None:
        """The generation that takes over one worker after the other, if there is one, and one to take from."""
        rising = self.at(GenerationStage.RISING)
        return rising if rising and rising.kind is ReloadKind.CHAIN and self.at(GenerationStage.SERVING) else None

    def crowd(self) -> list[Generation]:
        """Of the generations that drain those that are too many: the oldest. All workers of each were told to leave."""
        draining = [one for one in self.generations if one.stage is GenerationStage.DRAINING and one.workers]
        draining = [one for one in draining if all(worker.told for worker in one.workers.values())]
        return draining[: max(0, len(draining) - self.most_draining)] if self.most_draining else []

    def workers(self) -> Iterator[tuple[Generation, WorkerState]]:
        for generation in self.generations:
            for worker in list(generation.workers.values()):
                yield generation, worker

    def stop_asked(self, how: Stop, now: float) -> None:
        """Stop; a second time, whatever was asked, at once. Reloads are over."""
        how = Stop.NOW if self.stop is not Stop.NO else how
        if how is not self.stop:
            self.stop, self.stop_since = how, now
        self.reload_wanted = None

    def reload_asked(self, kind: ReloadKind, now: float, *, hurry: bool = False) -> None:
        """Make a generation, unless the server stops; what takes the most with it wins."""
        if self.stop is Stop.NO:
            self.reloads += 1
            self.reload_wanted = _most(kind, self.reload_wanted)
            self.hurry |= hurry

    def take_reload(self) -> tuple[ReloadKind, bool]:
        """What the next generation shall be, and its hurry; both are done with, whatever becomes of it.

        One that it supersedes while that still rises was asked for too, and has relieved nobody.
        """
        rising = self.at(GenerationStage.RISING)
        kind = _most(self.reload_wanted or ReloadKind.WHOLE, rising.kind if rising else None)
        hurry = self.hurry or (rising is not None and rising.hurry)
        self.reload_wanted, self.hurry = None, False
        return kind, hurry

    def workers_asked(self, change: int) -> int:
        """So many workers more, or less, of what the configuration allows; how many there shall be.

        Less than one is one, and less than none is none: 0, and nothing has changed. A generation that rises shall have
        as many more or less, so that it does not undo it.
        """
        staying = [one for one in self.generations if one.stage is not GenerationStage.DRAINING]
        changed = [one for one in staying if one.count or change > 0]
        for one in changed:
            one.count = max(1, min(one.size, one.count + change))
        return changed[-1].count if changed else 0

    def new_generation(
        self, size: int, mercy: float, kind: ReloadKind = ReloadKind.WHOLE, *, hurry: bool = False
    ) -> Generation:
        """A generation that rises; one that was rising already is given up for it."""
        if rising := self.at(GenerationStage.RISING):
            rising.stage = GenerationStage.DRAINING
        self.born += 1
        self.generations.append(Generation(self.born, size, mercy, kind=kind, hurry=hurry, reloads=self.reloads))
        return self.generations[-1]

    def give_up(self, generation: Generation, now: float) -> bool:
        """It did not come up: back to what served before. False if nothing did; then the server stops."""
        generation.stage = GenerationStage.DRAINING
        if self.at(GenerationStage.SERVING):
            return True
        self.stop_asked(Stop.GRACEFUL, now)
        self.exit_status = generation.failure_status or EXIT_APP_FAILED
        return False

    def promote(self, generation: Generation) -> Generation | None:
        """It serves from now on; returns the one it relieves."""
        if relieved := self.at(GenerationStage.SERVING):
            relieved.stage = GenerationStage.DRAINING
            if generation.hurry:
                relieved.mercy = min(relieved.mercy, ABRUPT_MERCY)
        generation.stage = GenerationStage.SERVING
        return relieved


def _most(kind: ReloadKind, other: ReloadKind | None) -> ReloadKind:
    """Of two reloads that which takes the most with it."""
    return min(kind, other or kind, key=list(ReloadKind).index)


def seats_for(size: int) -> int:
    return 2 * size
