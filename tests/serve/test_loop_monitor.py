"""Harakiri's second level: only a blocked loop with a request past its deadline ends the process."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from greenwsgi.errors import EXIT_HARAKIRI
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve.deadlines import NEVER
from greenwsgi.serve.loop_monitor import ROUND, LoopMonitor
from greenwsgi.shared.metrics import BLOCKED_LOOPS
from greenwsgi.shared.scoreboard import Scoreboard, Seat
from greenwsgi.wsgi.run_application import run


class Hand:
    """A clock turned by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@pytest.fixture
def seat() -> Iterator[Seat]:
    board = Scoreboard.create(1, 4)
    board.seats[0].occupy(3, 1, os.getpid())
    yield board.seats[0]
    board.close()


@pytest.mark.parametrize(
    ("beat", "deadline", "ends"),
    [
        (100.0, 98.0, False),  # the loop turns: the first level's business
        (98.0, float("inf"), False),  # blocked, but no deadline
        (98.0, 99.5, False),  # blocked, within its grace
        (98.0, 98.9, True),
        (99.5, 90.0, False),  # long past, but the loop may still do it
    ],
)
def test_when_it_ends_the_process(seat: Seat, beat: float, deadline: float, ends: bool) -> None:
    left: list[int] = []
    seat.beat(beat)
    seat.begin(2, 90.0, deadline, b"1.2.3.4\tGET\t/stuck\tHTTP/1.1")

    def story(monitor: LoopMonitor, clock: Hand) -> None:
        clock.now = 99.25
        rounds(monitor, clock, 100.0)

    said = watched(seat, story, 0, left.append)
    assert left == ([EXIT_HARAKIRI] if ends else [])
    assert bool(said) == ends
    if ends:
        assert "worker 3 has been blocked for 2.0 s" in said
        assert "GET /stuck from 1.2.3.4 on core 2" in said
        assert "test_when_it_ends_the_process" in said  # the stack of the thread that was watched


def watched(
    seat: Seat,
    story: Callable[[LoopMonitor, Hand], None],
    warning: float,
    leave: Callable[[int], object] = os._exit,
) -> str:
    """What a monitor logs in a story."""
    clock = Hand()
    with tempfile.TemporaryFile() as log:
        story(LoopMonitor(seat, -1, 60, ServerLog(log.fileno()), clock, leave, warning=warning), clock)
        log.seek(0)
        return log.read().decode()


def rounds(monitor: LoopMonitor, clock: Hand, end: float) -> None:
    """Its thread looks until then."""
    while clock.now < end:
        clock.now += ROUND
        monitor.look()


def blocked_and_free_again(monitor: LoopMonitor, clock: Hand) -> None:
    rounds(monitor, clock, 103.25)
    monitor.turned(100.0, 103.4)


def test_a_blocked_loop_is_told_once_with_its_stack_and_once_more_when_it_turns(seat: Seat) -> None:
    seat.beat(100.0)
    seat.begin(1, 99.0, float("inf"), b"1.2.3.4\tGET\t/\tHTTP/1.1")
    said = watched(seat, blocked_and_free_again, warning=1)
    assert said.count("loop is blocked, for 1.0 s so far") == 1
    assert "requests that wait or block: 1" in said
    assert "test_a_blocked_loop_is_told_once" in said  # the stack
    assert said.count("turns again after 3.4 s") == 1
    assert seat.counters[BLOCKED_LOOPS] == 1


def test_each_blockage_is_told(seat: Seat) -> None:
    def twice(monitor: LoopMonitor, clock: Hand) -> None:
        for start in (100.0, 103.0):
            clock.now = start
            seat.beat(start)
            rounds(monitor, clock, start + 2)
            monitor.turned(start, start + 2.1)

    lines = watched(seat, twice, warning=1).splitlines()
    assert sum(line.endswith("turns again after 2.1 s") for line in lines) == 2
    assert seat.counters[BLOCKED_LOOPS] == 2


def as_request(request: Any, look: Callable[[], None]) -> None:
    """Call `look` as the application of a request, on whose stack it is found."""

    def application(_environ: Any, _start_response: Any) -> list[bytes]:
        look()
        return []

    response: Any = SimpleNamespace(begun=True, start_response=None, finish=lambda: None)
    run(application, {}, response, None, request)


