"""Exchanges on channels that are not connections: two run at the same time on what would be one connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from gevent.event import Event

from greenwsgi.serve.disconnect import ClientLeft
from greenwsgi.serve.service import Service
from tests.serve.conftest import Make
from tests.serve.fake_channel import FakeChannel
from tests.serve.site import wait_until

POST = b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n"
GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


class Application:
    """Echoes bodies in pieces; `/hold` waits for `go`; `/fail` raises after its first piece."""

    def __init__(self) -> None:
        self.go = Event()
        self.ended: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        path = environ["PATH_INFO"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            if path == "/hold":
                self.go.wait()
                yield b"held"
            elif path == "/fail":
                yield b"some"
                raise ValueError("broken")
            else:
                while piece := environ["wsgi.input"].read(3):
                    yield path.encode() + piece
        finally:
            self.ended.append(path)


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def service(make: Make, application: Application) -> Service:
    return make(application).service


def test_two_exchanges_take_turns_with_their_bodies_and_answers(service: Service) -> None:
    one, two = FakeChannel(service), FakeChannel(service)
    running = [one.start(POST % b"a"), two.start(POST % b"b")]
    wait_until(lambda: len(service.running) == 2)
    for channel, piece in ((one, b"123"), (two, b"456"), (two, b"789"), (one, b"000")):
        channel.feed(piece)
    assert [greenlet.get() for greenlet in running] == [True, True]
    assert one.stream.sent.count(b"HTTP/1.1 200 OK") == two.stream.sent.count(b"HTTP/1.1 200 OK") == 1
    assert b"/a123" in one.stream.sent
    assert b"/a000" in one.stream.sent
    assert b"/b456" in two.stream.sent
    assert b"/b789" in two.stream.sent
    assert b"/b" not in one.stream.sent
    assert b"/a" not in two.stream.sent
    assert not service.running


def test_one_that_is_cut_leaves_the_other_alone(service: Service, application: Application) -> None:
    cut, other = FakeChannel(service), FakeChannel(service)
    held = other.start(GET % b"hold")
    wait_until(lambda: service.running)
    assert cut.start(GET % b"fail").get() is False
    assert b"some" in cut.stream.sent
    assert not cut.stream.sent.endswith(b"0\r\n\r\n")
    application.go.set()
    assert held.get() is True
    assert other.stream.sent.endswith(b"0\r\n\r\n")


def test_a_client_that_leaves_one_channel_stays_on_the_other(service: Service, application: Application) -> None:
    service.policy = replace(service.policy, end_on_disconnect=True)
    left, other = FakeChannel(service), FakeChannel(service)
    running = [left.start(GET % b"hold"), other.start(GET % b"hold")]
    wait_until(lambda: len(service.running) == 2)
    for exchange in service.running.values():
        exchange.seen = True
        assert exchange.watch()
    left.stream.gone = True
    left.disconnect.leave(ClientLeft(left.disconnect))
    assert running[0].get() is False
    assert application.ended == ["/hold"]
    assert left.stream.sent == b""
    application.go.set()
    assert running[1].get() is True
    assert b"held" in other.stream.sent
    assert not other.disconnect.watching


def test_a_body_without_end_is_refused_on_its_own_channel(service: Service) -> None:
    channel = FakeChannel(service)
    exchange = channel.start(POST % b"a")
    channel.stream.incoming.put(b"12")
    channel.stream.incoming.put(b"")
    assert exchange.get() is False
    assert [status for status, _ in channel.refused] == [400]
    assert not service.running
