"""The master in a world of pretended processes: whole stories, with a clock turned by hand."""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGURG, Signals
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.errors import UsageError
from greenwsgi.process.commands import BY_NAME
from greenwsgi.process.fleet import EXIT_APP_FAILED, GenerationStage
from greenwsgi.process.inbox import Asked
from greenwsgi.shared.memory import MB, Memory
from greenwsgi.shared.messages import Word
from greenwsgi.shared.metrics import IN_FLIGHT, LOOP_LAG_US, REQUESTS
from tests.process.world import World

NOT_LONG = 1.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "log")
    yield world
    world.close()


@pytest.fixture
def serving(world: World) -> World:
    world.run(NOT_LONG)
    assert world.serving() == [(1, 1), (1, 2)]
    return world


def finish(world: World, number: Signals = SIGTERM) -> None:
    world.signal(number)
    world.run(200)
    assert world.over
    assert world.zygotes() == []
    assert world.workers() == []
    assert "in the master" not in world.log


def test_boot_says_where_it_serves(serving: World) -> None:
    pid = os.getpid()
    assert f"ready: generation 1 serves with 2 workers: http://127.0.0.1:80 (pid {pid})" in serving.log
    finish(serving)
    assert serving.master.fleet.exit_status == 0


def test_reload(serving: World) -> None:
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    assert serving.serving() == [(2, 1), (2, 2)]
    assert "reloaded: generation 2 serves with 2 workers; generation 1 drains" in serving.log
    assert len(serving.zygotes()) == 1
    finish(serving)


def test_who_waits_for_a_reload_during_the_start_is_answered(world: World) -> None:
    answers: list[dict[str, Any]] = []
    world._notes.append(Asked("reload", "control socket", answers.append, wait=True))
    world.run(NOT_LONG)
    assert [answer["ok"] for answer in answers] == [True]
    finish(world)


@pytest.mark.parametrize(
    ("how", "why"), [("fail", "app.py:3: no"), ("crash", "died by signal 11 (SIGSEGV) while it loaded the application")]
)
def test_a_broken_application_leaves_the_old_one_serving(serving: World, how: str, why: str) -> None:
    serving.load = lambda generation: how
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert f"{why}; generation 1 serves on" in serving.log
    serving.load = lambda generation: "ok"
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    assert serving.serving() == [(3, 1), (3, 2)]
    finish(serving)


def test_workers_that_die_before_they_are_ready_end_a_reload(serving: World) -> None:
    serving.boot = lambda generation, number: "die" if number == 2 else "ok"
    serving.signal(SIGHUP)
    serving.run(10)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert "generation 2: worker 2 died 5 times in a row before it was ready; generation 1 serves on" in serving.log
    finish(serving)


@pytest.mark.parametrize("how", ["fail", "crash"])
def test_a_first_application_that_does_not_load_ends_the_server(world: World, how: str) -> None:
    world.load = lambda generation: how
    world.run(NOT_LONG)
    assert world.over
    assert world.master.fleet.exit_status == EXIT_APP_FAILED
    assert len(world.children) == 1, "no crash loop"
    assert "the application did not come up, the server ends" in world.log


def test_first_workers_that_all_die_end_the_server(world: World) -> None:
    world.boot = lambda generation, number: "die"
    world.run(60)
    assert world.over
    assert world.master.fleet.exit_status == EXIT_APP_FAILED


def test_with_some_of_its_workers_it_serves(world: World) -> None:
    world.boot = lambda generation, number: "die" if number == 2 else "ok"
    world.run(60)
    assert world.serving() == [(1, 1)]
    assert "serves with 1 of 2 workers" in world.log
    world.boot = lambda generation, number: "ok"
    world.run(60)
    assert world.serving() == [(1, 1), (1, 2)]
    finish(world)


