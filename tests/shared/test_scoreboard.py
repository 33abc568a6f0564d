"""The scoreboard: seats, two processes on one board, and counters that outlive those who counted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from greenwsgi.shared.metrics import IN_FLIGHT, METRICS, REQUESTS, RUNNING_TIME_US, TX, WORDS, MetricKind
from greenwsgi.shared.scoreboard import RunningRequest, Scoreboard, Stage, Totals

CORES = 5


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    board = Scoreboard.create(seats=4, cores=CORES)
    yield board
    board.close()


def test_a_seat_is_free_until_it_is_occupied(board: Scoreboard) -> None:
    seat = board.seats[2]
    assert (seat.stage, seat.number, seat.pid, seat.generation) == (Stage.FREE, 0, 0, 0)
    seat.occupy(number=3, generation=7, pid=4242)
    assert (seat.stage, seat.number, seat.pid, seat.generation) == (Stage.BOOTING, 3, 4242, 7)
    seat.stage = Stage.READY
    assert (seat.stage, seat.number, seat.pid, seat.generation) == (Stage.READY, 3, 4242, 7)


def test_heartbeat(board: Scoreboard) -> None:
    seat = board.seats[0]
    seat.occupy(1, 1, 1)
    assert seat.heartbeat() == 0
    seat.beat(12.5)
    assert seat.heartbeat() == 12.5
    assert seat.monitor_heartbeat() == 0
    seat.beat_monitor(13.5)
    assert (seat.heartbeat(), seat.monitor_heartbeat()) == (12.5, 13.5)
    assert seat.number == 1


def test_requests_run_from_begin_to_end(board: Scoreboard) -> None:
    seat = board.seats[1]
    assert seat.running() == []
    seat.begin(0, 1000.5, 20.0, b"192.0.2.1\tGET\t/a?b=c\tHTTP/1.1")
    seat.begin(CORES - 1, 1001.0, 0.0, b"192.0.2.2\tPOST\t/\tHTTP/1.0")
    assert seat.running() == [
        RunningRequest(0, 1000.5, 20.0, "192.0.2.1", "GET", "/a?b=c", "HTTP/1.1"),
        RunningRequest(CORES - 1, 1001.0, 0.0, "192.0.2.2", "POST", "/", "HTTP/1.0"),
    ]
    seat.end(0)
    assert [request.core for request in seat.running()] == [CORES - 1]
    assert board.seats[0].running() == board.seats[2].running() == []


def test_programs_are_noted_until_they_end(board: Scoreboard) -> None:
    """They touch neither the requests that run nor the next seat, and a seat is wiped with them."""
    seat, after = board.seats[0], board.seats[1]
    after.begin(0, 1.0, 2.0, b"addr\tGET\t/\tHTTP/1.1")
    for place in range(seat.places):
        seat.begin(place, 1.0, 2.0, b"x" * 500)
        seat.note_program(place, 100 + place, 7000 + place)
    seat.note_program(0, 0, 0)
    assert seat.programs() == [(100 + place, 7000 + place) for place in range(1, CORES)]
    assert len(seat.running()) == CORES
    assert len(after.running()) == 1
    assert after.programs() == []
    seat.wipe()
    assert seat.programs() == []


def test_a_short_line_leaves_nothing_of_a_long_one(board: Scoreboard) -> None:
    seat = board.seats[0]
    seat.begin(0, 1.0, 0.0, b"addr\tGET\t/" + b"x" * 100 + b"\tHTTP/1.1")
    seat.begin(0, 2.0, 0.0, b"addr\tGET\t/y\tHTTP/1.1")
    assert seat.running()[0].uri == "/y"


def test_a_line_too_long_loses_its_end_and_touches_nobody_else(board: Scoreboard) -> None:
    seat = board.seats[0]
    seat.begin(1, 1.0, 0.0, b"addr\tGET\t/other\tHTTP/1.1")
    seat.begin(0, 1.0, 0.0, b"addr\tGET\t/" + b"x" * 1000 + b"\tHTTP/1.1")
    long, other = seat.running()
    assert long.method == "GET"
    assert long.uri == "/" + "x" * (240 - len(b"addr\tGET\t/"))
    assert long.protocol == ""
    assert other.uri == "/other"


def test_seats_do_not_overlap(board: Scoreboard) -> None:
    for seat in board.seats:
        seat.occupy(seat.index + 1, 1, 100 + seat.index)
        seat.counters[WORDS - 1] = 1000 + seat.index
        seat.begin(CORES - 1, 1.0 + seat.index, 0.0, b"\xff" * 300)
    board.past[0] = 99
    board.closing = True
    for seat in board.seats:
        assert (seat.number, seat.pid) == (seat.index + 1, 100 + seat.index)
        assert seat.counters[WORDS - 1] == 1000 + seat.index
        assert [request.started for request in seat.running()] == [1.0 + seat.index]
    assert board.past[0] == 99
    assert board.past[WORDS - 1] == 0


def test_all_who_have_the_board_see_that_the_server_stops(board: Scoreboard) -> None:
    other = Scoreboard(os.dup(board.fd), len(board.seats), CORES)
    before, board.closing = other.closing, True
    assert (before, other.closing) == (False, True)
    other.close()


def test_a_wiped_seat_is_as_new(board: Scoreboard) -> None:
    seat = board.seats[3]
    seat.occupy(1, 1, 1)
    seat.counters[REQUESTS] = 5
    seat.begin(2, 1.0, 0.0, b"a\tb\tc\td")
    seat.beat(3.0)
    seat.wipe()
    assert (seat.stage, seat.number, seat.pid, seat.heartbeat()) == (Stage.FREE, 0, 0, 0)
    assert seat.running() == []
    assert list(seat.counters) == [0] * WORDS


def test_two_processes_share_a_board(board: Scoreboard) -> None:
    """What a child writes, the parent reads after the child was killed, through a mapping of its own."""
    done, say_done = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            mine = Scoreboard(board.fd, seats=4, cores=CORES).seats[1]
            mine.occupy(2, 1, os.getpid())
            mine.counters[REQUESTS] += 3
            mine.begin(4, 1.0, 2.0, b"192.0.2.9\tGET\t/lost\tHTTP/1.1")
            os.write(say_done, b".")
            signal.pause()
        finally:
            os._exit(0)
    os.close(say_done)
    assert os.read(done, 1) == b"."
    os.close(done)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seat = board.seats[1]
    assert (seat.number, seat.pid, seat.counters[REQUESTS]) == (2, child, 3)
    assert [request.uri for request in seat.running()] == ["/lost"]


def test_counters_outlive_their_worker(board: Scoreboard) -> None:
    totals = Totals()
    first, second = board.seats[0], board.seats[2]
    first.occupy(1, 1, 11)
    first.counters[REQUESTS], first.counters[TX] = 10, 1000
    assert totals.of(1, board.seats)[REQUESTS] == 10
    totals.fold(first)
    first.wipe()
    assert totals.of(1, board.seats)[REQUESTS] == 10
    second.occupy(1, 1, 12)
    second.counters[REQUESTS] = 2
    assert totals.of(1, board.seats)[REQUESTS] == 12
    assert totals.of(1, board.seats)[TX] == 1000
    totals.fold(second)
    second.wipe()
    assert totals.of(1, board.seats)[REQUESTS] == 12
    assert totals.of(2, board.seats)[REQUESTS] == 0


def test_a_successor_and_the_one_it_replaces_count_together(board: Scoreboard) -> None:
    for index, requests in ((0, 10), (1, 1)):
        board.seats[index].occupy(1, 1, 50 + index)
        board.seats[index].counters[REQUESTS] = requests
    board.seats[2].occupy(2, 1, 60)
    board.seats[2].counters[REQUESTS] = 100
    assert Totals().of(1, board.seats)[REQUESTS] == 11


def test_a_gauge_ends_with_its_worker(board: Scoreboard) -> None:
    totals, seat = Totals(), board.seats[0]
    seat.occupy(1, 1, 1)
    seat.counters[IN_FLIGHT] = 7
    assert totals.of(1, board.seats)[IN_FLIGHT] == 7
    totals.fold(seat)
    seat.wipe()
    assert totals.of(1, board.seats)[IN_FLIGHT] == 0


def test_the_past_is_what_all_the_dead_counted(board: Scoreboard) -> None:
    totals = Totals()
    assert totals.past() == [0] * WORDS
    for number in (1, 2):
        board.seats[number].occupy(number, 1, number)
        board.seats[number].counters[REQUESTS] = number * 10
        totals.fold(board.seats[number])
    assert totals.past()[REQUESTS] == 30


def test_metrics_have_names_of_their_own() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert all(metric.help.endswith(".") for metric in METRICS)
    assert METRICS[REQUESTS].name == "requests"
    assert METRICS[IN_FLIGHT].kind is MetricKind.GAUGE


def test_a_closed_board_gives_its_descriptor_back() -> None:
    before = os.listdir("/dev/fd")
    Scoreboard.create(2, 1000).close()
    assert os.listdir("/dev/fd") == before


def test_account_writes_the_four_of_every_request() -> None:
    board = Scoreboard.create(2, 4)
    seat = board.seats[1]
    seat.account(1, 2, 3, 4)
    assert [seat.counters[index] for index in (REQUESTS, RUNNING_TIME_US, TX, IN_FLIGHT)] == [1, 2, 3, 4]
    assert not any(seat.counters[4:])
    assert not any(board.seats[0].counters)
    board.close()


def test_a_process_may_leave_the_board_to_the_others() -> None:
    board = Scoreboard.create(2, 3)
    other = Scoreboard(os.dup(board.fd), 2, 3)
    seat = other.seats[1]
    seat.occupy(1, 1, 42)
    other.detach()
    seat.begin(0, 1.0, 2.0, b"a\tGET\t/\tHTTP/1.1")
    seat.beat(5.0)
    seat.counters[REQUESTS] += 1
    other.past[REQUESTS] += 1
    assert (seat.heartbeat(), seat.counters[REQUESTS], len(seat.running())) == (5.0, 1, 1)
    theirs = board.seats[1]
    assert (theirs.pid, theirs.heartbeat(), theirs.counters[REQUESTS], theirs.running()) == (42, 0.0, 0, [])
    assert board.past[REQUESTS] == 0
    other.close()
    board.close()
