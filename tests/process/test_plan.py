"""Supervision by tables: what is known of the fleet, and what the plan makes of it. No process, no clock."""

from __future__ import annotations

import copy
from math import inf
from signal import SIGABRT, SIGKILL, SIGQUIT, SIGTERM

import pytest

from greenwsgi.process.supervision import plan
from greenwsgi.process.supervision.child_roles import WORKER_ROLE, ZYGOTE_ROLE
from greenwsgi.process.supervision.fleet import (
    ABRUPT_MERCY,
    MOST_DRAINING,
    ZYGOTE,
    Fleet,
    Generation,
    GenerationStage,
    ReloadKind,
    Stop,
    WorkerState,
    ZygoteState,
)
from greenwsgi.process.supervision.restart_backoff import RestartBackoff, backoff

NOW = 1000.0
RISING, SERVING, DRAINING = GenerationStage
MERCY = f"{10 + plan.SLACK:g}"
STOP_MERCY = f"{30 + plan.SLACK:g}"


def fleet(
    *generations: Generation,
    stop: Stop = Stop.NO,
    reload: bool = False,
    stop_since: float = NOW,
    most_draining: int = MOST_DRAINING,
) -> Fleet:
    born = generations[-1].number if generations else 0
    wanted = ReloadKind.WHOLE if reload else None
    return Fleet(30.0, list(generations), born, wanted, stop, stop_since, most_draining=most_draining)


def generation(number: int, stage: GenerationStage, *workers: WorkerState, **known: object) -> Generation:
    """Two workers wide, with a mercy of 10 s and a zygote that has loaded, unless told otherwise."""
    made = Generation(number, 2, 10.0, stage, loaded(number), {worker.seat: worker for worker in workers})
    made.proven = any(worker.ready_at is not None for worker in workers)
    for name, value in known.items():
        setattr(made, name, value)
    return made


def loaded(number: int) -> ZygoteState:
    return ZygoteState(pid=number * 100, since=NOW, loaded=True)


def loading(number: int) -> ZygoteState:
    return ZygoteState(pid=number * 100, since=NOW)


def asked(number: int, seat: int, since: float = NOW) -> WorkerState:
    """A worker the zygote was told to fork, and that was not heard of."""
    return WorkerState(number, seat, parent=100, since=since)


def booting(number: int, seat: int) -> WorkerState:
    return WorkerState(number, seat, parent=100, since=NOW, pid=10 * number + seat)


def ready(number: int, seat: int, **known: object) -> WorkerState:
    worker = WorkerState(number, seat, parent=100, since=NOW, pid=10 * number + seat, ready_at=NOW - 60)
    for name, value in known.items():
        setattr(worker, name, value)
    return worker


def words(action: plan.Action) -> str:
    """An action in short, for the tables."""
    match action:
        case plan.Fork(made, number, seat):
            return f"fork {made.number}: {number} at {seat}"
        case plan.Tell(worker, signal, kill_at, _):
            return f"{signal.name} {worker.pid} until {kill_at - NOW:g}"
        case plan.Hasten(made, ends_at):
            return f"hasten {made.number} until {ends_at - NOW:g}"
        case plan.Lose(made, worker):
            return f"lose {made.number}: {worker.number}"
        case plan.StartGeneration():
            return "generation"
        case plan.Finish():
            return "finish"
        case plan.SetPaused(worker, paused):
            return f"{'pause' if paused else 'resume'} {worker.pid}"
        case plan.Run(errand):
            return f"run {errand.name}"
        case plan.StartChild(child):
            return f"start {child.wanted}"
        case plan.SignalChild(child, signal, kill_at, _):
            return f"{signal.name} {child.wanted} until {kill_at - NOW:g}"
        case _:
            return f"{type(action).__name__} {action.generation.number}"


