"""Over a re-exec: plain data and back, other versions, and a master that goes on where another one left off."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM
from typing import Any, cast

import pytest

from greenwsgi.process.lifecycle.handover import Handover, plain, typed
from greenwsgi.process.supervision.event_inbox import Asked
from greenwsgi.process.supervision.fleet import (
    Fleet,
    Generation,
    GenerationStage,
    ReloadKind,
    Stop,
    WorkerState,
    ZygoteState,
)
from greenwsgi.process.supervision.master import Master
from greenwsgi.process.supervision.restart_backoff import RestartBackoff
from greenwsgi.shared.metrics import REQUESTS
from greenwsgi.shared.resources import SCOREBOARD
from greenwsgi.shared.scoreboard import LAYOUT, Stage
from tests.process.world import World


def travelled(value: Any) -> Any:
    return typed(type(value), json.loads(json.dumps(plain(value))))


def test_a_fleet_travels() -> None:
    worker = WorkerState(1, 0, 100, 3.5, pid=7, ready_at=4.0, told=SIGTERM, kill_at=9.0)
    generation = Generation(
        2, 1, 60.0, GenerationStage.SERVING, ZygoteState(100, 1.0), {0: worker}, {0: RestartBackoff(2, 1.0)}
    )
    fleet = Fleet(60.0, [generation], 2, ReloadKind.CHAIN, Stop.GRACEFUL, 1.0, paused=True)
    assert travelled(fleet) == fleet
    assert travelled(replace(worker, ready_at=None, kill_at=inf)).kill_at == inf


def test_another_greenwsgi_may_know_more_or_less() -> None:
    data = plain(ZygoteState(100, 1.0))
    assert typed(ZygoteState, data | {"colour": "red"}) == ZygoteState(100, 1.0)
    del data["loaded"]
    assert typed(ZygoteState, data) == ZygoteState(100, 1.0)


@pytest.mark.parametrize(
    "wrong", [{}, [], {"pid": "x", "since": 1.0}, {"pid": 1}, {"pid": 1, "since": 1.0, "kill_at": None}]
)
def test_nonsense_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="makes no sense here"):
        typed(ZygoteState, wrong)


def test_an_unknown_member_is_refused() -> None:
    with pytest.raises(ValueError, match="makes no sense here"):
        typed(Fleet, plain(Fleet(60.0)) | {"stop": "SIDEWAYS"})


# A world whose master is executed anew


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "log")
    world.run(1.0)
    assert world.serving() == [(1, 1), (1, 2)]
    yield world
    world.close()


def handed_over(world: World) -> Handover:
    return cast(Handover, travelled(world.master.hand_over()))


def execute(world: World, handed: Handover) -> None:
    """Put another master in the old one's place."""
    world.master = Master(replace(world.setup, fleet=handed.fleet, handed=handed))


def requests(world: World) -> int:
    found = world.master.status(world.now)["totals"]
    return sum(one["requests"] for one in found)


def test_it_goes_on_and_the_next_reload_relieves_the_old_workers(world: World) -> None:
    execute(world, handed_over(world))
    world.run(5)
    assert world.serving() == [(1, 1), (1, 2)]
    world.signal(SIGHUP)
    world.run(5)
    assert world.serving() == [(2, 1), (2, 2)]
    world.finish()


@pytest.mark.parametrize("steps", range(12))
def test_at_any_moment_of_a_reload(world: World, steps: int) -> None:
    world.signal(SIGHUP)
    for _ in range(steps):
        world.step()
    execute(world, handed_over(world))
    world.run(10)
    assert {number for _, number in world.serving()} == {1, 2}
    world.finish()


def test_old_workers_that_die_are_replaced_and_counted(world: World) -> None:
    execute(world, handed_over(world))
    before = requests(world)
    assert before == 2
    victim = world.workers()[0]
    world.die(victim, -SIGKILL)
    world.run(5)
    assert world.serving() == [(1, 1), (1, 2)]
    assert requests(world) == before + 1
    world.finish()


def test_what_was_asked_for_at_the_last_moment_is_done(world: World) -> None:
    world._notes.append(Asked("statistics", "fifo"))
    world.master.note_all()
    execute(world, handed_over(world))
    world.run(1)
    assert "since the start:" in world.log
    world.finish()


def test_boards_of_another_layout_are_not_read(world: World) -> None:
    for worker in world.workers():
        seat = world.master.cycles[1].board.seats[worker.seat]
        assert seat.stage is not Stage.FREE
        seat.counters[REQUESTS] += 10
    before, handed = requests(world), handed_over(world)
    execute(world, replace(handed, layout="of another greenwsgi"))
    assert requests(world) == before
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handed.cycles[1].resources.fd(SCOREBOARD))
    world.die(world.workers()[0], -SIGKILL)
    world.run(5)
    assert world.serving() == [(1, 1), (1, 2)]
    assert requests(world) >= before
    world.finish()


def test_the_document_names_its_layout(world: World) -> None:
    assert handed_over(world).layout == LAYOUT
