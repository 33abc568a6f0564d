"""Reloads that meet each other: what is left of one that failed, or that another one took the place of."""

from __future__ import annotations

from math import inf
from pathlib import Path
from signal import SIGHUP
from typing import Any

import pytest

from greenwsgi.process.supervision.event_inbox import Asked
from greenwsgi.process.supervision.fleet import ReloadKind
from tests.process.world import NOT_LONG, World

# In a hurry


def test_a_reload_in_a_hurry_cuts_requests(serving: World) -> None:
    serving.stubborn = True
    serving.command("R")
    serving.run(4)
    assert serving.serving() == [(2, 1), (2, 2)]
    serving.stubborn = False
    serving.finish()


def test_the_hurry_of_a_reload_that_failed_is_over(serving: World) -> None:
    serving.load = lambda generation: "fail"
    serving.command("R")
    serving.run(NOT_LONG)
    serving.load, serving.stubborn = (lambda generation: "ok"), True
    serving.master.fleet.reload_asked(ReloadKind.WHOLE, serving.now)  # as a touched file does
    serving.run(30)
    assert serving.serving() == [(1, 1), (1, 2), (3, 1), (3, 2)], "the old workers have their mercy"
    serving.stubborn = False
    serving.finish()


def test_the_hurry_of_a_reload_is_not_spent_on_the_one_before(serving: World) -> None:
    serving.boot, serving.stubborn = (lambda generation, number: "never"), True
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    serving.command("R")
    serving.boot = lambda generation, number: "ok"
    for worker in serving.workers()[2:]:
        serving.ready(worker)
    serving.run(10)
    assert serving.serving() == [(1, 1), (1, 2), (3, 1), (3, 2)], "those of the second generation had to hurry alone"
    serving.stubborn = False
    serving.finish()


@pytest.mark.parametrize("moment", [0, NOT_LONG], ids=["asked for at once", "while it loads"])
def test_a_reload_after_one_in_a_hurry_is_in_a_hurry_too(serving: World, moment: float) -> None:
    serving.load, serving.stubborn = (lambda generation: "never"), True
    serving.command("R")
    serving.run(moment)
    serving.load = lambda generation: "ok"
    serving.signal(SIGHUP)
    serving.run(5)
    newest = serving.master.fleet.born
    assert serving.serving() == [(newest, 1), (newest, 2)]
    serving.stubborn = False
    serving.finish()


def test_a_reload_of_the_workers_does_not_undo_one_of_the_configuration(tmp_path: Path) -> None:
    read: list[int] = []
    world = World(tmp_path / "log", reread=lambda: read.append(1))
    world.run(NOT_LONG)
    world.load = lambda generation: "never"
    world.signal(SIGHUP)
    world.run(NOT_LONG)
    world.load = lambda generation: "ok"
    world.command("w")
    world.run(NOT_LONG)
    assert world.serving() == [(3, 1), (3, 2)]
    assert len(read) == 2
    world.finish()
    world.close()


# Many


@pytest.mark.parametrize("letters", ["r", "c", "w", "rcw"], ids=["whole", "chain", "workers", "one after the other"])
@pytest.mark.parametrize(("option", "most"), [("", 2), ("draining-generations=1", 1), ("draining-generations=0", 12)])
def test_of_many_reloads_two_generations_drain(tmp_path: Path, letters: str, option: str, most: int) -> None:
    """Each of the old workers has a request that takes longer than all of this."""
    world = World(tmp_path / "log", "processes=1", *filter(None, [option]))
    world.run(NOT_LONG)
    world.stubborn = True
    for count, letter in enumerate((letters * 12)[:12], 2):
        world.command(letter)
        world.run(3)
        assert world.serving() == [(number, 1) for number in range(1, count + 1)][-most - 1 :]
        assert len(world.zygotes()) == len(world.workers()) == min(count, most + 1)
    world.stubborn = False
    world.finish()
    world.close()


