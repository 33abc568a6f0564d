"""A channel without a socket: several of them may belong to one connection, as streams of HTTP/2 will."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gevent
from gevent.hub import get_hub
from gevent.queue import Queue

from greenwsgi.errors import PeerGone
from greenwsgi.serve.exchange import Exchange
from greenwsgi.serve.greenlet_interrupt import interrupt
from greenwsgi.serve.service import Service
from greenwsgi.wire.http1 import Http1
from greenwsgi.wire.protocol import RequestHead, WireLimits
from greenwsgi.wsgi.environ import fixed_part
from greenwsgi.wsgi.response import Response
from tests.serve.site import wait_until


class FakeStream:
    """What comes in is what a test feeds; what goes out is kept in `sent`."""

    def __init__(self, service: Service) -> None:
        self.timeout = 30.0
        self.waits = 0
        self.sending = self.gone = False
        self.loop_budget = service.loop_budget
        self.incoming: Queue[bytes] = Queue()
        self.sent = b""

    def recv(self, until: float = 0.0) -> bytes:
        self.waits += 1
        return self.incoming.get()

    def send(self, data: bytes) -> None:
        if self.gone:
            raise PeerGone("the client has reset the stream")
        self.sent += data

    send_next = send

    def send_pieces(self, pieces: Iterable[bytes | memoryview]) -> None:
        self.send(b"".join(pieces))

    def check_turn(self) -> None:
        """Nothing to give way to."""

    def answer_was_lost(self) -> bool:
        return self.gone


class FakeWatch:
    """The test says when the client leaves."""

    def __init__(self) -> None:
        self.full = self.missed = self.watching = False
        self._victim: Any = None

    def watch(self, response: Response, victim: Any) -> None:
        self._victim, self.watching = victim, True

    def look(self) -> None:
        """`leave` does it."""

    def rest(self) -> None:
        self.watching = False

    def leave(self, error: BaseException) -> None:
        """The client leaves: end the request that runs for it."""
        self.missed = True
        get_hub().loop.run_callback(interrupt, self._victim, error)


class FakeChannel:
    """One of several channels of a connection. `start` runs an exchange on it in a greenlet of its own."""

    scheme = "http"
    sendfile = None
    who = "a test"

    def __init__(self, service: Service) -> None:
        self.stream = FakeStream(service)
        self.protocol = Http1(WireLimits())
        self.disconnect = FakeWatch()
        self.environ = {**fixed_part(multiprocess=False), "REMOTE_ADDR": "10.0.0.1"}
        self.greenlet: Any = None
        self.lingers = False
        self.refused: list[tuple[int, str]] = []
        self._service = service

    def refuse(self, status: int, text: str, extra: Iterable[tuple[str, str]] = ()) -> None:
        self.refused.append((status, text))

    def feed(self, piece: bytes) -> None:
        """Give it a piece of body, and wait for what the application answers to that."""
        before = self.stream.sent
        self.stream.incoming.put(piece)
        wait_until(lambda: self.stream.sent != before)

    def start(self, head: bytes) -> Any:
        """The greenlet of an exchange for this request; its value is what `Exchange.run` returns."""
        self.protocol.receive_data(head)
        event = self.protocol.next_event()
        assert isinstance(event, RequestHead)
        self.greenlet = gevent.spawn(lambda: Exchange(self._service, self, event).run())
        return self.greenlet