BOOT = {
    "nothing yet": (fleet(reload=True), ["generation"]),
    "a generation without a zygote": (fleet(generation(1, RISING, zygote=None)), ["StartZygote 1"]),
    "the application is loading": (fleet(generation(1, RISING, zygote=loading(1))), []),
    "it is loaded": (fleet(generation(1, RISING)), ["fork 1: 1 at 0", "fork 1: 2 at 1"]),
    "workers were asked for": (fleet(generation(1, RISING, asked(1, 0), asked(2, 1))), []),
    "one is ready": (fleet(generation(1, RISING, ready(1, 0), booting(2, 1))), []),
    "all are ready": (fleet(generation(1, RISING, ready(1, 0), ready(2, 1))), ["Promote 1"]),
    "all serve": (fleet(generation(1, SERVING, ready(1, 0), ready(2, 1))), []),
    "the application cannot be loaded": (fleet(generation(1, RISING, failure="no module named x")), ["GiveUp 1"]),
    "no worker ever gets ready": (
        fleet(generation(1, RISING, booting(1, 0), trouble={2: RestartBackoff(plan.DEATHS_ALLOWED, NOW)})),
        ["GiveUp 1"],
    ),
    "one short of too many deaths": (
        fleet(generation(1, RISING, booting(1, 0), trouble={2: RestartBackoff(plan.DEATHS_ALLOWED - 1, NOW)})),
        ["fork 1: 2 at 1"],
    ),
    "one serves, the other dies and dies": (
        fleet(generation(1, RISING, ready(1, 0), trouble={2: RestartBackoff(plan.DEATHS_ALLOWED, NOW + 9)})),
        ["Promote 1"],
    ),
    "one fails to load after another serves": (
        fleet(generation(1, RISING, ready(1, 0), booting(2, 1), failure="no memory")),
        ["Promote 1"],
    ),
}

DEATHS = {
    "a worker is missing": (fleet(generation(1, SERVING, ready(2, 1))), ["fork 1: 1 at 0"]),
    "its turn has not come": (
        fleet(generation(1, SERVING, ready(2, 1), trouble={1: RestartBackoff(3, NOW + 0.1)})),
        [],
    ),
    "its turn has come": (
        fleet(generation(1, SERVING, ready(2, 1), trouble={1: RestartBackoff(3, NOW)})),
        ["fork 1: 1 at 0"],
    ),
    "a crash loop does not end what serves": (
        fleet(generation(1, SERVING, trouble={1: RestartBackoff(99, NOW + 9), 2: RestartBackoff(99, NOW + 9)})),
        [],
    ),
    "nor does an application that fails now": (
        fleet(generation(1, SERVING, ready(1, 0), ready(2, 1), failure="no module named x")),
        [],
    ),
    "the application's import hangs": (
        fleet(generation(1, RISING, zygote=ZygoteState(100, NOW, stuck="boot-timeout"), failure="")),
        ["AbortZygote 1"],
    ),
    "it was told to end": (
        fleet(
            generation(
                1,
                SERVING,
                *[ready(1, 0), ready(2, 1)],
                zygote=ZygoteState(100, NOW, stuck="boot-timeout", dismissed=True, kill_at=NOW + 1),
            )
        ),
        [],
    ),
    "the zygote is dead": (
        fleet(generation(1, SERVING, ready(1, 0), ready(2, 1), zygote=None)),
        ["StartZygote 1"],
    ),
    "the zygote is dead, and a worker too": (
        fleet(generation(1, SERVING, ready(1, 0), zygote=None)),
        ["StartZygote 1"],
    ),
    "the zygote dies again and again": (
        fleet(
            generation(1, SERVING, ready(1, 0), ready(2, 1), zygote=None, trouble={ZYGOTE: RestartBackoff(4, NOW + 1)})
        ),
        [],
    ),
    "a worker that was asked for stays unheard of": (
        fleet(generation(1, SERVING, asked(1, 0, since=NOW - ZYGOTE_ROLE.mercy), ready(2, 1))),
        ["KillZygote 1"],
    ),
    "its zygote was killed for it": (
        fleet(
            generation(
                1,
                SERVING,
                asked(1, 0, since=NOW - ZYGOTE_ROLE.mercy),
                ready(2, 1),
                zygote=ZygoteState(100, NOW, loaded=True, dismissed=True),
            )
        ),
        [],
    ),
    "its zygote has died": (
        fleet(generation(1, SERVING, asked(1, 0, since=NOW - ZYGOTE_ROLE.mercy), ready(2, 1), zygote=loading(7))),
        ["lose 1: 1"],
    ),
}

