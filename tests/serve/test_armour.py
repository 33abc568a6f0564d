"""Too many, too slow, not allowed: what keeps a worker serving the others."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any, NoReturn

import gevent
import pytest
from gevent.event import Event

from greenwsgi.serve import acceptor, greenlet_pool, request_body
from greenwsgi.serve.admission import Admission
from greenwsgi.serve.deadlines import PeerStalled
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.serve.request_body import GRACE, RequestBody
from greenwsgi.shared.metrics import FULL, OVERLOADED
from greenwsgi.wsgi.forwarded_headers import TrustList, forwarding
from tests.serve.conftest import Make
from tests.serve.site import read_all, read_answer, settle, wait_until

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello " + environ["REMOTE_ADDR"].encode()]


class Gated:
    """Holds every request until `gate` is set."""

    def __init__(self) -> None:
        self.gate = Event()

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.gate.wait()
        return hello(environ, start_response)


def test_what_finds_no_place_in_line_is_503_at_once(make: Make) -> None:
    gated = Gated()
    site = make(gated, cores=1)
    running = gevent.spawn(site.answer, GET)
    wait_until(lambda: site.service.running)
    assert site.service.seat.counters[FULL] == 1
    waiting = gevent.spawn(site.answer, GET)
    wait_until(lambda: site.service.slots.queue)
    said = site.answer(GET)
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in said
    assert b"\r\nConnection: close\r\n" in said
    gated.gate.set()
    assert b"hello" in running.get()
    assert b"hello" in waiting.get()
    assert site.service.seat.counters[OVERLOADED] == 1
    wait_until(lambda: not site.service.running)
    assert site.service.seat.counters[FULL] == 0


def test_what_waits_too_long_in_line_is_503(make: Make) -> None:
    gated = Gated()
    site = make(gated, cores=1)
    running = gevent.spawn(site.answer, GET)
    wait_until(lambda: site.service.running)
    waiting = gevent.spawn(site.answer, GET)
    wait_until(lambda: site.service.slots.queue)
    site.later(29)
    assert site.service.slots.queue
    site.later(2)
    assert waiting.get().startswith(b"HTTP/1.1 503 ")
    gated.gate.set()
    assert b"hello" in running.get()


def test_overload_is_logged_once_a_second_with_its_count(make: Make) -> None:
    site = make(hello)
    for _ in range(3):
        site.service.overloaded("why")
    site.later(1)
    site.service.overloaded("why")
    site.later(0.5)
    assert site.log.count("overloaded") == 1
    assert "overloaded: 3 requests were answered 503: why" in site.log
    site.later(0.6)
    assert "overloaded: 1 requests" in site.log


def test_connections_are_left_to_siblings_that_have_a_slot(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "BUSY_PAUSE", 0.001)
    gated = Gated()
    room = [True]
    site = make(gated, cores=1, siblings_have_room=lambda: room[0])
    running = gevent.spawn(site.answer, GET)
    wait_until(lambda: site.service.running)
    second = gevent.spawn(site.answer, GET)
    settle()
    assert len(site.service.connections) == 1
    room[0] = False  # now nobody else can take it
    wait_until(lambda: site.service.slots.queue)
    gated.gate.set()
    assert b"hello" in running.get()
    assert b"hello" in second.get()


def test_with_no_descriptor_left_it_waits_and_goes_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "SHORTAGE_PAUSE", 0.001)
    site = make(hello)
    monkeypatch.setattr(site._acceptor, "_capacity", 1)
    with site.connect() as first:
        wait_until(lambda: site.service.connections)
        waiting = gevent.spawn(site.answer, GET)
        for _ in range(3):
            wait_until(lambda: site.service.overload.shortage)
            assert len(site.service.connections) == 1
            site.later(0.4)
        first.sendall(GET)
        assert b"hello" in read_all(first)
    assert b"hello" in waiting.get()
    assert site.log.count("connections wait in the kernel: the worker has 1 connections, all that") == 1


def test_a_shortage_of_descriptors_is_logged_once_a_second(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "SHORTAGE_PAUSE", 0.001)
    site = make(hello)

    class Poor:
        """A listener for which the process has no descriptor."""

        fileno = site._acceptor.socket.fileno

        def _accept(self) -> NoReturn:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as poor:
        poor.setattr(site._acceptor, "socket", Poor())
        waiting = gevent.spawn(site.answer, GET)
        for _ in range(3):
            wait_until(lambda: site.service.overload.shortage)
            site.later(0.4)
    assert b"hello" in waiting.get()
    assert site.log.count("connections wait in the kernel: cannot accept on here for now: Too many open files") == 1


class Trickle:
    """A stream that gives `size` bytes after `seconds`; time passes only here."""

    timeout = 1000.0

    def __init__(self, size: int, seconds: float) -> None:
        self.loop_budget = LoopBudget()
        self.size, self.seconds, self.now = size, seconds, 0.0

    def recv(self, until: float) -> bytes:
        if self.now + self.seconds > until:
            raise PeerStalled
        self.now += self.seconds
        return bytes(self.size)


class Pieces:
    """A protocol that passes on what it gets."""

    body_done = False

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def receive_data(self, data: bytes) -> None:
        self.pieces.append(data)

    def next_event(self) -> bytes | None:
        return self.pieces.pop() if self.pieces else None


@pytest.mark.parametrize(
    ("size", "seconds", "rate", "pieces"),
    [
        (1, 0.5, 100, int(GRACE / 0.5)),  # 2 bytes a second: only the grace
        (1, 0.5, 0, 1000),  # no such rule
        (100, 0.5, 100, 1000),  # fast enough for ever
        (49, 0.5, 100, 951),  # a little too slow: each piece costs 0.01 s of the grace
        (1, 11, 100, 0),
    ],
)
def test_a_body_that_trickles(
    monkeypatch: pytest.MonkeyPatch, size: int, seconds: float, rate: int, pieces: int
) -> None:
    stream = Trickle(size, seconds)
    monkeypatch.setattr(request_body, "_now", lambda: stream.now)
    monkeypatch.setattr(stream, "recv", stream.recv if rate else lambda: bytes(size))
    body = RequestBody(Pieces(), stream, False, rate)  # type: ignore[arg-type]
    got = 0
    while got < 1000:
        try:
            body.pull()
        except PeerStalled:
            break
        got += 1
    assert got == pieces


def test_a_body_that_does_not_come_is_408(make: Make) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read()
        return hello(environ, start_response)

    site = make(application)
    with site.connect(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n") as client:
        settle()
        site.later(31)
        assert read_all(client).startswith(b"HTTP/1.1 408 ")
    assert "(HTTP/1.1 408)" in site.log


def test_an_address_may_hold_so_many_connections_and_no_more(make: Make) -> None:
    site = make(hello)
    site._acceptor._admission = Admission(None, 2)
    with site.connect() as first, site.connect():
        wait_until(lambda: len(site.service.connections) == 2)
        with site.connect() as third:
            assert read_all(third) == b""
        assert "refused 127.0.0.1 on here: holds 2 connections already (connections-per-address)" in site.log
        first.sendall(GET)
        read_all(first)
        wait_until(lambda: len(site.service.connections) == 1)
        assert b"hello" in site.answer(GET)


def test_a_connection_that_gets_no_greenlet_leaves_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its socket, nor its address's place, nor itself in the way of the next."""
    site = make(hello)
    site._acceptor._admission = Admission(None, 1)

    def spawn(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(greenlet_pool, "Greenlet", SimpleNamespace(spawn=spawn))
    with site.connect() as client:
        assert read_all(client) == b""
    monkeypatch.undo()
    assert b"hello" in site.answer(GET)


def test_only_allowed_peers_may_come_in(make: Make) -> None:
    site = make(hello)
    site._acceptor._admission = Admission(TrustList(["10.0.0.0/8"]), 0)
    with site.connect() as client:
        assert read_all(client) == b""
    assert "refused 127.0.0.1 on here: not in uwsgi-allow" in site.log
    site._acceptor._admission = Admission(TrustList(["127.0.0.0/8"]), 0)
    assert b"hello" in site.answer(GET)


def test_a_trusted_proxy_tells_the_client_and_the_access_line_shows_it(make: Make) -> None:
    site = make(hello)
    site.change(forwarding=forwarding(TrustList(["127.0.0.1"]), ["for"], 1))
    with site.connect(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n\r\n") as client:
        assert read_answer(client)[1] == b"hello 1.2.3.4"
    assert "] 1.2.3.4 () {" in site.log


class Nobody:
    """What an application may leave in its environ."""

    def __str__(self) -> str:
        raise LookupError("no name")


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_failure_around_the_application_keeps_no_slot(make: Make, fails: str) -> None:
    failing = [True]

    def find(environ: dict[str, Any], scheme: str) -> str:
        if failing and fails == "before":
            raise LookupError("no client")
        return scheme

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if failing:
            environ["REMOTE_USER"] = Nobody()
        return hello(environ, start_response)

    site = make(application, cores=1)
    site.change(forwarding=find)
    site.answer(GET)
    wait_until(lambda: not site.service.connections)
    assert "LookupError: no " in site.log
    failing.clear()
    assert b"hello" in site.answer(GET)
    assert not site.service.running
    assert site.service.seat.running() == []


def test_a_refused_client_keeps_nothing_of_what_it_has_sent(make: Make) -> None:
    """While it is read away: 3,000 such clients took 1 GB."""
    site = make(hello)
    with site.connect(b"\r\n" * 30_000) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
        (connection,) = site.service.connections
        fault = connection.protocol._fault  # type: ignore[attr-defined]
        assert fault.__traceback__ is None
        assert fault.__context__ is None
        assert not connection.protocol.waiting()
