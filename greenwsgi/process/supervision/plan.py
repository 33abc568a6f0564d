"""What to do next: `plan(fleet, now)` reads what is known and says what to do. It is pure, so tables test it.

Every action, once done, changes the fleet so that the same plan does not ask for it again.

The rules of one generation's life:

* It is RISING until every worker has said READY; then it serves, and the one before it drains. A reload is a whole new
  generation or nothing: when it fails, or takes longer than boot-timeout, the one before serves on as if nothing had
  happened.
* The first generation rises with none before it. If its application cannot be loaded, or no worker gets READY, the
  server ends with a status that says so. If some workers serve and others keep dying, it serves with those it has.
* A worker that dies is started again: at once the first time, later and later while it dies quickly (`fleet.backoff`).
  A generation that serves is never given up for that.
* A chain reload hands over number by number: its next worker is forked when the old one it relieved last is gone, so
  there is one worker more than usual at most, besides those that have been told to leave. If it fails on the way, the
  old generation is completed again, and each worker that has taken over stays until the old one's number serves.
* Of the generations that drain, those that are more than draining-generations have ABRUPT_MERCY seconds, the oldest
  first: each holds all its processes as long as one of its requests runs.
* A worker that wants a successor (it is old, or large) has one that is ready before it leaves. Only one of the whole
  server is replaced at a time, whoever asked first.
* Children of the server, which belong to no generation, are kept running by the facts of their roles
  (`child_roles`): started before the workers or when the first generation serves, started again with a back-off, told
  to leave before, with or after the workers.
* A reload asked for while a generation loads its application starts the load again (the files may have changed since);
  while its workers boot, it waits until they have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from signal import SIGABRT, SIGKILL, SIGQUIT, SIGTERM, Signals

from greenwsgi.process.supervision.child_roles import ZYGOTE_ROLE, StopsWhen
from greenwsgi.process.supervision.child_state import ChildState
from greenwsgi.process.supervision.fleet import (
    ABRUPT_MERCY,
    ZYGOTE,
    Errand,
    Fleet,
    Generation,
    GenerationStage,
    Stop,
    WorkerState,
)

DEATHS_ALLOWED = 5
"""A generation that rises is given up when one of its workers has died this often in a row before it was READY."""

SLACK = 2.0
"""Seconds that a worker which was told to leave has beyond its mercy. It keeps to the mercy by itself, from when it
heard the signal, and then runs the application's atexit functions; SIGKILL is for one that does not."""

DUMP_TIME = 0.5
"""Seconds between SIGABRT, which makes a worker print its stacks, and SIGKILL."""


@dataclass(frozen=True, slots=True)
class StartGeneration:
    """Make a generation, in place of one that still loads."""


@dataclass(frozen=True, slots=True)
class StartZygote:
    generation: Generation


@dataclass(frozen=True, slots=True)
class Fork:
    """Ask the generation's zygote for a worker."""

    generation: Generation
    number: int
    seat: int


@dataclass(frozen=True, slots=True)
class Promote:
    """The generation serves; drain the one before it."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The chain has come one worker further."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The generation did not come up; without one before it, neither did the server."""

    generation: Generation
    reason: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Let the generation go: no worker of it is started again, and those it has are told to leave."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class Hasten:
    """Too many generations drain: this one, the oldest, ends at that time."""

    generation: Generation
    ends_at: float


@dataclass(frozen=True, slots=True)
class Tell:
    """Send the worker a signal that ends it, softly or not; `kill_at` is when it gets SIGKILL if it is still there.

    For SIGKILL itself it is when its death must have been told of.
    """

    worker: WorkerState
    signal: Signals
    kill_at: float
    why: str


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start the process of a child of the server."""

    child: ChildState


@dataclass(frozen=True, slots=True)
class SignalChild:
    """Send a child of the server a signal that ends it; `kill_at` is when it gets SIGKILL if it is still there."""

    child: ChildState
    signal: Signals
    kill_at: float
    why: str


@dataclass(frozen=True, slots=True)
class Lose:
    """Forget a worker that was never heard of; its zygote died before or after it forked."""

    generation: Generation
    worker: WorkerState


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Ask the generation's zygote to leave."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class AbortZygote:
    """Have a zygote that does not get done write its stack, and end."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class KillZygote:
    """End a zygote that reads no commands."""

    generation: Generation
    why: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Nobody is left of the generation: give its scoreboard back."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class SetPaused:
    """Have the worker accept nothing, or again."""

    worker: WorkerState
    paused: bool