RETIRING = {
    "a worker wants a successor": (
        fleet(generation(1, SERVING, ready(1, 0, retiring="max-requests 5"), ready(2, 1))),
        ["fork 1: 1 at 2"],
    ),
    "the successor boots": (
        fleet(generation(1, SERVING, ready(1, 0, retiring="max-requests 5"), ready(2, 1), booting(1, 2))),
        [],
    ),
    "the successor is ready": (
        fleet(generation(1, SERVING, ready(1, 0, retiring="max-requests 5"), ready(2, 1), ready(1, 2))),
        [f"SIGTERM 10 until {MERCY}"],
    ),
    "it was told to leave": (
        fleet(
            generation(1, SERVING, ready(1, 0, retiring="x", told=SIGTERM, kill_at=NOW + 1), ready(2, 1), ready(1, 2))
        ),
        [],
    ),
    "it does not leave": (
        fleet(generation(1, SERVING, ready(1, 0, retiring="x", told=SIGTERM, kill_at=NOW), ready(2, 1), ready(1, 2))),
        ["SIGKILL 10 until 10"],
    ),
    "the successor keeps dying": (
        fleet(generation(1, SERVING, ready(1, 0, retiring="x"), ready(2, 1), trouble={1: RestartBackoff(9, NOW + 9)})),
        [],
    ),
    "another has asked before": (
        fleet(
            generation(
                1,
                SERVING,
                ready(1, 0, retiring="x", retiring_since=NOW - 1),
                ready(2, 1, retiring="x", retiring_since=NOW - 2),
            )
        ),
        ["fork 1: 2 at 2"],
    ),
    "another one is leaving": (
        fleet(
            generation(
                1,
                SERVING,
                ready(1, 0, retiring="x"),
                ready(2, 1, retiring="x", told=SIGTERM, kill_at=NOW + 1),
                ready(2, 2),
            )
        ),
        [],
    ),
    "one that waits for its turn dies": (
        fleet(generation(1, SERVING, ready(1, 0, retiring="x", told=SIGTERM, kill_at=NOW + 1), ready(1, 2))),
        ["fork 1: 2 at 1"],
    ),
    "no seat is free": (
        fleet(
            generation(
                1,
                SERVING,
                ready(1, 0, retiring="x"),
                ready(2, 1),
                ready(1, 2, told=SIGTERM, kill_at=NOW + 1),
                ready(1, 3, told=SIGTERM, kill_at=NOW + 1),
            )
        ),
        [],
    ),
}

STUCK = {
    "a loop is blocked": (
        fleet(generation(1, SERVING, ready(1, 0, stuck="harakiri"), ready(2, 1))),
        [f"SIGABRT 10 until {plan.DUMP_TIME:g}"],
    ),
    "it was told to dump": (
        fleet(generation(1, SERVING, ready(1, 0, stuck="x", told=SIGABRT, kill_at=NOW + 0.1), ready(2, 1))),
        ["fork 1: 1 at 2"],
    ),
    "it lives on": (
        fleet(generation(1, SERVING, ready(1, 0, stuck="x", told=SIGABRT, kill_at=NOW), ready(2, 1), booting(1, 2))),
        ["SIGKILL 10 until 10"],
    ),
    "it was killed": (
        fleet(generation(1, SERVING, ready(1, 0, stuck="x", told=SIGKILL, kill_at=inf), ready(2, 1), booting(1, 2))),
        [],
    ),
}

OLD = ready(1, 0), ready(2, 1)
NEW = ready(1, 0), ready(2, 1)