@pytest.mark.parametrize(
    ("deadline", "innocent", "ends"),
    [
        (99.0, NEVER, True),
        (200.0, 98.0, False),  # the one that is late waits for one that still has time
        (NEVER, 98.0, True),  # it has no deadline that would end the wait of the other
        (NEVER, NEVER, False),
    ],
)
def test_only_a_request_that_blocks_the_loop_is_blamed(
    seat: Seat, deadline: float, innocent: float, ends: bool
) -> None:
    seat.beat(98.0)
    seat.begin(1, 90.0, deadline, b"1.2.3.4\tGET\t/guilty\tHTTP/1.1")
    seat.begin(2, 90.0, innocent, b"1.2.3.4\tGET\t/innocent\tHTTP/1.1")
    left: list[int] = []

    def blocks(monitor: LoopMonitor, clock: Hand) -> None:
        as_request(
            SimpleNamespace(core=1, deadline=deadline, what="GET /guilty"), lambda: rounds(monitor, clock, 101.0)
        )

    said = watched(seat, blocks, warning=0, leave=left.append)
    assert bool(left) == ends
    assert ("past their deadline: GET /" in said) == ends


def test_a_loop_that_many_greenlets_keep_busy_is_not_blocked(seat: Seat) -> None:
    """Each look finds another request there: none of them blocks, and the first level ends those that are late."""
    seat.beat(98.0)
    left: list[int] = []

    def busy(monitor: LoopMonitor, clock: Hand) -> None:
        frames = []  # a frame that is kept has an address that no other gets

        def look() -> None:
            clock.now += ROUND
            monitor.look()
            frames.append(sys._getframe(2))

        for core in range(4):
            seat.begin(core, 90.0, 95.0, b"1.2.3.4\tGET\t/\tHTTP/1.1")
        for core in (0, 1, 2, 3) * 4:
            as_request(SimpleNamespace(core=core, deadline=95.0, what="GET /"), look)

    watched(seat, busy, warning=0, leave=left.append)
    assert left == []


@pytest.mark.parametrize(
    ("warning", "gap", "told"), [(0, 100.0, False), (5, 4.75, False), (5, 5.0, True), (0.01, 0.25, False)]
)
def test_blocked_loop_warning_says_how_long_is_too_long(seat: Seat, warning: float, gap: float, told: bool) -> None:
    def once(monitor: LoopMonitor, clock: Hand) -> None:
        rounds(monitor, clock, 100.0 + gap)

    seat.beat(100.0)
    assert bool(watched(seat, once, warning)) == told


def test_code_that_keeps_the_gil_is_told_of_when_it_lets_go(seat: Seat) -> None:
    said = watched(seat, lambda monitor, _: monitor.turned(100.0, 103.0), warning=1)
    assert "was blocked for 3.0 s by native code that kept the GIL" in said
    assert seat.counters[BLOCKED_LOOPS] == 1


def test_a_worker_that_boots_is_not_blocked(seat: Seat) -> None:
    """Before the first heartbeat there is no loop to be blocked."""

    def boots(monitor: LoopMonitor, clock: Hand) -> None:
        clock.now = 500.0
        monitor.look()
        monitor.turned(0.0, 500.0)

    assert watched(seat, boots, warning=1) == ""


def test_a_worker_that_was_stopped_is_not_blocked(seat: Seat) -> None:
    """Nobody of it ran: SIGSTOP, a paused container. Its loop gets the time that any loop has, from then on."""
    left: list[int] = []

    def stopped(monitor: LoopMonitor, clock: Hand) -> None:
        rounds(monitor, clock, 100.25)
        clock.now = 160.0
        monitor.look()
        rounds(monitor, clock, 160.75)
        assert left == []
        rounds(monitor, clock, 161.0)

    seat.beat(100.0)
    seat.begin(1, 99.0, 130.0, b"1.2.3.4\tGET\t/\tHTTP/1.1")
    said = watched(seat, stopped, warning=1, leave=left.append)
    assert left == [EXIT_HARAKIRI]
    assert said.count("loop is blocked, for 1.0 s so far") == 1
    assert "has been blocked for 1.0 s" in said