def test_a_dead_worker_is_back_at_once_and_its_requests_are_told_of(serving: World) -> None:
    serving.run(60)
    victim = serving.workers()[0]
    seat = serving.master.cycles[1].board.seats[victim.seat]
    seat.begin(3, 1.0, 0.0, b"192.0.2.1\tGET\t/lost\tHTTP/1.1")
    seat.begin(1, 1.0, 0.0, b"192.0.2.1\tGET\t/done\tHTTP/1.1")
    seat.end(1)
    serving.die(victim, -SIGKILL)
    moment = serving.now
    while len(serving.serving()) < 2:
        serving.step()
    assert serving.now == moment
    assert [request.uri for request in serving.killed] == ["/lost"]
    assert f"worker 1 (pid {victim.pid}) died by signal 9 (SIGKILL), started again" in serving.log
    finish(serving)


def test_a_crash_loop_slows_down_and_never_ends_what_serves(serving: World) -> None:
    serving.boot = lambda generation, number: "die" if number == 1 else "ok"
    serving.die(serving.workers()[0], 1)
    before = len(serving.children)
    serving.run(600)
    assert serving.serving() == [(1, 2)]
    assert 15 < len(serving.children) - before < 40, "at once, then later and later, then each 30 s"
    finish(serving)


def test_counters_never_go_backwards(serving: World) -> None:
    def total() -> int:
        seats = [seat for cycle in serving.master.cycles.values() for seat in cycle.board.seats]
        return sum(serving.master.witness.totals.of(number, seats)[REQUESTS] for number in (1, 2))

    seen = [total()]
    for _ in range(3):
        serving.die(serving.workers()[0], -9)
        serving.run(NOT_LONG)
        seen.append(total())
        serving.signal(SIGHUP)
        serving.run(NOT_LONG)
        seen.append(total())
    assert seen == [2, 3, 5, 6, 8, 9, 11]
    board = serving.master.cycles[4].board
    assert board.past[REQUESTS] + sum(seat.counters[REQUESTS] for seat in board.seats) == 11
    finish(serving)


def test_a_dead_zygote_is_replaced_while_its_workers_serve(serving: World) -> None:
    (zygote,) = serving.zygotes()
    serving.die(zygote, -9)
    serving.run(NOT_LONG)
    assert serving.serving() == [(1, 1), (1, 2)]
    (successor,) = serving.zygotes()
    assert successor.generation == 1
    orphan, sibling = serving.workers()
    serving.die(orphan, -9)
    serving.run(NOT_LONG)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert sibling in serving.workers()
    finish(serving)


def test_a_zygote_that_cannot_be_replaced_is_tried_again(serving: World) -> None:
    serving.load = lambda generation: "fail"
    serving.die(serving.zygotes()[0], -9)
    serving.run(120)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert "generation 1 serves on, but its application fails: app.py:3: no" in serving.log
    serving.load = lambda generation: "ok"
    serving.run(60)
    assert len(serving.zygotes()) == 1
    finish(serving)


def test_a_zygote_that_dies_as_soon_as_it_has_loaded_is_started_later_and_later(serving: World) -> None:
    died: set[int] = set()
    until = serving.now + 60
    while serving.now < until:
        for zygote in serving.zygotes():
            if zygote.loaded:
                serving.die(zygote, 1)
                died.add(zygote.pid)
        serving.step()
    assert 5 < len(died) < 12
    assert serving.serving() == [(1, 1), (1, 2)]
    serving.run(30)
    finish(serving)


def test_a_retiring_worker_is_relieved_by_its_successor(serving: World) -> None:
    retiring = serving.workers()[0]
    serving.say(retiring, Word.RETIRE, "max-requests 5000")
    serving.run(NOT_LONG)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert retiring not in serving.workers()
    assert f"worker 1 (pid {retiring.pid}) leaves: max-requests 5000" in serving.log
    finish(serving)