RELOAD = {
    "asked for": (fleet(generation(1, SERVING, *OLD), reload=True), ["generation"]),
    "the new application is loading": (
        fleet(generation(1, SERVING, *OLD), generation(2, RISING, zygote=loading(2))),
        [],
    ),
    "some new workers are ready": (
        fleet(generation(1, SERVING, *OLD), generation(2, RISING, ready(1, 0), booting(2, 1))),
        [],
    ),
    "all new workers are ready": (fleet(generation(1, SERVING, *OLD), generation(2, RISING, *NEW)), ["Promote 2"]),
    "the old ones leave": (
        fleet(generation(1, DRAINING, *OLD), generation(2, SERVING, *NEW)),
        [f"SIGTERM 10 until {MERCY}", f"SIGTERM 21 until {MERCY}"],
    ),
    "but not before they were heard of": (
        fleet(generation(1, DRAINING, asked(1, 0)), generation(2, SERVING, *NEW)),
        [],
    ),
    "one has left, one has time": (
        fleet(
            generation(1, DRAINING, ready(1, 0, told=SIGTERM, kill_at=NOW + 1)),
            generation(2, SERVING, *NEW),
        ),
        [],
    ),
    "its time is up": (
        fleet(generation(1, DRAINING, ready(1, 0, told=SIGTERM, kill_at=NOW)), generation(2, SERVING, *NEW)),
        ["SIGKILL 10 until 10"],
    ),
    "all have left": (fleet(generation(1, DRAINING), generation(2, SERVING, *NEW)), ["Dismiss 1"]),
    "the old zygote has time": (
        fleet(
            generation(1, DRAINING, zygote=ZygoteState(100, NOW, True, dismissed=True, kill_at=NOW + 1)),
            generation(2, SERVING, *NEW),
        ),
        [],
    ),
    "the old zygote does not leave": (
        fleet(
            generation(1, DRAINING, zygote=ZygoteState(100, NOW, True, dismissed=True, kill_at=NOW)),
            generation(2, SERVING, *NEW),
        ),
        ["KillZygote 1"],
    ),
    "nobody is left": (fleet(generation(1, DRAINING, zygote=None), generation(2, SERVING, *NEW)), ["Forget 1"]),
    "the new application is broken": (
        fleet(generation(1, SERVING, *OLD), generation(2, RISING, zygote=None, failure="app.py:3: SyntaxError")),
        ["GiveUp 2"],
    ),
    "one new worker dies and dies": (
        fleet(generation(1, SERVING, *OLD), generation(2, RISING, ready(1, 0), trouble={2: RestartBackoff(5, NOW)})),
        ["GiveUp 2"],
    ),
    "a worker of the old dies meanwhile": (
        fleet(generation(1, SERVING, ready(1, 0)), generation(2, RISING, zygote=loading(2))),
        ["fork 1: 2 at 1"],
    ),
    "asked again while it loads": (
        fleet(generation(1, SERVING, *OLD), generation(2, RISING, zygote=loading(2)), reload=True),
        ["generation"],
    ),
    "the superseded one is ended": (
        fleet(
            generation(1, SERVING, *OLD),
            generation(2, DRAINING, zygote=loading(2)),
            generation(3, RISING, zygote=loading(3)),
        ),
        ["KillZygote 2"],
    ),
    "asked again while workers boot": (
        fleet(generation(1, SERVING, *OLD), generation(2, RISING, ready(1, 0), booting(2, 1)), reload=True),
        [],
    ),
    "asked again when they are ready": (
        fleet(generation(1, SERVING, *OLD), generation(2, RISING, *NEW), reload=True),
        ["Promote 2"],
    ),
}

