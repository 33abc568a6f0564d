"""Reads a request's body: from the socket, through the protocol, to wsgi.input."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from greenlet import getcurrent

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.serve.channel import ChannelStream
from greenwsgi.serve.deadlines import PeerStalled
from greenwsgi.wire.protocol import Reply, WireProtocol

_now = SystemClock.monotonic

GRACE = 10.0
"""Seconds that a reader may wait for a body before body-min-rate applies."""
SMALL = 16384
"""The largest body, in bytes, that is read before its request takes a slot."""
MOST_FETCHED = 16 * 1024 * 1024
"""Bytes of such bodies that a worker holds. Beyond it, requests take their slots before their bodies are read."""
LAG = 2.0
"""Seconds of waiting over which the rate of a body is measured."""
LAGGARD = 16
"""A body slower than this many times body-min-rate is slow: its slot is taken back when requests wait for slots."""
_START = (0.0, 0.0)
DISCARD_BYTES = 1024 * 1024
"""Bytes of an unread body, including its framing, that are read and discarded to keep the connection."""


@dataclass(slots=True)
class FetchedBodies:
    """The small bodies that a worker holds for requests that have no slot yet."""

    size: int = 0
    """Bytes; at most about MOST_FETCHED."""


class RequestBody:
    """One request's body; `pull` is a wsgi_input.PullBody.

    Arguments:

    - protocol: gives the body's events.
    - stream: gives the protocol its bytes.
    - owes_continue: the client waits for `100 Continue`, which is sent when the application reads for the first time.
    - rate: the lowest rate in bytes per second, 0 for no limit. Only time in which a greenlet waits for the body
      counts, so an application may read as slowly as it likes.
    """

    __slots__ = (
        "_began", "_closed", "_fetched", "_given_up", "_mark", "_owes_continue", "_patience", "_protocol", "_rate",
        "_reader", "_stream", "_waited",
    )  # fmt: skip

    def __init__(self, protocol: WireProtocol, stream: ChannelStream, owes_continue: bool, rate: int) -> None:
        self._rate = rate
        self._patience = GRACE
        self._protocol = protocol
        self._stream = stream
        self._owes_continue = owes_continue
        self._closed = self._given_up = False
        self._reader: Any = None
        self._began = self._waited = 0.0
        self._mark = _START
        self._fetched = b""

    def pull(self) -> bytes:
        """The next piece of the body, b"" at its end. Raises PeerError, PeerGone, or ValueError after `close`."""
        if self._closed:
            raise ValueError("wsgi.input of a request that has ended")
        if self._fetched:
            body, self._fetched = self._fetched, b""
            return body
        protocol, stream = self._protocol, self._stream
        self._stream.loop_budget.check()
        if self._owes_continue:
            self._owes_continue = False
            stream.send(protocol.interim())
        while type(event := protocol.next_event()) is not bytes:
            if event is None:
                protocol.receive_data(self._receive())
            elif type(event) is Reply:
                stream.send_next(event.data)
            else:
                return b""
        return event

    def fetch(self, fetched: FetchedBodies) -> None:
        """Read a small body completely before its request takes a slot, so that a slow one holds none.

        Raises PeerError (408) if it does not come in time. Other errors are raised again when the application reads.
        """
        pieces, size = [], 0
        try:
            while fetched.size < MOST_FETCHED and (piece := self.pull()):
                pieces.append(piece)
                size += len(piece)
                fetched.size += len(piece)
        except PeerStalled:
            raise PeerError(self.complaint, 408) from None
        except (PeerError, PeerGone):  # the next pull raises it again
            pass
        finally:
            fetched.size -= size
        self._fetched = b"".join(pieces)

    def pace(self, now: float) -> float:
        """The rate of this body in bytes per second of waiting for it; infinite if it is not slow or not awaited."""
        if self._reader is None or not self._rate:
            return inf
        got = (self._patience - GRACE + self._waited) * self._rate
        waited = self._waited + now - self._began
        since, had = self._mark
        if waited - since < LAG:
            return inf
        pace = (got - had) / (waited - since)
        if pace < LAGGARD * self._rate:
            return pace
        self._mark = (waited, got)  # measure the next interval from here: a fast start must not hide a slow rest
        return inf

    def give_up(self, waiting: dict[Any, float]) -> bool:
        """Free the slot for others: let the wait for this body end at the next sweep of the deadlines.

        waiting: `Deadlines.waiting` of the worker. Returns False if no greenlet waits for this body.
        """
        if self._reader not in waiting:
            return False
        self._given_up = True
        waiting[self._reader] = 0.0
        return True

    @property
    def complaint(self) -> str:
        """The text of the error answer for a body that came too slowly."""
        if self._given_up:
            return "the request body came too slowly while other requests waited"
        return "the request body did not come in time (socket-timeout)"

    def _receive(self) -> bytes:
        """Bytes from the client. `_patience` (seconds) falls by the time waited and rises by the bytes received."""
        stream = self._stream
        self._stream.loop_budget.check()
        began = _now()
        self._reader, self._began = getcurrent(), began
        try:
            if not self._rate:
                return stream.recv()
            data = stream.recv(began + min(stream.timeout, max(self._patience, 0.0)))
        finally:
            self._reader = None
        waited = _now() - began
        self._waited += waited
        self._patience += len(data) / self._rate - waited
        return data

    def close(self, *, keep: bool) -> bool:
        """The request has ended. keep: read and discard the rest of the body, so that the connection can be kept.

        Returns whether the body is complete: False if a greenlet of the application waits for it, or it is too large.
        """
        protocol = self._protocol
        self._closed = True
        try:
            room = DISCARD_BYTES if keep and not self._owes_continue and self._reader is None else 0
            while room > 0 and not protocol.body_done:
                self._stream.loop_budget.check()
                event = protocol.next_event()
                if event is None:
                    data = self._receive()
                    room -= len(data)
                    protocol.receive_data(data)
                elif type(event) is Reply:
                    self._stream.send_next(event.data)
        except PeerError:
            return False  # the answer has been sent; only the connection is lost
        return protocol.body_done
