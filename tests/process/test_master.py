"""The master in a world of pretended processes: whole stories, with a clock turned by hand."""

from __future__ import annotations

import os
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSEGV, SIGTERM, SIGURG, Signals
from typing import Any

import pytest

from greenwsgi.errors import EXIT_APP_FAILED, UsageError
from greenwsgi.process.supervision.child_roles import ZYGOTE_ROLE
from greenwsgi.process.supervision.event_inbox import Asked
from greenwsgi.process.supervision.fleet import ABRUPT_MERCY
from greenwsgi.process.supervision.plan import SLACK
from greenwsgi.shared.messages import Failed, ReopenLog
from greenwsgi.shared.metrics import REQUESTS
from tests.process.world import NOT_LONG, World


def test_boot_says_where_it_serves(serving: World) -> None:
    pid = os.getpid()
    assert f"ready: generation 1 serves with 2 workers: http://127.0.0.1:80 (pid {pid})" in serving.log
    serving.finish()
    assert serving.master.fleet.exit_status == 0


def test_reload(serving: World) -> None:
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    assert serving.serving() == [(2, 1), (2, 2)]
    assert "reloaded: generation 2 serves with 2 workers; generation 1 drains" in serving.log
    assert len(serving.zygotes()) == 1
    serving.finish()


def test_who_waits_for_a_reload_during_the_start_is_answered(world: World) -> None:
    answers: list[dict[str, Any]] = []
    world._notes.append(Asked("reload", "control socket", answers.append, wait=True))
    world.run(NOT_LONG)
    assert [answer["ok"] for answer in answers] == [True]
    world.finish()


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
    serving.finish()


def test_workers_that_die_before_they_are_ready_end_a_reload(serving: World) -> None:
    serving.boot = lambda generation, number: "die" if number == 2 else "ok"
    serving.signal(SIGHUP)
    serving.run(10)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert "generation 2: worker 2 died 5 times in a row before it was ready; generation 1 serves on" in serving.log
    serving.finish()


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
    world.finish()


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
    serving.finish()


def test_a_crash_loop_slows_down_and_never_ends_what_serves(serving: World) -> None:
    serving.boot = lambda generation, number: "die" if number == 1 else "ok"
    serving.die(serving.workers()[0], 1)
    before = len(serving.children)
    serving.run(600)
    assert serving.serving() == [(1, 2)]
    assert 15 < len(serving.children) - before < 40, "at once, then later and later, then each 30 s"
    serving.finish()


def crash(world: World, uri: str = "/crash") -> None:
    """A request ends its worker, which is the first that is ready."""
    while not any(worker.ready for worker in world.workers()):
        world.step()
    victim = next(worker for worker in world.workers() if worker.ready)
    seat = world.master.cycles[victim.generation].board.seats[victim.seat]
    seat.begin(3, 1.0, 0.0, b"192.0.2.1\tGET\t%b\tHTTP/1.1" % uri.encode())
    world.die(victim, -SIGSEGV)
    world.step()


def test_a_request_that_ends_each_worker_takes_the_server_away_for_a_second_at_most(serving: World) -> None:
    serving.run(60)
    for _ in range(30):
        crash(serving)
        died = serving.now
        while not serving.serving():
            serving.step()
        assert serving.now - died <= 1.0
    serving.run(1.25)
    assert serving.serving() == [(1, 1), (1, 2)]
    serving.finish()


def test_a_path_that_was_running_at_three_deaths_is_named(serving: World) -> None:
    for _ in range(2):
        crash(serving, "/crash?secret=1")
    assert "was running" not in serving.log
    crash(serving, "/crash")
    assert "warning: GET /crash was running at each of the last 3 deaths of workers, at last: worker " in serving.log
    assert serving.log.count("died by signal 11 (SIGSEGV)") == 6
    serving.finish()


def test_workers_that_were_told_to_leave_accuse_nobody(serving: World) -> None:
    for _ in range(4):
        for worker in serving.workers():
            seat = serving.master.cycles[worker.generation].board.seats[worker.seat]
            seat.begin(3, 1.0, 0.0, b"192.0.2.1\tGET\t/poll\tHTTP/1.1")
        serving.signal(SIGHUP)
        serving.run(NOT_LONG)
    assert "was running" not in serving.log
    serving.finish()


def test_the_successor_of_a_worker_that_crashed_is_on_probation(serving: World) -> None:
    assert [worker.probation for worker in serving.workers()] == [False, False]
    victim, sibling = serving.workers()
    serving.die(victim, -SIGSEGV)
    serving.run(NOT_LONG)
    (successor,) = (one for one in serving.workers() if one is not sibling)
    assert successor.probation
    serving.retire(successor, "max-requests 5000")
    serving.run(NOT_LONG)
    (relief,) = (one for one in serving.workers() if one is not sibling)
    assert relief is not successor
    assert relief.probation, "it was made before that one had left"
    serving.retire(relief, "max-requests 5000")
    serving.run(NOT_LONG)
    assert [worker.probation for worker in serving.workers() if worker not in (relief, sibling)] == [False]
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    assert [worker.probation for worker in serving.workers()] == [False, False]
    serving.finish()