STOP = {
    "while the application loads": (
        fleet(generation(1, RISING, zygote=loading(1)), stop=Stop.GRACEFUL),
        ["Drain 1"],
    ),
    "that load is ended": (
        fleet(generation(1, DRAINING, zygote=loading(1)), stop=Stop.GRACEFUL),
        ["KillZygote 1"],
    ),
    "while workers boot": (
        fleet(generation(1, DRAINING, booting(1, 0), asked(2, 1)), stop=Stop.GRACEFUL),
        [f"SIGTERM 10 until {ABRUPT_MERCY:g}"],
    ),
    "gracefully": (
        fleet(generation(1, DRAINING, *OLD), stop=Stop.GRACEFUL),
        [f"SIGTERM 10 until {STOP_MERCY}", f"SIGTERM 21 until {STOP_MERCY}"],
    ),
    "in the midst of a reload": (
        fleet(generation(1, SERVING, *OLD), generation(2, RISING, *NEW), stop=Stop.GRACEFUL),
        ["Drain 1", "Drain 2"],
    ),
    "with less time than a worker was given before": (
        fleet(
            generation(1, DRAINING, ready(1, 0, told=SIGTERM, kill_at=NOW + 40)),
            stop=Stop.GRACEFUL,
        ),
        [f"SIGTERM 10 until {STOP_MERCY}"],
    ),
    "with more time than a worker was given before": (
        fleet(generation(1, DRAINING, ready(1, 0, told=SIGTERM, kill_at=NOW + 5)), stop=Stop.GRACEFUL),
        [],
    ),
    "the time is up": (
        fleet(generation(1, DRAINING, ready(1, 0, told=SIGTERM, kill_at=NOW)), stop=Stop.GRACEFUL, stop_since=NOW - 30),
        ["SIGKILL 10 until 10"],
    ),
    "at once": (
        fleet(generation(1, DRAINING, *OLD), stop=Stop.NOW),
        [f"SIGQUIT 10 until {ABRUPT_MERCY:g}", f"SIGQUIT 21 until {ABRUPT_MERCY:g}"],
    ),
    "at once, after all": (
        fleet(generation(1, DRAINING, ready(1, 0, told=SIGTERM, kill_at=NOW + 5)), stop=Stop.NOW),
        [f"SIGQUIT 10 until {ABRUPT_MERCY:g}"],
    ),
    "at once is not at once enough": (
        fleet(generation(1, DRAINING, ready(1, 0, told=SIGQUIT, kill_at=NOW)), stop=Stop.NOW, stop_since=NOW - 1),
        ["SIGKILL 10 until 1"],
    ),
    "the workers have left": (fleet(generation(1, DRAINING), stop=Stop.GRACEFUL), ["Dismiss 1"]),
    "the zygote has left": (fleet(generation(1, DRAINING, zygote=None), stop=Stop.GRACEFUL), ["Forget 1"]),
    "all have left": (fleet(stop=Stop.GRACEFUL), ["finish"]),
}


def chain(*workers: WorkerState, taken: int = 0, **known: object) -> Generation:
    return generation(2, RISING, *workers, kind=ReloadKind.CHAIN, taken=taken, **known)