@dataclass(frozen=True, slots=True)
class Run:
    """Do what an operator asked for."""

    errand: Errand


@dataclass(frozen=True, slots=True)
class Finish:
    """Everybody has left; so does the master."""


Action = (
    StartGeneration
    | StartZygote
    | Fork
    | Promote
    | TakeOver
    | GiveUp
    | Drain
    | Hasten
    | Tell
    | StartChild
    | SignalChild
    | Lose
    | Dismiss
    | AbortZygote
    | KillZygote
    | Forget
    | SetPaused
    | Run
    | Finish
)


def plan(fleet: Fleet, now: float) -> list[Action]:
    """What to do now, in order; nothing when all is as it should be."""
    return list(_plan(fleet, now))


def _plan(fleet: Fleet, now: float) -> Iterator[Action]:
    for errand in fleet.errands:
        yield Run(errand)
    yield from _children(fleet, now)
    if fleet.stop is not Stop.NO and not fleet.generations and not any(child.pid for child in fleet.children):
        yield Finish()
    if fleet.reload_wanted and _may_start(fleet):
        yield StartGeneration()
        return
    for generation in fleet.crowd():
        if generation.ends_at == inf:
            yield Hasten(generation, now + ABRUPT_MERCY)
    for generation in fleet.generations:
        if generation.stage is GenerationStage.DRAINING:
            yield from _draining(fleet, generation, now)
        elif fleet.stop is not Stop.NO:
            yield Drain(generation)
        elif generation.stage is GenerationStage.RISING and (verdict := _verdict(fleet, generation)):
            yield verdict
        else:
            yield from _upkeep(fleet, generation, now)
        yield from _overdue(fleet, generation, now)
        yield from _pauses(fleet, generation)


def _children(fleet: Fleet, now: float) -> Iterator[Action]:
    """Keep the children of the server running, or have them leave, by the facts of their roles."""
    for child in fleet.children:
        if fleet.may_start(child, now):
            yield StartChild(child)
        elif child.pid and child.told is not SIGKILL:
            yield from _child_leaves(fleet, child, now)


def _child_leaves(fleet: Fleet, child: ChildState, now: float) -> Iterator[Action]:
    role, why = child.wanted.role, fleet.reason_to_leave(child)
    kill_at = now + (ABRUPT_MERCY if fleet.stop is Stop.NOW else role.mercy)
    if fleet.stop is Stop.GRACEFUL and role.stops is not StopsWhen.AFTER_WORKERS:
        kill_at = min(kill_at, fleet.stop_since + fleet.reload_mercy)  # it has no longer than the workers
    if now >= child.kill_at:
        yield SignalChild(child, SIGKILL, inf, "it does not leave")
    elif why and (child.told is None or (fleet.stop is not Stop.NO and kill_at < child.kill_at)):
        yield SignalChild(child, role.stop_signal, kill_at, why)


def _may_start(fleet: Fleet) -> bool:
    rising = fleet.at(GenerationStage.RISING)
    return rising is None or rising.zygote is None or not rising.zygote.loaded


def _verdict(fleet: Fleet, rising: Generation) -> Action | None:
    """Has it come up, has it failed, or is it too early to tell?"""
    if rising.zygote and rising.zygote.loaded and rising.serving() >= rising.count:
        return Promote(rising)
    reason = rising.failure or _crash_loop(rising)
    if not reason:
        goes_on = fleet.chain() is rising and rising.has(rising.taken + 1)
        return TakeOver(rising) if goes_on else None
    if rising.proven and fleet.at(GenerationStage.SERVING) is None:
        return Promote(rising) if rising.serving() else None  # it works, if not whole, and there is nothing better
    return GiveUp(rising, reason)