def test_a_blocked_loop_is_ended(serving: World) -> None:
    serving.run(10)
    stuck, other = serving.workers()
    for worker, beat in ((stuck, serving.now), (other, serving.now + 100)):
        seat = serving.master.cycles[1].board.seats[worker.seat]
        seat.beat(beat)
        seat.begin(0, 1.0, serving.now + 1.0, b"192.0.2.1\tGET\t/spin\tHTTP/1.1")
    serving.run(1.75)
    assert serving.workers() == [stuck, other], "not overdue yet"
    serving.run(1.0)
    assert stuck not in serving.workers()
    assert other in serving.workers()
    assert f"worker 1 (pid {stuck.pid}) gets SIGABRT: harakiri: GET /spin" in serving.log
    assert serving.serving() == [(1, 1), (1, 2)]
    finish(serving)


@pytest.mark.parametrize("number", [SIGTERM, SIGINT, SIGQUIT])
def test_a_stop_while_the_application_loads_is_obeyed_at_once(world: World, number: Signals) -> None:
    world.load = lambda generation: "never"
    world.run(NOT_LONG)
    moment = world.now
    world.signal(number)
    while not world.over:
        world.step()
    assert world.now == moment
    assert world.master.fleet.exit_status == 0


def test_a_stop_while_workers_boot(world: World) -> None:
    world.boot = lambda generation, number: "never"
    world.run(NOT_LONG)
    assert len(world.workers()) == 2
    finish(world)


def test_a_worker_that_boots_has_little_time_to_leave_and_more_once_it_serves(world: World) -> None:
    world.boot, world.stubborn = (lambda generation, number: "never"), True
    world.run(NOT_LONG)
    quick, slow = world.workers()
    world.signal(SIGTERM)
    world.run(0.5)
    world.say(quick, Word.READY)
    world.run(10)
    assert world.workers() == [quick]
    assert f"worker 2 (pid {slow.pid}) gets SIGKILL: it was still booting" in world.log
    world.run(60)
    assert world.over
    assert f"worker 1 (pid {quick.pid}) gets SIGKILL: it did not leave within reload-mercy 60" in world.log


def test_a_stubborn_worker_has_its_mercy_and_no_more(world: World) -> None:
    world.run(NOT_LONG)
    world.stubborn = True
    world.signal(SIGTERM)
    world.run(59)
    assert len(world.workers()) == 2
    world.run(2)
    assert world.over
    assert "gets SIGKILL: it did not leave within reload-mercy 60" in world.log


def test_a_second_stop_is_at_once(serving: World) -> None:
    serving.stubborn = True
    serving.signal(SIGTERM)
    serving.run(5)
    serving.signal(SIGTERM)
    serving.run(2)
    assert serving.over
    assert "SIGTERM: the server stops at once" in serving.log


def test_a_reload_while_one_loads_starts_it_again(serving: World) -> None:
    serving.load = lambda generation: "never" if generation == 2 else "ok"
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    assert serving.serving() == [(3, 1), (3, 2)]
    assert len(serving.zygotes()) == 1
    finish(serving)


def test_a_reload_while_workers_boot_comes_after_it(serving: World) -> None:
    serving.boot = lambda generation, number: "never" if generation == 2 else "ok"
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    assert serving.master.fleet.born == 2
    for worker in serving.workers():
        if worker.generation == 2:
            worker.ready = True
            serving.say(worker, Word.READY)
    serving.run(NOT_LONG)
    assert serving.serving() == [(3, 1), (3, 2)]
    finish(serving)


def test_signals_that_mean_nothing_change_nothing(serving: World) -> None:
    serving.signal(SIGURG)
    serving.run(NOT_LONG)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert "SIGURG: ignored" in serving.log
    finish(serving)


@pytest.mark.parametrize("letter", ["c", "w"])
def test_other_kinds_of_reload(serving: World, letter: str) -> None:
    serving.command(letter)
    serving.run(NOT_LONG)
    assert serving.serving() == [(2, 1), (2, 2)]
    assert "reloaded: generation 2 serves with 2 workers; generation 1 drains" in serving.log
    finish(serving)