CHAIN = {
    "the new application is loading": (
        fleet(generation(1, SERVING, *OLD), chain(zygote=loading(2))),
        [],
    ),
    "one worker is forked": (fleet(generation(1, SERVING, *OLD), chain()), ["fork 2: 1 at 0"]),
    "it boots": (fleet(generation(1, SERVING, *OLD), chain(booting(1, 0))), []),
    "it is ready": (fleet(generation(1, SERVING, *OLD), chain(ready(1, 0))), ["TakeOver 2"]),
    "the old one leaves": (
        fleet(generation(1, SERVING, *OLD), chain(ready(1, 0), taken=1)),
        [f"SIGTERM 10 until {MERCY}"],
    ),
    "the old one takes its time": (
        fleet(
            generation(1, SERVING, ready(1, 0, told=SIGTERM, kill_at=NOW + 1), ready(2, 1)),
            chain(ready(1, 0), taken=1),
        ),
        [],
    ),
    "the old one has left": (
        fleet(generation(1, SERVING, ready(2, 1)), chain(ready(1, 0), taken=1)),
        ["fork 2: 2 at 1"],
    ),
    "the last one is ready": (fleet(generation(1, SERVING, ready(2, 1)), chain(*NEW, taken=1)), ["Promote 2"]),
    "a worker that has taken over dies": (
        fleet(generation(1, SERVING, ready(2, 1)), chain(taken=1)),
        ["fork 2: 1 at 0", "fork 2: 2 at 1"],
    ),
    "an old one dies whose turn comes later": (
        fleet(generation(1, SERVING, ready(1, 0)), chain(booting(1, 0))),
        ["fork 1: 2 at 1"],
    ),
    "a worker dies and dies": (
        fleet(generation(1, SERVING, ready(2, 1)), chain(ready(1, 0), taken=1, trouble={2: RestartBackoff(5, NOW)})),
        ["GiveUp 2"],
    ),
    "it was given up: the old one is completed, and relieved by nobody meanwhile": (
        fleet(generation(1, SERVING, ready(2, 1)), generation(2, DRAINING, ready(1, 0), taken=1)),
        ["fork 1: 1 at 0"],
    ),
    "it was given up: the old one is complete": (
        fleet(generation(1, SERVING, *OLD), generation(2, DRAINING, ready(1, 0), taken=1)),
        [f"SIGTERM 10 until {MERCY}"],
    ),
    "it was given up, and then the server stops": (
        fleet(generation(1, DRAINING, zygote=None), generation(2, DRAINING, ready(1, 0), taken=1), stop=Stop.GRACEFUL),
        ["Forget 1", f"SIGTERM 10 until {STOP_MERCY}"],
    ),
    "more workers than before": (
        fleet(generation(1, SERVING, count=1, size=1), chain(ready(1, 0), taken=1)),
        ["fork 2: 2 at 1"],
    ),
    "fewer workers than before": (
        fleet(generation(1, SERVING, *OLD), chain(ready(1, 0), count=1)),
        ["Promote 2"],
    ),
    "nobody is recycled meanwhile": (
        fleet(generation(1, SERVING, ready(1, 0), ready(2, 1, retiring="x")), chain(booting(1, 0))),
        [],
    ),
    "another reload waits": (
        fleet(generation(1, SERVING, *OLD), chain(booting(1, 0)), reload=True),
        [],
    ),
}

COUNT = {
    "one less": (fleet(generation(1, SERVING, *OLD, count=1)), [f"SIGTERM 21 until {MERCY}"]),
    "one less, which was not heard of yet": (fleet(generation(1, SERVING, ready(1, 0), asked(2, 1), count=1)), []),
    "one more": (fleet(generation(1, SERVING, ready(1, 0))), ["fork 1: 2 at 1"]),
    "one more, while the one before leaves": (
        fleet(generation(1, SERVING, ready(1, 0), ready(2, 1, told=SIGTERM, kill_at=NOW + 1))),
        ["fork 1: 2 at 2"],
    ),
    "nobody": (
        fleet(generation(1, SERVING, *OLD, count=0)),
        [f"SIGTERM 10 until {MERCY}", f"SIGTERM 21 until {MERCY}"],
    ),
    "nobody, from the start": (fleet(generation(1, RISING, count=0)), ["Promote 1"]),
    "nobody, but the application is loading": (fleet(generation(1, RISING, zygote=loading(1), count=0)), []),
}


def leaving(number: int, seat: int, kill_at: float = 5.0) -> WorkerState:
    return ready(number, seat, told=SIGTERM, kill_at=NOW + kill_at)