@pytest.mark.parametrize(
    ("number", "seconds"), [(SIGTERM, 60 + SLACK + ZYGOTE_ROLE.mercy), (SIGQUIT, 2 * ABRUPT_MERCY)]
)
def test_a_zygote_that_was_stopped_does_not_keep_the_server(serving: World, number: Signals, seconds: float) -> None:
    serving.deaf = True
    serving.signal(number)
    serving.run(seconds + 0.5)
    assert serving.over
    assert "is killed: it does not tell that worker " in serving.log


def test_a_zygote_that_was_stopped_while_it_was_idle_does_not_either(serving: World) -> None:
    serving.signal(SIGTERM)
    while serving.master.fleet.generations[0].workers:
        serving.step()
    serving.deaf = True
    serving.run(ABRUPT_MERCY / 2)
    assert not serving.over
    serving.signal(SIGTERM)
    serving.run(ABRUPT_MERCY)
    assert serving.over


def test_counters_never_go_backwards(serving: World) -> None:
    def total() -> int:
        seats = [seat for cycle in serving.master.cycles.values() for seat in cycle.board.seats]
        return sum(serving.master.recorder.totals.of(number, seats)[REQUESTS] for number in (1, 2))

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
    serving.finish()


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
    serving.finish()


def test_a_zygote_that_cannot_be_replaced_is_tried_again(serving: World) -> None:
    serving.load = lambda generation: "fail"
    serving.die(serving.zygotes()[0], -9)
    serving.run(120)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert "generation 1 serves on, but its application fails: app.py:3: no" in serving.log
    serving.load = lambda generation: "ok"
    serving.run(60)
    assert len(serving.zygotes()) == 1
    serving.finish()


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
    serving.finish()


def test_a_retiring_worker_is_relieved_by_its_successor(serving: World) -> None:
    retiring = serving.workers()[0]
    serving.retire(retiring, "max-requests 5000")
    serving.run(NOT_LONG)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert retiring not in serving.workers()
    assert f"worker 1 (pid {retiring.pid}) leaves: max-requests 5000" in serving.log
    serving.finish()


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
    serving.finish()


def test_a_blocked_loop_is_the_monitors_business_while_that_can_run(serving: World) -> None:
    """It knows what blocks the loop; the request that is late may only wait for it."""
    serving.run(10)
    blocked = serving.workers()[0]
    seat = serving.master.cycles[1].board.seats[blocked.seat]
    seat.beat(serving.now)
    seat.begin(0, 1.0, serving.now + 1.0, b"192.0.2.1\tGET\t/spin\tHTTP/1.1")
    for _ in range(40):
        seat.beat_monitor(serving.now)
        serving.run(0.25)
    assert blocked in serving.workers()
    serving.run(2.0)
    assert blocked not in serving.workers(), "now something keeps the GIL from it"


def test_a_server_that_was_stopped_as_a_whole_blames_no_loop(serving: World) -> None:
    """docker pause: after it the master may look before the loops have turned."""
    serving.run(10)
    workers = serving.workers()
    for worker in workers:
        seat = serving.master.cycles[1].board.seats[worker.seat]
        seat.beat(serving.now)
        seat.begin(0, 1.0, serving.now + 1.0, b"192.0.2.1\tGET\t/slow\tHTTP/1.1")
    serving.now += 60
    serving.run(0.5)
    for worker in workers:
        serving.master.cycles[1].board.seats[worker.seat].beat(serving.now)
    serving.run(1.0)
    assert serving.workers() == workers
    serving.run(2.0)
    assert "gets SIGABRT: harakiri: GET /slow" in serving.log, "now it blocks"


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
    world.finish()


def test_a_worker_that_boots_has_little_time_to_leave_and_more_once_it_serves(world: World) -> None:
    world.boot, world.stubborn = (lambda generation, number: "never"), True
    world.run(NOT_LONG)
    quick, slow = world.workers()
    world.signal(SIGTERM)
    world.run(0.5)
    world.ready(quick)
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
    world.run(60 + SLACK - 1)
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
    serving.finish()


def test_a_reload_while_workers_boot_comes_after_it(serving: World) -> None:
    serving.boot = lambda generation, number: "never" if generation == 2 else "ok"
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    assert serving.master.fleet.born == 2
    for worker in serving.workers():
        if worker.generation == 2:
            serving.ready(worker)
    serving.run(NOT_LONG)
    assert serving.serving() == [(3, 1), (3, 2)]
    serving.finish()


def test_signals_that_mean_nothing_change_nothing(serving: World) -> None:
    serving.signal(SIGURG)
    serving.run(NOT_LONG)
    assert serving.serving() == [(1, 1), (1, 2)]
    assert "SIGURG: ignored" in serving.log
    serving.finish()


