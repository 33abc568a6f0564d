"""Has the client gone? `environ["greenwsgi.disconnected"]`, an event that a waiting application can wait on too.

Watching every socket during every request would cost each of them some 3 us; so the watchdog begins to watch those that
have run for longer than one of its looks, which are the ones that wait for something.
"""

from __future__ import annotations

from typing import Any

from gevent import GreenletExit
from gevent.event import Event
from gevent.hub import get_hub

from greenwsgi.serve.channel import ClientWatch
from greenwsgi.serve.greenlet_interrupt import interrupt
from greenwsgi.serve.stream import Stream
from greenwsgi.wire.protocol import WireProtocol
from greenwsgi.wsgi.response import Response

READ_AHEAD = 65536
"""Bytes of pipelined requests that are taken in while one runs; beyond it the watchdog looks for the client's end."""
RECORDS = 4096
"""What TLS records without data count as."""


class ClientLeft(GreenletExit):
    """Thrown into a request whose client has left, under end-on-disconnect. `disconnect` is its client's."""

    def __init__(self, disconnect: ClientWatch) -> None:
        super().__init__("the client has left")
        self.disconnect = disconnect


class Disconnect:
    """One client's answer to "are you still there?". A client that ends its side only (half-closes) has left as far as
    anyone can tell; it still gets its answer. A gateway that aborts a request but keeps its connection has
    left that request.

    full: no more of what it sends is read while its request runs.
    missed: it left before it had its whole answer. Who leaves afterwards, while the application still tidies up, has
    missed nothing.
    """

    __slots__ = (
        "_event",
        "_protocol",
        "_read",
        "_response",
        "_stream",
        "_victim",
        "_watcher",
        "full",
        "left",
        "missed",
    )

    def __init__(self, stream: Stream, protocol: WireProtocol) -> None:
        self._stream = stream
        self._protocol = protocol
        self.left = self.missed = self.full = False
        self._response: Response | None = None
        self._event: Event | None = None
        self._watcher: Any = None
        self._victim: Any = None
        self._read = 0

    # For the application

    def is_set(self) -> bool:
        """Has the client left? Known within a tenth of a second, once the request's body has been read."""
        return self.left

    ready = is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the client has left, `timeout` seconds at most; returns `is_set`."""
        return bool(self.event.wait(timeout))

    @property
    def event(self) -> Event:
        """The same as a gevent Event, for gevent.wait and its like."""
        if self._event is None:
            self._event = Event()
            if self.left:
                self._event.set()
        return self._event

    # For the server

    def watch(self, response: Response, victim: Any) -> None:
        """Begin to watch, and throw ClientLeft into the greenlet `victim` when the client leaves; None is for nobody.
        Not when `response` is over, though: what the application still does then is not for the client.

        Nobody else may read from the stream meanwhile: the body has been read, the next head is not due.
        """
        self._response = response
        self._victim = victim
        self._read = 0
        self.full = False
        self.missed = self.left
        if self._watcher is None:
            self._watcher = get_hub().loop.io(self._stream.sock.fileno(), 1)
        if not self.left:
            self._watcher.start(self._readable)
            if self._protocol.aborted:
                self._depart()

    def rest(self) -> None:
        """The request has ended: stop watching. Who aborted it is there for the next one."""
        self.full = False
        if self._watcher is not None:
            self._watcher.stop()
            self._response = self._victim = None
            if self.left and self._protocol.aborted:
                self.left, self.missed, self._event = False, False, None

    def connection_ended(self) -> None:
        """The connection has ended: whoever waits for it beyond its request need wait no more."""
        self.left = True
        if self._event is not None:
            self._event.set()
        if self._watcher is not None:
            self._watcher.close()

    def _readable(self) -> None:
        """In the hub: the end, a reset, an abort, or bytes of the next request, which the protocol keeps."""
        stream = self._stream
        try:
            data = stream.recv_now()
        except BlockingIOError:  # under TLS: records without a byte for us
            self._count(RECORDS)
            return
        except OSError:
            stream.gone = True
            data = b""
        if data:
            self._protocol.receive_data(data)
            self._count(len(data))
            if not self._protocol.aborted:
                return
        self._depart()

    def _count(self, size: int) -> None:
        self._read += size
        if self._read >= READ_AHEAD:
            self._watcher.stop()
            self.full = True

    def look(self) -> None:
        """In the hub, now and then while `full`: has the client left, behind the bytes that are not read?"""
        if self._stream.is_ended():
            self._stream.gone = True
            self._depart()

    def _depart(self) -> None:
        """The client wants its answer no more, or cannot get it."""
        self._watcher.stop()
        self.full = False
        self.left = True
        self.missed = self._response is not None and not self._response.over
        if self._event is not None:
            self._event.set()
        if self._victim is not None and self.missed:
            interrupt(self._victim, ClientLeft(self))