CROWD = {
    "two drain": (
        fleet(
            generation(1, DRAINING, leaving(1, 0)), generation(2, DRAINING, leaving(1, 0)), generation(3, SERVING, *NEW)
        ),
        [],
    ),
    "a third one does": (
        fleet(
            generation(1, DRAINING, leaving(1, 0)),
            *[generation(number, DRAINING, leaving(1, 0)) for number in (2, 3)],
            generation(4, SERVING, *NEW),
        ),
        [f"hasten 1 until {ABRUPT_MERCY:g}"],
    ),
    "the oldest was told": (
        fleet(
            generation(1, DRAINING, leaving(1, 0), leaving(2, 1, 0.5), ends_at=NOW + 0.75),
            *[generation(number, DRAINING, leaving(1, 0)) for number in (2, 3)],
            generation(4, SERVING, *NEW),
        ),
        ["SIGTERM 10 until 0.75"],
    ),
    "and a fourth one": (
        fleet(
            generation(1, DRAINING, leaving(1, 0, 0.5), ends_at=NOW + 0.5),
            *[generation(number, DRAINING, leaving(1, 0)) for number in (2, 3, 4)],
            generation(5, SERVING, *NEW),
        ),
        [f"hasten 2 until {ABRUPT_MERCY:g}"],
    ),
    "its time is up": (
        fleet(
            generation(1, DRAINING, leaving(1, 0, 0), ends_at=NOW),
            *[generation(number, DRAINING, leaving(1, 0)) for number in (2, 3)],
            generation(4, SERVING, *NEW),
        ),
        ["SIGKILL 10 until 10"],
    ),
    "one whose workers have left does not count": (
        fleet(
            generation(1, DRAINING, zygote=ZygoteState(100, NOW, True, dismissed=True, kill_at=NOW + 1)),
            *[generation(number, DRAINING, leaving(1, 0)) for number in (2, 3)],
            generation(4, SERVING, *NEW),
        ),
        [],
    ),
    "nor does one that still serves for a chain that failed": (
        fleet(
            generation(1, SERVING, ready(2, 1), booting(1, 0)),
            generation(2, DRAINING, ready(1, 0), leaving(2, 1), taken=1),
            *[generation(number, DRAINING, leaving(1, 0)) for number in (3, 4)],
        ),
        [],
    ),
    "any number may": (
        fleet(*[generation(number, DRAINING, leaving(1, 0)) for number in range(1, 9)], most_draining=0),
        [],
    ),
    "none may": (
        fleet(generation(1, DRAINING, leaving(1, 0)), generation(2, SERVING, *NEW), most_draining=1),
        [],
    ),
    "a chain's last worker drains with it": (
        fleet(
            generation(1, DRAINING, leaving(2, 1)),
            *[generation(number, DRAINING, leaving(2, 1)) for number in (2, 3)],
            generation(4, SERVING, *NEW, kind=ReloadKind.CHAIN, taken=1),
        ),
        [f"hasten 1 until {ABRUPT_MERCY:g}"],
    ),
    "the server stops, and gives the oldest no more time for that": (
        fleet(
            generation(1, DRAINING, leaving(1, 0, 0.5), ends_at=NOW + 0.5),
            *[generation(number, DRAINING, leaving(1, 0, 20)) for number in (2, 3)],
            stop=Stop.GRACEFUL,
        ),
        [],
    ),
}

UNTOLD = {
    "its zygote has not told of a killed worker's death": (
        fleet(generation(1, SERVING, ready(1, 0, told=SIGKILL, kill_at=NOW), ready(2, 1), booting(1, 2))),
        ["KillZygote 1"],
    ),
    "it has time": (
        fleet(generation(1, SERVING, ready(1, 0, told=SIGKILL, kill_at=NOW + 0.1), ready(2, 1), booting(1, 2))),
        [],
    ),
    "that zygote was killed for it": (
        fleet(
            generation(
                1,
                DRAINING,
                ready(1, 0, told=SIGKILL, kill_at=NOW),
                zygote=ZygoteState(100, NOW, loaded=True, dismissed=True),
            ),
        ),
        [],
    ),
    "the worker is the master's own child": (
        fleet(generation(1, DRAINING, ready(1, 0, told=SIGKILL, kill_at=NOW), zygote=loading(7))),
        [],
    ),
    "a worker that is too large is killed, and the zygote has its time too": (
        fleet(generation(1, SERVING, ready(1, 0, stuck="evil-reload-on-rss 5", end_by=SIGKILL), ready(2, 1))),
        [f"SIGKILL 10 until {ZYGOTE_ROLE.mercy:g}"],
    ),
    "the server stops at once, and a zygote does not leave": (
        fleet(
            generation(
                1,
                DRAINING,
                zygote=ZygoteState(100, NOW, True, dismissed=True, kill_at=NOW + ZYGOTE_ROLE.mercy - ABRUPT_MERCY),
            ),
            stop=Stop.NOW,
        ),
        ["KillZygote 1"],
    ),
    "the server stops at once, and a zygote does not fork": (
        fleet(generation(1, DRAINING, asked(1, 0, since=NOW - ABRUPT_MERCY)), stop=Stop.NOW),
        ["KillZygote 1"],
    ),
}