def test_only_a_reload_of_the_workers_keeps_the_configuration(tmp_path: Path) -> None:
    read = []
    world = World(tmp_path / "log", reread=lambda: read.append(1))
    for letter, reads in (("w", 0), ("c", 1), ("r", 2)):
        world.run(NOT_LONG)
        world.command(letter)
        world.run(NOT_LONG)
        assert len(read) == reads
    finish(world)
    world.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [(UsageError("x.ini:1: no"), "x.ini:1: no"), (FileNotFoundError(2, "gone"), "FileNotFoundError: [Errno 2] gone")],
)
def test_who_waits_hears_of_a_configuration_that_cannot_be_read(tmp_path: Path, error: Exception, said: str) -> None:
    def reread() -> None:
        raise error

    world, answers = World(tmp_path / "log", reread=reread), list[dict[str, Any]]()
    world.run(NOT_LONG)
    world._notes.append(Asked("reload", "control socket", answers.append, wait=True))
    world.run(NOT_LONG)
    assert [answer["said"] for answer in answers] == [f"reload refused, nothing has changed: {said}"]
    assert bool(answers[0]["details"]) == (not isinstance(error, UsageError))
    assert world.serving() == [(1, 1), (1, 2)]
    finish(world)
    world.close()


def test_a_chain_reload_replaces_one_worker_at_a_time(tmp_path: Path) -> None:
    world = World(tmp_path / "log", "processes=4")
    world.run(NOT_LONG)
    world.command("c")
    seen: list[list[tuple[int, int]]] = []
    until = world.now + 10
    while world.now < until:
        world.step()
        assert len(world.workers()) <= 5
        if seen[-1:] != [world.serving()]:
            seen.append(world.serving())
    old, new = [(1, n) for n in range(1, 5)], [(2, n) for n in range(1, 5)]
    for step in range(1, 5):
        assert sorted(old[step:] + new[:step]) in seen
    assert all({number for _, number in serving} == {1, 2, 3, 4} for serving in seen)
    finish(world)
    world.close()


@pytest.mark.parametrize("how", ["die", "never"])
def test_a_chain_reload_that_fails_on_the_way_is_undone(tmp_path: Path, how: str) -> None:
    world = World(tmp_path / "log", "processes=4", "boot-timeout=20")
    world.run(NOT_LONG)
    world.boot = lambda generation, number: how if (generation, number) == (2, 3) else "ok"
    world.command("c")
    until = world.now + 60
    while world.now < until:
        world.step()
        assert {number for _, number in world.serving()} == {1, 2, 3, 4}, "never fewer than before"
    assert world.serving() == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert "reload failed: generation 2: worker 3" in world.log
    assert len(world.zygotes()) == 1
    finish(world)
    world.close()


@pytest.mark.parametrize("first", [False, True])
def test_an_import_that_hangs_is_given_up(world: World, first: bool) -> None:
    if not first:
        world.run(NOT_LONG)
    world.load = lambda generation: "never"
    world.signal(SIGHUP)
    world.run(59)
    assert not world.over
    assert len(world.zygotes()) == (1 if first else 2)
    world.run(3)
    assert "gets SIGABRT: its application was not loaded within boot-timeout 60" in world.log
    if first:
        assert world.master.fleet.exit_status == EXIT_APP_FAILED
    else:
        assert world.serving() == [(1, 1), (1, 2)]
        assert "boot-timeout 60; generation 1 serves on" in world.log
        finish(world)


def test_workers_are_recycled_one_at_a_time(serving: World) -> None:
    first = serving.workers()
    for worker in reversed(first):
        serving.say(worker, Word.RETIRE, "max-requests 5")
    until = serving.now + 10
    while serving.now < until:
        serving.step()
        assert len(serving.workers()) <= 3
        assert serving.serving()[:1] == [(1, 1)]
        assert len(serving.serving()) >= 2
    assert not set(map(id, first)) & set(map(id, serving.workers()))
    finish(serving)


def test_more_and_fewer_workers(serving: World) -> None:
    for letter, numbers in (("+", [1, 2]), ("-", [1]), ("-", [1]), ("+", [1, 2])):
        serving.command(letter)
        serving.run(NOT_LONG)
        assert [number for _, number in serving.serving()] == numbers
    assert "leaves: 1 worker is enough" in serving.log
    finish(serving)


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
    assert f"touch-chain-reload {other}.chain: the application is loaded anew, and" in world.log
    finish(world)
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
    assert "cheaper-algo backlog: 2 workers shall run, not 1 (busy: 0 %; 10 connections wait)" in world.log
    finish(world)
    world.close()