@pytest.mark.parametrize("letter", ["c", "w"])
def test_other_kinds_of_reload(serving: World, letter: str) -> None:
    serving.command(letter)
    serving.run(NOT_LONG)
    assert serving.serving() == [(2, 1), (2, 2)]
    assert "reloaded: generation 2 serves with 2 workers; generation 1 drains" in serving.log
    serving.finish()


def test_only_a_reload_of_the_workers_keeps_the_configuration(tmp_path: Path) -> None:
    read = []
    world = World(tmp_path / "log", reread=lambda: read.append(1))
    for letter, reads in (("w", 0), ("c", 1), ("r", 2)):
        world.run(NOT_LONG)
        world.command(letter)
        world.run(NOT_LONG)
        assert len(read) == reads
    world.finish()
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
    world.finish()
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
    world.finish()
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
    world.finish()
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
        world.finish()


def test_workers_are_recycled_one_at_a_time(serving: World) -> None:
    first = serving.workers()
    for worker in reversed(first):
        serving.retire(worker, "max-requests 5")
    until = serving.now + 10
    while serving.now < until:
        serving.step()
        assert len(serving.workers()) <= 3
        assert serving.serving()[:1] == [(1, 1)]
        assert len(serving.serving()) >= 2
    assert not set(map(id, first)) & set(map(id, serving.workers()))
    serving.finish()


def test_the_failure_of_a_worker_is_over_when_its_successor_serves(serving: World) -> None:
    serving.boot = lambda generation, number: "never"
    serving.die(serving.workers()[0], -SIGKILL)
    serving.run(NOT_LONG)
    (failing,) = (one for one in serving.workers() if not one.ready)
    serving.report_of(Failed(failing.generation, failing.pid, 0, "app.py:3: no", failing.seat))
    serving.run(NOT_LONG)
    assert serving.master.fleet.generations[0].failure == "app.py:3: no"
    serving.boot = lambda generation, number: "ok"
    serving.die(failing, EXIT_APP_FAILED)
    serving.run(NOT_LONG)
    assert len(serving.serving()) == 2
    assert serving.master.fleet.generations[0].failure == ""
    serving.finish()


def test_workers_that_come_while_the_server_is_paused_are_paused(serving: World) -> None:
    serving.command("p")
    serving.run(NOT_LONG)
    before = serving.workers()
    serving.die(before[0], -SIGKILL)
    serving.run(NOT_LONG)
    assert [worker.paused for worker in serving.workers()] == [True, True]
    assert not [number for pid, number in serving.signalled if pid not in (one.pid for one in before)]
    serving.command("p")
    serving.run(NOT_LONG)
    assert [worker.paused for worker in serving.workers()] == [False, False]
    serving.finish()


def test_a_worker_that_is_not_heard_of_yet_opens_the_log_anew_too(
    serving: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenwsgi.log.server_log.ServerLog.reopen", lambda *_: None)
    (zygote,), (victim, sibling) = serving.zygotes(), serving.workers()
    serving.die(victim, -SIGKILL)
    while len(serving.workers()) < 2:
        serving.step()
    (successor,) = (one for one in serving.workers() if one is not sibling)
    assert not serving.master.fleet.generations[0].workers[successor.seat].pid
    serving.master.open_log("moved")
    serving.run(NOT_LONG)
    told = [pid for pid, kind in serving.commanded if kind is ReopenLog]
    assert sorted(told) == sorted([zygote.pid, sibling.pid, successor.pid])
    assert not [pid for pid, number in serving.signalled if number is SIGURG]
    serving.finish()


def test_who_leaves_because_the_server_stops_knows_it_before_the_signal(serving: World) -> None:
    """It accepts what waits then, and that is what only a stop wants: after a reload others accept."""
    told = serving.refusals
    serving.signal(SIGHUP)
    serving.run(5)
    assert told == []
    assert not any(cycle.board.closing for cycle in serving.master.cycles.values())
    before = len(serving.signalled)
    serving.stubborn = True
    serving.signal(SIGTERM)
    serving.run(NOT_LONG)
    boards = [cycle.board for cycle in serving.master.cycles.values()]
    assert [one.closing for one in boards] == [True]
    assert told[0] == (False, before)
    serving.signal(SIGTERM)
    serving.step()
    assert told[-1][0] is True


def test_the_programs_of_a_dead_worker_are_ended_once(serving: World) -> None:
    victim, sibling = serving.workers()
    board = serving.master.cycles[1].board
    board.seats[victim.seat].note_program(3, 4711, 99)
    board.seats[sibling.seat].note_program(0, 4712, 98)
    serving.die(victim, -SIGKILL)
    serving.run(NOT_LONG)
    assert serving.ended_groups == [(4711, 99)]
    serving.finish()
