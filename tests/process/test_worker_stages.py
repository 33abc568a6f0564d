"""A worker's life as the master sees it: what may follow what, and that nothing else does."""

from __future__ import annotations

from itertools import product
from math import inf
from signal import SIGABRT, SIGKILL, SIGQUIT, SIGTERM, Signals

import pytest

from greenwsgi.process.lifecycle.handover import plain, typed
from greenwsgi.process.supervision.fleet import WORKER_TRANSITIONS, IllegalTransitionError, WorkerStage, WorkerState

ASKED, BOOTING, SERVING, LEAVING, KILLED = WorkerStage


def worker(stage: WorkerStage) -> WorkerState:
    """A worker at that stage, which it reached on the usual way."""
    made = WorkerState(1, 0, 10, 0.0)
    if stage is not ASKED:
        made.heard(20)
    if stage is SERVING:
        made.ready(1.0)
    elif stage is LEAVING:
        made.tell(SIGTERM, 9.0)
    elif stage is KILLED:
        made.tell(SIGKILL, 9.0)
    assert made.stage is stage
    return made


EVENTS = {
    BOOTING: lambda one: one.heard(20),
    SERVING: lambda one: one.ready(2.0),
    LEAVING: lambda one: one.tell(SIGQUIT, 9.0),
    KILLED: lambda one: one.tell(SIGABRT, 9.0),
}


@pytest.mark.parametrize(("stage", "then"), [*product(WorkerStage, EVENTS)])
def test_only_what_the_table_says_may_follow(stage: WorkerStage, then: WorkerStage) -> None:
    one = worker(stage)
    if then in WORKER_TRANSITIONS[stage]:
        EVENTS[then](one)
        assert one.stage is then
    elif (stage, then) == (KILLED, SERVING):  # its READY was under way
        EVENTS[then](one)
        assert (one.stage, one.ready_at) == (KILLED, 2.0)
    else:
        with pytest.raises(IllegalTransitionError, match="cannot be"):
            EVENTS[then](one)


def test_one_that_was_told_while_it_booted_is_told_again() -> None:
    one = worker(LEAVING)
    one.ready(2.0)
    assert (one.stage, one.told, one.kill_at, one.serves) == (SERVING, None, inf, True)


@pytest.mark.parametrize(
    ("pid", "ready_at", "told", "stage"),
    [
        (0, None, None, ASKED),
        (5, None, None, BOOTING),
        (5, 1.0, None, SERVING),
        (5, 1.0, SIGTERM, LEAVING),
        (5, None, SIGQUIT, LEAVING),
        (5, 1.0, SIGABRT, KILLED),
    ],
)
def test_the_stage_of_a_worker_that_an_older_greenwsgi_hands_over(
    pid: int, ready_at: float | None, told: Signals | None, stage: WorkerStage
) -> None:
    document = plain(WorkerState(1, 0, 10, 0.0, pid=pid, ready_at=ready_at, told=told))
    del document["stage"]
    assert typed(WorkerState, document).stage is stage


@pytest.mark.parametrize("stage", WorkerStage)
def test_the_stage_is_handed_over(stage: WorkerStage) -> None:
    assert typed(WorkerState, plain(worker(stage))).stage is stage