TABLES = {
    "crowd": CROWD,
    "untold": UNTOLD,
    "chain": CHAIN,
    "count": COUNT,
    "boot": BOOT,
    "deaths": DEATHS,
    "retiring": RETIRING,
    "stuck": STUCK,
    "reload": RELOAD,
    "stop": STOP,
}
CASES = [
    pytest.param(known, expected, id=f"{table}: {case}")
    for table, cases in TABLES.items()
    for case, (known, expected) in cases.items()
]


@pytest.mark.parametrize(("known", "expected"), CASES)
def test_plan(known: Fleet, expected: list[str]) -> None:
    before = copy.deepcopy(known)
    assert [words(action) for action in plan.plan(known, NOW)] == expected
    assert known == before, "a plan changes nothing"


def test_why_a_worker_is_killed_names_the_option() -> None:
    slow = ready(1, 0, told=SIGTERM, kill_at=NOW)
    (killed,) = plan.plan(fleet(generation(1, DRAINING, slow)), NOW)
    assert isinstance(killed, plan.Tell)
    assert killed.why == "it did not leave within worker-reload-mercy 10"
    (killed,) = plan.plan(fleet(generation(1, DRAINING, slow, ends_at=NOW)), NOW)
    assert isinstance(killed, plan.Tell)
    assert killed.why == "more than 2 generations drain (draining-generations)"
    (killed,) = plan.plan(fleet(generation(1, DRAINING, slow), stop=Stop.GRACEFUL, stop_since=NOW - 30), NOW)
    assert isinstance(killed, plan.Tell)
    assert killed.why == "it did not leave within reload-mercy 30"


def test_backoff_starts_at_nothing_and_ends_at_half_a_minute() -> None:
    assert [backoff(deaths, 30.0) for deaths in range(5)] == [0, 0, 0.25, 0.5, 1]
    assert backoff(100, WORKER_ROLE.longest_backoff) == 30


@pytest.mark.parametrize(
    ("deaths", "waits"),
    [
        ("uuuuuuu", [0, 0.25, 0.5, 1, 2, 4, 8]),
        ("rrrrrrr", [0, 0.25, 0.5, 1, 1, 1, 1]),
        ("rrrrruu", [0, 0.25, 0.5, 1, 1, 0, 0.25]),
        ("uuuuuur", [0, 0.25, 0.5, 1, 2, 4, WORKER_ROLE.longest_after_ready]),
        ("rrrrlrr", [0, 0.25, 0.5, 1, 0, 0, 0.25]),
    ],
    ids=["never ready", "ready", "ready, then no more", "not ready, then ready", "one lives long"],
)
def test_only_those_that_were_never_ready_wait_for_long(deaths: str, waits: list[float]) -> None:
    """u: died before it was ready; r: as soon as it was; l: later."""
    trouble, seen = RestartBackoff(), list[float]()
    for death in deaths:
        trouble.died(WORKER_ROLE, death != "l", NOW, was_ready=death != "u")
        seen.append(trouble.not_before - NOW)
    assert seen == waits


@pytest.mark.parametrize(
    ("known", "crashed"),
    [
        ({}, True),
        ({"stuck": "harakiri", "told": SIGABRT}, True),
        ({"told": SIGTERM}, False),
        ({"ready_at": None}, False),
    ],
    ids=["it died", "it blocked", "it was told to leave", "it was never ready"],
)
@pytest.mark.parametrize("before", [False, True])
def test_whose_successor_is_on_probation(known: dict[str, object], crashed: bool, before: bool) -> None:
    made = generation(1, SERVING, worker := ready(1, 0, **known), trouble={1: RestartBackoff(crashed=before)})
    made.worker_gone(worker, NOW)
    assert made.trouble[1].crashed is (crashed or (before and "told" not in known))
