"""Detects that a client has left. `environ["greenwsgi.disconnected"]` is an event on which an application can wait.

To watch the socket during every request would cost some 3 us per request. So the watchdog begins to watch only the
requests that have run for longer than its interval (watchdog.LOOK): those that wait for something.
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
"""Bytes of pipelined requests that are read while a request runs. Beyond it the watchdog polls for the client's end."""
RECORDS = 4096
"""The number of bytes that a read of TLS records without data counts as."""


class ClientLeft(GreenletExit):
    """Thrown into a request whose client has left, under end-on-disconnect."""

    def __init__(self, disconnect: ClientWatch) -> None:
        super().__init__("the client has left")
        self.disconnect = disconnect
        """The watch of that client."""


class Disconnect:
    """Watches whether one client leaves. It implements ClientWatch.

    A client that only ends its side (half-closes) cannot be distinguished from one that has left: it counts as left,
    but still gets its answer. A gateway that aborts a request and keeps its connection has left that request only.

    Attributes:

    - full: READ_AHEAD bytes have been read while the request runs, and no more are; `look` checks for the end.
    - left: the client has left.
    - missed: the client left before it had its whole answer. False if it left after the answer, while the application
      was still running.
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
        """Whether the client has left. Detected within a tenth of a second, once the request's body has been read."""
        return self.left

    ready = is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the client has left, `timeout` seconds at most; returns `is_set`."""
        return bool(self.event.wait(timeout))

    @property
    def event(self) -> Event:
        """The same as a gevent Event, for gevent.wait and similar functions."""
        if self._event is None:
            self._event = Event()
            if self.left:
                self._event.set()
        return self._event

    # For the server

    def watch(self, response: Response, victim: Any) -> None:
        """Begin to watch.

        When the client leaves before `response` is over, ClientLeft is thrown into the greenlet `victim`, unless that
        is None. Nothing else may read from the stream meanwhile: the body must have been read, and the next head must
        not be awaited.
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
        """The request has ended: stop watching. After an abort, the state is reset for the next request."""
        self.full = False
        if self._watcher is not None:
            self._watcher.stop()
            self._response = self._victim = None
            if self.left and self._protocol.aborted:
                self.left, self.missed, self._event = False, False, None

    def connection_ended(self) -> None:
        """The connection has ended: wake greenlets of the application that still wait for the event."""
        self.left = True
        if self._event is not None:
            self._event.set()
        if self._watcher is not None:
            self._watcher.close()

    def _readable(self) -> None:
        """Runs in the hub: the end, a reset, an abort, or bytes of the next request, which the protocol buffers."""
        stream = self._stream
        try:
            data = stream.recv_now()
        except BlockingIOError:  # under TLS: records without application data
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
        """Called in the hub at each tick while `full`: check whether the client has left, without reading."""
        if self._stream.is_ended():
            self._stream.gone = True
            self._depart()

    def _depart(self) -> None:
        """The client has aborted the request or left."""
        self._watcher.stop()
        self.full = False
        self.left = True
        self.missed = self._response is not None and not self._response.over
        if self._event is not None:
            self._event.set()
        if self._victim is not None and self.missed:
            interrupt(self._victim, ClientLeft(self))