def hold(world: World) -> None:
    for worker in world.workers():
        seat = world.master.cycles[worker.generation].board.seats[worker.seat]
        seat.begin(0, 1.0, inf, b"192.0.2.1\tGET\t/poll\tHTTP/1.1")


def test_the_oldest_is_told_of_and_what_it_did_not_finish(serving: World) -> None:
    serving.stubborn = True
    for _ in range(3):
        hold(serving)
        serving.signal(SIGHUP)
        serving.run(0.75)
    assert "generation 1 has 1 s left: more than 2 generations drain (draining-generations)" in serving.log
    assert serving.serving()[:2] == [(1, 1), (1, 2)]
    serving.run(1.5)
    assert serving.serving()[0] == (2, 1)
    assert "gets SIGKILL: more than 2 generations drain (draining-generations)" in serving.log
    assert "generation 1 has ended, and 2 requests of it did not finish" in serving.log
    assert [request.uri for request in serving.killed] == ["/poll", "/poll"]
    serving.run(20)
    assert serving.serving()[0] == (2, 1), "the others have their mercy"
    serving.stubborn = False
    serving.finish()


def test_the_new_configuration_says_how_many_may_drain(tmp_path: Path) -> None:
    world = World(tmp_path / "log", "draining-generations=0")
    world.run(NOT_LONG)
    world.stubborn = True
    for _ in range(4):
        world.signal(SIGHUP)
        world.run(NOT_LONG)
    assert len(world.zygotes()) == 5
    world.settings = world.configured("draining-generations=1")
    world.signal(SIGHUP)
    world.run(3)
    assert len(world.zygotes()) == 2
    world.stubborn = False
    world.finish()
    world.close()


# Who waits for one


@pytest.fixture
def loading(serving: World) -> tuple[World, list[str]]:
    """One that waits for a reload whose import takes long; what it is answered."""
    serving.load, said = (lambda generation: "never"), list[str]()
    wait_for_reload(serving, said)
    serving.run(NOT_LONG)
    return serving, said


def wait_for_reload(world: World, said: list[str]) -> None:
    def answer(how: dict[str, Any]) -> None:
        said.append(how["said"])

    world._notes.append(Asked("reload", "control socket", answer, wait=True))


def test_who_is_refused_hears_it_and_who_asked_before_hears_of_his_own(loading: tuple[World, list[str]]) -> None:
    (world, first), second = loading, list[str]()
    with world.refusing("x.ini:1: no"):
        wait_for_reload(world, second)
        world.run(NOT_LONG)
    assert (first, second) == ([], ["reload refused, nothing has changed: x.ini:1: no"])
    world.load = lambda generation: "ok"
    world.run(NOT_LONG)
    assert first == ["reloaded: generation 2 serves with 2 workers; generation 1 drains"]
    assert len(second) == 1
    world.finish()


def test_one_that_takes_the_place_of_another_is_the_answer_to_both(loading: tuple[World, list[str]]) -> None:
    (world, first), second = loading, list[str]()
    world.load = lambda generation: "fail"
    wait_for_reload(world, second)
    world.run(NOT_LONG)
    assert first == second == ["reload failed: generation 3: app.py:3: no; generation 1 serves on"]
    world.finish()


def test_who_asks_while_workers_boot_hears_of_the_next_one(serving: World) -> None:
    serving.boot, first, second = (lambda generation, number: "never"), list[str](), list[str]()
    wait_for_reload(serving, first)
    serving.run(NOT_LONG)
    wait_for_reload(serving, second)
    serving.run(NOT_LONG)
    for worker in serving.workers()[2:]:
        serving.ready(worker)
    serving.run(NOT_LONG)
    assert first == ["reloaded: generation 2 serves with 2 workers; generation 1 drains"]
    assert second == []
    serving.boot = lambda generation, number: "die"
    serving.run(60)
    assert second
    assert second[0].startswith("reload failed: generation 3: ")
    serving.finish()


def test_who_waits_while_the_server_stops_is_told(loading: tuple[World, list[str]]) -> None:
    world, said = loading
    world.finish()
    assert said == ["the server stops"]