def test_cheaper_initial(tmp_path: Path) -> None:
    world = small(tmp_path, "cheaper-initial=3")
    assert len(world.serving()) == 3
    finish(world)
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
    finish(world)
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
    assert "a connection has come: 2 workers shall run" in world.log
    finish(world)
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
        assert cheap(world.master.fleet, world.now) == "no worker shall run until a connection comes"
        assert cheap(world.master.fleet, world.now) == "ignored: no worker shall run already"
        world.run(NOT_LONG)
        assert world.workers() == []
        world.knocking = True
        world.run(NOT_LONG)
        world.knocking = False
        assert world.serving() == [(1 + rises, 1), (1 + rises, 2)]
    finish(world)
    assert cheap(world.master.fleet, world.now) == "ignored: the server stops"
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
    finish(world)
    world.close()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["reload", "chain", "workers", "count", "crowd", "kill worker", "kill zygote", "retire", "nothing"]
        ),
        st.integers(0, 9),
        st.sampled_from(["ok", "ok", "ok", "fail", "crash", "never"]),
        st.sampled_from(["ok", "ok", "ok", "die", "never"]),
        st.sampled_from([0.0, 0.0, 0.25, 3.0, 70.0]),
    ),
    max_size=25,
)


FIXED = ("processes=2",)
BY_NEED = ("processes=4", "cheaper=2", "cheaper-algo=backlog", "idle=20")


@given(EVENTS, st.sampled_from([FIXED, BY_NEED]), st.sampled_from([SIGTERM, SIGQUIT]))
def test_whatever_happens_it_comes_back_and_leaves_nothing(
    events: list[tuple[str, int, str, str, float]], options: tuple[str, ...], stop: Signals
) -> None:
    """Any story of deaths, reloads and broken applications ends, once all is well again, with one whole generation."""
    before = os.listdir("/dev/fd")
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "log", *options)
        world.run(NOT_LONG)
        for what, which, load, boot, pause in events:
            world.load, world.boot = functools.partial(_say, load), functools.partial(_say, boot)
            happen(world, what, which)
            world.step()
            world.run(pause)
            assert not world.over, "nothing of that ends a server that has served"
        world.load, world.boot = functools.partial(_say, "ok"), functools.partial(_say, "ok")
        world.signal(SIGHUP)
        world.knocking, world.queue = True, 0
        until = world.now + 400
        while world.now < until and not is_well(world):
            world.step()
        world.run(NOT_LONG)
        (zygote,) = world.zygotes()
        assert world.serving() == [(zygote.generation, 1), (zygote.generation, 2)]
        assert len(world.workers()) == 2
        assert len(world.master.cycles) == len(world.master.fleet.generations) == 1
        finish(world, stop)
        world.close()
    assert os.listdir("/dev/fd") == before


def is_well(world: World) -> bool:
    """One generation, all of which serves, and nothing is under way."""
    generations = world.master.fleet.generations
    wanted = world.master.fleet.reload_wanted is not None or bool(world._notes)
    return not wanted and len(generations) == 1 and len(world.workers()) == len(world.serving()) == 2


def _say(how: str, *_: int) -> str:
    return how


def happen(world: World, what: str, which: int) -> None:
    workers, zygotes = world.workers(), world.zygotes()
    letters = {"reload": "r", "chain": "c", "workers": "w", "count": "+-"[which % 2]}
    if what in letters:
        world.command(letters[what])
    elif what == "crowd":
        world.queue, world.knocking = which, which > 4
    elif what == "kill-worker" and workers:
        world.die(workers[which % len(workers)], -9)
    elif what == "kill-zygote" and zygotes:
        world.die(zygotes[which % len(zygotes)], -9)
    elif what == "retire" and workers:
        world.say(workers[which % len(workers)], Word.RETIRE, "max-requests 5")
