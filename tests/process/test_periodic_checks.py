"""What the master sees when it looks around: touched files, memory, how many workers are needed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from signal import SIGHUP

import pytest

from greenwsgi.process.control.commands import BY_NAME, CommandReply
from greenwsgi.process.supervision.fleet import GenerationStage
from greenwsgi.shared.metrics import IN_FLIGHT, LOOP_LAG_US, REQUESTS
from greenwsgi.shared.process_memory import MB, Memory
from tests.process.world import NOT_LONG, World


def test_more_and_fewer_workers(serving: World) -> None:
    for letter, numbers in (("+", [1, 2]), ("-", [1]), ("-", [1]), ("+", [1, 2])):
        serving.command(letter)
        serving.run(NOT_LONG)
        assert [number for _, number in serving.serving()] == numbers
    assert "leaves: 1 worker is enough" in serving.log
    serving.finish()


@pytest.mark.parametrize("first", [True, False], ids=["the first one", "a reload"])
def test_fewer_workers_while_one_loads(world: World, first: bool) -> None:
    if not first:
        world.run(NOT_LONG)
    world.load = lambda generation: "never"
    world.signal(SIGHUP)
    world.run(NOT_LONG)
    world.command("-")
    world.load = lambda generation: "ok"
    world.run(NOT_LONG)
    assert "fifo: 1 worker will run" in world.log
    assert world.serving() == [(world.master.fleet.born, 1)]
    world.finish()


@pytest.mark.parametrize("taken", [1, 2])
def test_fewer_workers_in_the_midst_of_a_chain_reload(tmp_path: Path, taken: int) -> None:
    world = World(tmp_path / "log", "processes=3")
    world.run(NOT_LONG)
    world.command("c")
    while not (chain := world.master.fleet.chain()) or chain.taken < taken:
        world.step()
    world.command("-")
    world.command("-")
    world.run(NOT_LONG)
    assert world.serving() == [(2, 1)]
    world.finish()
    world.close()


def test_fewer_than_none(tmp_path: Path) -> None:
    world = World(tmp_path / "log", "cheap=true")
    world.run(NOT_LONG)
    world.command("-")
    world.run(NOT_LONG)
    assert world.workers() == []
    assert "fifo: ignored: no worker will run" in world.log
    world.finish()
    world.close()


def test_a_worker_that_was_asked_for_is_not_idle_at_once(tmp_path: Path) -> None:
    world = World(tmp_path / "log", "idle=30")
    world.run(100)
    assert world.workers() == []
    world.boot = lambda generation, number: "never"  # nor has it had a request
    world.command("+")
    world.run(29)
    assert len(world.workers()) == 1
    world.run(3)
    assert world.workers() == []
    world.finish()
    world.close()


def test_who_knocks_at_a_server_that_stops_wakes_nobody(tmp_path: Path) -> None:
    world = World(tmp_path / "log", "cheap=true")
    world.run(NOT_LONG)
    world.knocking = True
    world.finish()
    assert "a connection has come" not in world.log
    world.close()


def test_touched_files(tmp_path: Path) -> None:
    file, other = tmp_path / "touched", tmp_path / "other"
    other.touch()
    world = World(
        tmp_path / "log", f"touch-reload={file}", f"touch-reload={other}", f"touch-chain-reload={other}.chain"
    )
    world.run(5)
    assert world.serving() == [(1, 1), (1, 2)], "nothing was touched"
    assert f"touch-reload {file}: there is no such file yet" in world.log
    file.touch()
    world.run(5)
    assert world.serving() == [(2, 1), (2, 2)]
    new = tmp_path / "new"
    os.utime(shutil.copy(other, new), ns=(1, other.stat().st_mtime_ns))
    new.rename(other)
    world.run(5)
    assert world.serving() == [(3, 1), (3, 2)], "another file of the same time and size"
    file.unlink()
    world.run(5)
    assert world.serving() == [(3, 1), (3, 2)]
    Path(f"{other}.chain").touch()
    world.run(5)
    assert world.serving() == [(4, 1), (4, 2)]
    assert "has taken over worker 1" in world.log
    assert f"touch-chain-reload {other}.chain: the application is loaded again, and" in world.log
    world.finish()
    world.close()


def small(tmp_path: Path, *options: str) -> World:
    """Of four workers one at first, and more when they are needed."""
    world = World(tmp_path / "log", "processes=4", "cheaper=1", *options)
    world.run(NOT_LONG)
    return world


def test_workers_come_when_they_are_needed_and_go(tmp_path: Path) -> None:
    world = small(tmp_path, "cheaper-algo=backlog")
    assert world.serving() == [(1, 1)]
    world.queue = 10
    world.run(5)
    assert len(world.serving()) == 4
    world.signal(SIGHUP)
    world.run(NOT_LONG)
    assert [number for _, number in world.serving()] == [1, 2, 3, 4], "a reload keeps what is needed"
    world.queue = 0
    world.run(60)
    assert world.serving() == [(2, 1)]
    assert "cheaper-algo backlog: 2 workers will run, not 1 (busy: 0 %; 10 connections wait)" in world.log
    world.finish()
    world.close()


def test_cheaper_initial(tmp_path: Path) -> None:
    world = small(tmp_path, "cheaper-initial=3")
    assert len(world.serving()) == 3
    world.finish()
    world.close()


def test_a_busy_worker_gets_company(tmp_path: Path) -> None:
    world = small(tmp_path, "cheaper-algo=busyness", "cheaper-busyness-verbose=true")
    seats = world.master.cycles[1].board.seats
    for counter, value in ((IN_FLIGHT, 4), (LOOP_LAG_US, 90_000)):
        for seat in seats:
            seat.counters[counter] = value
        before = len(world.serving())
        world.run(3.5)
        assert len(world.serving()) == before + 1
        for seat in seats:
            seat.counters[counter] = 0
    assert re.search(r"\] busyness: \d+ %, 0 connections wait", world.log)
    world.finish()
    world.close()


@pytest.mark.parametrize("options", [(), ("cheaper=2", "processes=3")], ids=["all", "by need"])
def test_cheap_and_idle(tmp_path: Path, options: tuple[str, ...]) -> None:
    world = World(tmp_path / "log", "cheap=true", "idle=30", *options)
    world.run(NOT_LONG)
    assert world.serving() == []
    assert "ready: generation 1 serves with 0 workers" in world.log
    for _ in range(2):
        world.knocking = True
        world.run(NOT_LONG)
        world.knocking = False
        assert len(world.serving()) == 2
        world.run(20)
        world.master.cycles[world.master.fleet.born].board.seats[0].counters[REQUESTS] += 1
        world.run(29)
        assert len(world.serving()) == 2
        world.run(3)
        assert world.serving() == []
        world.signal(SIGHUP)
        world.run(NOT_LONG)
        assert world.serving() == []
    assert "a connection has come: 2 workers will run" in world.log
    world.finish()
    world.close()


def test_asked_to_go_cheap(tmp_path: Path) -> None:
    world = World(tmp_path / "log", "cheaper=1", "cheaper-initial=2", "processes=3")
    cheap = BY_NAME["cheap"].apply
    world.run(NOT_LONG)
    for rises in (False, True):
        if rises:
            world.signal(SIGHUP)
            world.step()
            assert world.master.fleet.at(GenerationStage.RISING)
        assert cheap(world.master.fleet, world.now) == CommandReply("no worker will run until a connection comes")
        assert cheap(world.master.fleet, world.now) == CommandReply("ignored: no worker runs already", accepted=False)
        world.run(NOT_LONG)
        assert world.workers() == []
        world.knocking = True
        world.run(NOT_LONG)
        world.knocking = False
        assert world.serving() == [(1 + rises, 1), (1 + rises, 2)]
    world.finish()
    assert cheap(world.master.fleet, world.now) == CommandReply("ignored: the server stops", accepted=False)
    world.close()


def test_die_on_idle(tmp_path: Path) -> None:
    world = World(tmp_path / "log", "idle=30", "die-on-idle=true")
    world.run(32)
    assert world.over
    assert "idle 30: no request has come; the server stops" in world.log
    assert world.master.fleet.exit_status == 0
    world.close()


@pytest.mark.parametrize(("option", "size"), [("as", Memory(space=101 * MB)), ("rss", Memory(resident=101 * MB))])
def test_a_worker_that_is_too_large_is_killed(tmp_path: Path, option: str, size: Memory) -> None:
    world = World(tmp_path / "log", f"evil-reload-on-{option}=100")
    world.run(NOT_LONG)
    large, other = world.workers()
    world.sizes[large.pid] = size
    world.sizes[other.pid] = Memory(100 * MB, 100 * MB)
    world.run(4)
    assert f"worker 1 (pid {large.pid}) gets SIGKILL: evil-reload-on-{option} 100: it has 101 MB" in world.log
    assert other in world.workers()
    assert world.serving() == [(1, 1), (1, 2)]
    world.finish()
    world.close()