def _crash_loop(rising: Generation) -> str:
    for number, trouble in rising.trouble.items():
        if number != ZYGOTE and trouble.deaths >= DEATHS_ALLOWED:
            return f"worker {number} died {trouble.deaths} times in a row before it was ready"
    return ""


def _upkeep(fleet: Fleet, generation: Generation, now: float) -> Iterator[Action]:
    """See to it that there is a zygote, and for each number that it shall have one worker that stays."""
    wanted = _wanted(fleet, generation)
    for worker in generation.workers.values():
        if worker.number not in wanted and worker.pid and worker.told is None:
            yield Tell(worker, SIGTERM, now + generation.mercy + SLACK, _why_unwanted(fleet, generation, worker))
    if generation.zygote is None:
        if not generation.wait(ZYGOTE, now):
            yield StartZygote(generation)
        return
    if not generation.zygote.loaded or generation.zygote.dismissed:
        return
    free = generation.free_seats()
    leaver = _next_leaver(fleet)
    for number in wanted:
        team = generation.team(number)
        fresh = [worker for worker in team if not worker.retiring]
        if not fresh and (not team or leaver in team) and free and not generation.wait(number, now):
            yield Fork(generation, number, free.pop(0))
        if leaver in team and any(worker.serves for worker in fresh):
            yield Tell(leaver, SIGTERM, now + generation.mercy + SLACK, leaver.retiring)


def _wanted(fleet: Fleet, generation: Generation) -> range:
    """The numbers that it shall have workers of; in a chain reload, what one generation takes over the other gives."""
    chain, serving = fleet.chain(), fleet.at(GenerationStage.SERVING)
    if chain is None or serving is None:
        return range(1, generation.count + 1)
    if generation is serving:
        return range(chain.taken + 1, serving.count + 1)
    relieved = [worker for worker in serving.workers.values() if worker.number <= chain.taken]
    return range(1, min(chain.count, chain.taken + (not relieved)) + 1)


def _why_unwanted(fleet: Fleet, generation: Generation, worker: WorkerState) -> str:
    chain = fleet.chain()
    if chain and chain is not generation and worker.number <= chain.taken:
        return f"generation {chain.number} took over"
    return f"{generation.count} worker{' is' if generation.count == 1 else 's are'} enough"


def _next_leaver(fleet: Fleet) -> WorkerState | None:
    """Of the workers that want a successor the one whose turn it is; one at a time, over the whole server."""
    serving = fleet.at(GenerationStage.SERVING)
    if serving is None or fleet.chain():
        return None
    retiring = [worker for worker in serving.workers.values() if worker.retiring]
    if any(worker.told for worker in retiring):
        return None
    return min(retiring, key=lambda worker: worker.retiring_since, default=None)


def _pauses(fleet: Fleet, generation: Generation) -> Iterator[Action]:
    """Whoever is ready knows whether the server is paused; one that leaves accepts nothing anyway."""
    for worker in generation.workers.values():
        if worker.serves and worker.paused is not fleet.paused:
            yield SetPaused(worker, fleet.paused)


def _draining(fleet: Fleet, generation: Generation, now: float) -> Iterator[Action]:
    """See to it that its workers leave, then its zygote."""
    if generation.workers:
        if fleet.stop is Stop.NO or not fleet.stops_before_workers():
            yield from _farewell(fleet, generation, now)
    elif generation.zygote is None:
        yield Forget(generation)
    elif not generation.zygote.loaded and not generation.zygote.dismissed:
        yield KillZygote(generation, "what it loads is not needed any more")
    elif not generation.zygote.dismissed:
        yield Dismiss(generation)


