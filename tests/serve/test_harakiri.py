"""Harakiri's first level: the guilty request and nobody else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gevent.event import Event
from gevent.hub import get_hub

from greenwsgi.serve.deadlines import NEVER
from greenwsgi.serve.watchdog import STRIKES, Watchdog
from greenwsgi.shared.metrics import HARAKIRIS
from tests.serve.conftest import Make
from tests.serve.site import Site, read_all, read_answer, read_head, settle, wait_until

GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


def waiting(gate: Event) -> Any:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            gate.wait()
        start_response("200 OK", [])
        return [b"done"]

    return application


def test_the_guilty_one_gets_504_and_its_neighbours_200(make: Make) -> None:
    gate = Event()
    site = make(waiting(gate), harakiri=10.0)
    with site.connect(GET % b"/slow") as guilty:
        settle()
        with site.connect(GET % b"/slow") as neighbour:
            settle()
            list(site.service.running.values())[1].deadline += 6  # as if it had begun so much later
            site.later(11)
            assert read_all(guilty).startswith(b"HTTP/1.1 504 ")
            gate.set()
            assert read_answer(neighbour)[0].startswith(b"HTTP/1.1 200 ")
    assert "GET /slow from 127.0.0.1 has run 1" in site.log
    assert "gate.wait()" in site.log  # the stack of the greenlet that was hit
    assert "(HTTP/1.1 504)" in site.log
    assert site.service.seat.counters[HARAKIRIS] == 1
    assert len(site.service.slots.free) == 10


def test_after_the_head_the_connection_is_cut_without_a_last_chunk(make: Make) -> None:
    gate = Event()

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"some"
        gate.wait()

    site = make(application, harakiri=10.0)
    with site.connect(GET % b"/") as client:
        settle()
        site.later(11)
        assert read_all(client).endswith(b"\r\n4\r\nsome\r\n")
    assert "(HTTP/1.1 504)" in site.log


def test_cleaning_up_in_the_application_works(make: Make) -> None:
    gate, cleaned = Event(), []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        try:
            gate.wait()
        except Exception:  # must not catch it
            cleaned.append("caught")
        finally:
            cleaned.append("finally")
        return []

    site = make(application, harakiri=10.0)
    with site.connect(GET % b"/") as client:
        settle()
        site.later(11)
        assert b" 504 " in read_all(client)
    assert cleaned == ["finally"]


def test_a_late_throw_never_hits_the_next_request_of_the_connection(make: Make) -> None:
    """The request ends in the very turn of the loop in which the watchdog looks: the next one must run undisturbed."""
    gate = Event()
    site = make(waiting(gate), harakiri=10.0)
    with site.connect(GET % b"/slow") as client:
        settle()
        (exchange,) = site.service.running.values()
        client.sendall(GET % b"/slow")  # pipelined: it begins as soon as the first has ended
        settle()
        exchange.deadline = 0.0
        loop = get_hub().loop
        gate.set()  # wakes the first request in this turn ...
        gate.clear()
        loop.run_callback(site.watchdog.tick)  # ... and this is the look that comes too late
        assert read_answer(client)[0].startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: list(site.service.running.values()) not in ([], [exchange]))
        gate.set()
        assert read_answer(client)[0].startswith(b"HTTP/1.1 200 ")
    assert site.service.seat.counters[HARAKIRIS] == 0


def shown_deadline(site: Site) -> float:
    """By which monitor and master judge."""
    (shown,) = site.service.seat.running()
    return shown.deadline


def test_who_was_ended_has_no_deadline_any_more(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer that says so may wait for its client; who blocks the loop meanwhile is not this one."""
    site, shown = make(waiting(Event()), harakiri=10.0), []
    monkeypatch.setattr(site.service.access, "write", lambda *_: shown.append(shown_deadline(site)))
    with site.connect(GET % b"/slow") as client:
        settle()
        site.later(11)
        assert read_all(client).startswith(b"HTTP/1.1 504 ")
    assert shown == [NEVER]


def test_an_application_that_swallows_it_is_hit_again_and_then_given_up(make: Make) -> None:
    caught: list[BaseException] = []
    stop = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        while not stop.is_set():
            try:
                stop.wait()
            except BaseException as error:
                caught.append(error)
        start_response("200 OK", [])
        return [b"at last"]

    site = make(application, harakiri=10.0)
    with site.connect(GET % b"/") as client:
        settle()
        site.later(11)
        for _ in range(STRIKES - 1):
            assert shown_deadline(site) > site.clock.monotonic()
            site.later(1)
        assert len(caught) == STRIKES
        assert site.given_up == []
        site.later(1)
        assert [one.what for one in site.given_up] == ["GET / from 127.0.0.1"]
        assert shown_deadline(site) == NEVER
        site.later(100)
        assert len(site.given_up) == 1
        stop.set()
        assert read_answer(client)[1] == b"at last"


def test_verbose_names_the_neighbours(make: Make) -> None:
    gate = Event()
    site = make(waiting(gate), harakiri=10.0)
    site.watchdog = Watchdog(site.service, site.clock, site.given_up.append, verbose=True)
    with site.connect(GET % b"/slow") as guilty, site.connect(GET % b"/slow"):
        settle()
        list(site.service.running.values())[1].deadline += 6
        site.later(11)
        read_all(guilty)
        gate.set()
    assert "beside it run 1 requests:" in site.log


def test_harakiri_for_gives_paths_their_own_time(make: Make) -> None:
    gate = Event()
    site = make(waiting(gate), harakiri=10.0)
    site.change(harakiri_for=((re.compile("^/slow"), 100.0), (re.compile("low"), 1.0)))
    with site.connect(GET % b"/slow") as slow:
        wait_until(lambda: site.service.running)
        (exchange,) = site.service.running.values()
        assert exchange.deadline - exchange.begun == 100.0  # the first that matches counts
        site.later(50)
        gate.set()
        assert read_answer(slow)[0].startswith(b"HTTP/1.1 200 ")
    assert [site.service.policy.allowed(path) for path in ("/allow", "/", "/x/slow")] == [1.0, 10.0, 1.0]


def setting(seconds: float, gate: Event) -> Any:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["greenwsgi.harakiri"](seconds)
        gate.wait()
        start_response("200 OK", [])
        return [b"done"]

    return application


@pytest.mark.parametrize(("seconds", "later", "status"), [(60, 30, 200), (0, 10_000, 200), (1, 3, 504)])
def test_an_application_sets_its_own_deadline(make: Make, seconds: float, later: float, status: int) -> None:
    gate = Event()
    site = make(setting(seconds, gate), harakiri=10.0)
    with site.connect(GET % b"/") as client:
        wait_until(lambda: site.service.running)
        settle()
        assert shown_deadline(site) == next(iter(site.service.running.values())).deadline
        site.later(later)
        gate.set()
        assert read_head(client).startswith(b"HTTP/1.1 %d " % status)


def test_only_a_request_has_a_deadline_to_set(make: Make) -> None:
    site = make(waiting(Event()))
    with pytest.raises(RuntimeError, match="in the greenlet of a request"):
        site.requests.set_harakiri(5)
