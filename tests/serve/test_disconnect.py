"""The client has gone: the application may know, and the log does."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenwsgi.serve.disconnect import Disconnect
from greenwsgi.shared.metrics import CLIENT_GONE
from tests.serve.conftest import Make
from tests.serve.site import Site, read_all, read_answer, read_head, settle, wait_until
from tests.wire.cases import fastcgi_records as fastcgi

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def watches(disconnect: Disconnect) -> bool:
    """Does it look whether the client leaves?"""
    return disconnect._watcher is not None and disconnect._watcher.active


def look(site: Site) -> None:
    """What the watchdog's timer does."""
    gevent.get_hub().loop.run_callback(site.watchdog.look)
    settle()


class LongPoll:
    """Waits for the client's leaving or for `gate`, whatever comes first."""

    def __init__(self) -> None:
        self.gate = Event()
        self.ended: list[str] = []
        self.disconnect: Any = None

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.disconnect = departure = environ["greenwsgi.disconnected"]
        if environ["REQUEST_METHOD"] == "POST":
            environ["wsgi.input"].read()
        try:
            gevent.wait([departure.event, self.gate], count=1)
            self.ended.append("gone" if departure.is_set() else "woken")
            start_response("200 OK", [])
            return [b"answer"]
        finally:
            self.ended.append("finally")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_it_is_set_when_the_client_leaves_and_the_line_says_499(make: Make, how: str) -> None:
    poll = LongPoll()
    site = make(poll)
    client = site.connect(GET)
    settle()
    look(site)
    assert not poll.disconnect.is_set()
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    wait_until(lambda: "=> generated" in site.log)
    assert poll.ended == ["gone", "finally"]
    assert "(HTTP/1.1 499)" in site.log
    assert "Traceback" not in site.log
    assert len(site.service.slots.free) == 10
    assert site.service.seat.counters[CLIENT_GONE] == 1


def test_a_client_that_half_closes_still_gets_its_answer(make: Make) -> None:
    poll = LongPoll()
    site = make(poll)
    with site.connect(GET) as client:
        settle()
        look(site)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).endswith(b"answer")
    wait_until(lambda: "=> generated" in site.log)
    assert "(HTTP/1.1 200)" in site.log


@pytest.mark.parametrize("at_once", [False, True])
def test_a_client_that_half_closes_behind_two_requests_gets_two_answers(make: Make, at_once: bool) -> None:
    poll = LongPoll()
    site = make(poll)
    with site.connect(GET + GET if at_once else GET) as client:
        wait_until(lambda: site.service.running)
        look(site)
        if not at_once:
            client.sendall(GET)
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: poll.disconnect.is_set())
        look(site)
        assert read_all(client).count(b"answer") == 2
    wait_until(lambda: site.log.count("=> generated") == 2)
    assert site.log.count("(HTTP/1.1 200)") == 2


def test_pipelined_bytes_read_ahead_are_kept(make: Make) -> None:
    poll = LongPoll()
    site = make(poll)
    with site.connect(GET) as client:
        settle()
        look(site)
        client.sendall(GET)
        settle()
        poll.gate.set()
        assert read_answer(client)[1] == b"answer"
        assert read_answer(client)[1] == b"answer"
    assert poll.ended == ["woken", "finally"] * 2


