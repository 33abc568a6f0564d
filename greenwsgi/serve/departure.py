"""Has the client gone? `environ["greenwsgi.disconnected"]`, an event that a waiting application can wait on too.

Watching every socket during every request would cost two system calls' worth for each; so the watchdog begins to watch
those that have run for longer than one of its looks, which are the ones that can wait for something.
"""

from __future__ import annotations

from typing import Any

from gevent import GreenletExit
from gevent.event import Event
from gevent.hub import get_hub

from greenwsgi.serve.stream import Stream
from greenwsgi.wire.events import WireProtocol

READ_AHEAD = 65536
"""Bytes of pipelined requests that are taken in while one runs; beyond it the client's end can only be seen later."""


class ClientLeft(GreenletExit):
    """Thrown into a request whose client has left, under end-on-disconnect. `departure` is the request's own."""

    def __init__(self, departure: Departure) -> None:
        super().__init__("the client has left")
        self.departure = departure


class Departure:
    """One request's answer to "is its client still there?". A client that ends its side only (half-closes) has left as
    far as anyone can tell; it still gets its answer."""

    __slots__ = ("_event", "_left", "_read", "_watcher", "greenlet")

    def __init__(self) -> None:
        self._left = False
        self._event: Event | None = None
        self._watcher: Any = None
        self._read = 0
        self.greenlet: Any = None
        """What to end when the client leaves, None for nothing."""

    # For the application

    def is_set(self) -> bool:
        """Has the client left? Known within a tenth of a second, once the request's body has been read."""
        return self._left

    ready = is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the client has left, `timeout` seconds at most; returns `is_set`."""
        return bool(self.event.wait(timeout))

    @property
    def event(self) -> Event:
        """The same as a gevent Event, for gevent.wait and its like."""
        if self._event is None:
            self._event = Event()
            if self._left:
                self._event.set()
        return self._event

    # For the server

    @property
    def watched(self) -> bool:
        """Has watching begun?"""
        return self._watcher is not None

    def watch(self, stream: Stream, protocol: WireProtocol) -> None:
        """Begin to watch. Nobody else may read from the stream: the body has been read, the next head is not due."""
        self._watcher = watcher = get_hub().loop.io(stream.sock.fileno(), 1)
        watcher.start(self._readable, stream, protocol)

    def stop(self) -> None:
        """The request has ended."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()

    def _readable(self, stream: Stream, protocol: WireProtocol) -> None:
        """In the hub: the end, a reset, or bytes of the next request, which the protocol keeps."""
        try:
            data = stream.sock.recv(READ_AHEAD)
        except BlockingIOError:
            return
        except OSError:
            stream.gone = True
            data = b""
        if data:
            protocol.receive_data(data)
            self._read += len(data)
            if self._read >= READ_AHEAD:
                self._watcher.stop()
            return
        self._watcher.stop()
        self._left = True
        if self._event is not None:
            self._event.set()
        if self.greenlet is not None:
            self.greenlet.throw(ClientLeft(self))
