"""Harakiri's second level: only a blocked loop with a request past its deadline ends the process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from greenwsgi.log.server import ServerLog
from greenwsgi.serve.monitor import EXIT_HARAKIRI, Monitor
from greenwsgi.shared.scoreboard import Scoreboard, Seat


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
    read, write = os.pipe()
    left: list[int] = []
    seat.beat(beat)
    seat.begin(2, 90.0, deadline, b"1.2.3.4\tGET\t/stuck\tHTTP/1.1")
    Monitor(seat, -1, 60, ServerLog(write), Hand(), left.append).look()
    os.close(write)
    with os.fdopen(read) as log:
        said = log.read()
    assert left == ([EXIT_HARAKIRI] if ends else [])
    assert bool(said) == ends
    if ends:
        assert "worker 3 has been blocked for 2.0 s" in said
        assert "GET /stuck from 1.2.3.4 on core 2" in said
        assert "test_when_it_ends_the_process" in said  # the stack of the thread that was watched