def _farewell(fleet: Fleet, generation: Generation, now: float) -> Iterator[Action]:
    signal, kill_at, why = SIGTERM, now + generation.mercy + SLACK, "another generation took over"
    if fleet.stop is Stop.GRACEFUL:
        kill_at, why = fleet.stop_since + fleet.reload_mercy + SLACK, "the server stops"
    elif fleet.stop is Stop.NOW:
        signal, kill_at, why = SIGQUIT, fleet.stop_since + ABRUPT_MERCY, "the server stops at once"
    if generation.ends_at < kill_at:
        kill_at, why = generation.ends_at, _too_many(fleet)
    for worker in generation.workers.values():
        if _is_needed(fleet, generation, worker):
            continue
        until = kill_at if worker.ready_at is not None else min(kill_at, now + ABRUPT_MERCY)
        harder = worker.told is SIGTERM and (signal is SIGQUIT or until < worker.kill_at)
        if worker.pid and (worker.told is None or harder):
            yield Tell(worker, signal, until, why)


def _too_many(fleet: Fleet) -> str:
    return f"more than {fleet.most_draining} generations drain (draining-generations)"


def _is_needed(fleet: Fleet, generation: Generation, worker: WorkerState) -> bool:
    """Has it taken over, in a chain reload that failed later, what nobody has taken back yet?"""
    serving = fleet.at(GenerationStage.SERVING)
    if serving is None or worker.number > generation.taken or not worker.serves:
        return False
    return worker.number <= serving.count and not serving.has(worker.number)


def _overdue(fleet: Fleet, generation: Generation, now: float) -> Iterator[Action]:
    """Who was given time and has used it up?"""
    zygote, hurry = generation.zygote, ZYGOTE_ROLE.mercy - _zygote_mercy(fleet)
    if zygote and now >= zygote.kill_at - hurry:
        yield KillZygote(generation, "it does not leave")
    elif zygote and zygote.stuck and not zygote.dismissed:
        yield AbortZygote(generation)
    elif zygote and not zygote.killed and (untold := _untold(generation, now)):
        yield KillZygote(generation, f"it does not tell that {untold} is dead")
    for worker in generation.workers.values():
        if not worker.pid:
            yield from _unheard(fleet, generation, worker, now)
        elif worker.stuck and worker.told not in (SIGABRT, SIGKILL):
            until = now + (_zygote_mercy(fleet) if worker.end_by is SIGKILL else DUMP_TIME)
            yield Tell(worker, worker.end_by, until, worker.stuck)
        elif now >= worker.kill_at and worker.told is not SIGKILL:
            why = worker.stuck or _too_slow(fleet, generation, worker)
            yield Tell(worker, SIGKILL, now + _zygote_mercy(fleet), why)


def _zygote_mercy(fleet: Fleet) -> float:
    return ABRUPT_MERCY if fleet.stop is Stop.NOW else ZYGOTE_ROLE.mercy


def _untold(generation: Generation, now: float) -> WorkerState | None:
    """A worker that was killed long ago and whose zygote, which hangs or was stopped, has not told of its death.

    Without that zygote the worker falls to the master, which sees for itself.
    """
    for worker in generation.workers.values():
        ours = generation.zygote is not None and generation.zygote.pid == worker.parent
        if ours and worker.told is SIGKILL and now >= worker.kill_at:
            return worker
    return None


def _unheard(fleet: Fleet, generation: Generation, worker: WorkerState, now: float) -> Iterator[Action]:
    """A worker was asked for and has not said a word: its zygote hangs, or died before or after it forked."""
    if now - worker.since < _zygote_mercy(fleet):
        return
    zygote = generation.zygote
    if zygote is None or zygote.pid != worker.parent:
        yield Lose(generation, worker)
    elif not zygote.dismissed:
        yield KillZygote(generation, f"it did not fork {worker} within {_zygote_mercy(fleet):g} s")


def _too_slow(fleet: Fleet, generation: Generation, worker: WorkerState) -> str:
    if worker.ready_at is None:
        return "it was still booting"
    if fleet.stop is Stop.NOW:
        return f"it did not leave within {ABRUPT_MERCY:g} s"
    if generation.ends_at < inf:
        return _too_many(fleet)
    if fleet.stop is Stop.GRACEFUL:
        return f"it did not leave within reload-mercy {fleet.reload_mercy:g}"
    return f"it did not leave within worker-reload-mercy {generation.mercy:g}"