def test_a_request_whose_body_is_not_read_yet_is_watched_later(make: Make) -> None:
    poll = LongPoll()
    site = make(poll)
    client = site.connect(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n")
    settle()
    look(site)
    assert not watches(poll.disconnect)
    client.sendall(b"2\r\nlo\r\n0\r\n\r\n")
    settle()
    look(site)
    assert watches(poll.disconnect)
    client.close()
    wait_until(lambda: poll.ended)
    assert poll.ended[0] == "gone"


def test_nothing_is_watched_after_the_end(make: Make) -> None:
    poll = LongPoll()
    site = make(poll)
    with site.connect(GET) as client:
        settle()
        look(site)
        poll.gate.set()
        read_answer(client)
        settle()
        look(site)
        assert not watches(poll.disconnect)
        assert not poll.disconnect.is_set()


class TidiesUp:
    """Gives its whole answer, then waits for `gate`, and perhaps fails."""

    def __init__(self, fails: bool = False) -> None:
        self.gate = Event()
        self.fails = fails
        self.disconnect: Any = None
        self.closed = False

    def __call__(self, environ: Any, start_response: Any) -> TidiesUp:
        self.disconnect = environ["greenwsgi.disconnected"]
        start_response("200 OK", [("Content-Length", "2")])
        return self

    def __iter__(self) -> Iterator[bytes]:
        yield b"ok"

    def close(self) -> None:
        self.gate.wait()
        if self.fails:
            raise RuntimeError("in close")
        self.closed = True


def answered(client: Any, protocol: str, head: bool) -> None:
    """Read an answer to its end."""
    if protocol == "fastcgi":
        while fastcgi.END not in fastcgi.streams(client.recv(65536, socket.MSG_PEEK)):
            gevent.sleep(0.001)
        client.recv(65536)
    elif head:
        read_head(client)
    else:
        assert read_answer(client)[1] == b"ok"


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("ends", [False, True], ids=["stays", "end-on-disconnect"])
@pytest.mark.parametrize("kind", ["http", "http HEAD", "fastcgi"])
def test_who_leaves_with_its_whole_answer_has_missed_nothing(make: Make, kind: str, how: str, ends: bool) -> None:
    """The application may take its time after that: it is not ended, and the line says 200."""
    protocol, _, method = kind.partition(" ")
    tidies = TidiesUp()
    site = make(tidies, protocol=protocol)
    site.change(end_on_disconnect=ends)
    request = fastcgi.get() if protocol == "fastcgi" else GET.replace(b"GET", method.encode() or b"GET")
    client = site.connect(request)
    answered(client, protocol, bool(method))
    look(site)
    assert watches(tidies.disconnect)
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    wait_until(tidies.disconnect.is_set)
    tidies.gate.set()
    wait_until(lambda: "=> generated" in site.log)
    assert " 200)" in site.log
    assert tidies.closed
    assert site.service.seat.counters[CLIENT_GONE] == 0


def test_what_fails_after_the_answer_is_logged_though_the_client_has_left(make: Make) -> None:
    tidies = TidiesUp(fails=True)
    site = make(tidies)
    client = site.connect(GET)
    read_answer(client)
    look(site)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    wait_until(tidies.disconnect.is_set)
    tidies.gate.set()
    wait_until(lambda: "=> generated" in site.log)
    assert "RuntimeError: in close" in site.log
    assert " 200)" in site.log


def test_by_option_the_greenlet_is_ended(make: Make) -> None:
    ended: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        try:
            Event().wait()
        except Exception:
            ended.append("caught by except Exception")
        finally:
            ended.append("finally")
        return []

    site = make(application)
    site.change(end_on_disconnect=True)
    client = site.connect(GET)
    settle()
    look(site)
    client.close()
    wait_until(lambda: "=> generated" in site.log)
    assert ended == ["finally"]
    assert "(HTTP/1.1 499)" in site.log
    assert "Traceback" not in site.log


def test_wait_waits_and_tells(make: Make) -> None:
    told: list[bool] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        told.append(environ["greenwsgi.disconnected"].wait(0))
        told.append(environ["greenwsgi.disconnected"].wait())
        return []

    site = make(application)
    client = site.connect(GET)
    settle()
    look(site)
    client.close()
    wait_until(lambda: len(told) == 2)
    assert told == [False, True]


@pytest.mark.parametrize("kept", [False, True])
def test_who_waits_beyond_its_request_is_told_when_the_connection_ends(make: Make, kept: bool) -> None:
    waiting: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        waiting.append(gevent.spawn(environ["greenwsgi.disconnected"].wait))
        start_response("200 OK", [])
        return [b"ok"]

    site = make(application)
    with site.connect(GET if kept else GET.replace(b"x\r\n", b"x\r\nConnection: close\r\n")) as client:
        assert read_answer(client)[1] == b"ok"
        if kept:
            assert not waiting[0].ready()
            client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    wait_until(waiting[0].ready)
    assert waiting[0].value is True
