"""The request's body on its way in: from the socket, through the protocol, to wsgi.input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerError
from greenwsgi.wire.events import Reply

if TYPE_CHECKING:
    from greenwsgi.serve.connection import Connection

_now = SystemClock.monotonic

GRACE = 10.0
"""Seconds that a body may make its reader wait before body-min-rate counts."""
DISCARD_BYTES = 1024 * 1024
"""How much is read away, of a body that the application left unread and its framing, to keep the connection."""


class Intake:
    """One request's body; `pull` is wsgi.body.PullBody.

    owes_continue: the client waits for `100 Continue`, which goes out when the application reads for the first time.
    rate: bytes a second below which a body is too slow, 0 for no such rule. Only the time that somebody waits for the
    body counts, so an application may read as slowly as it likes.
    """

    __slots__ = ("_closed", "_owes_continue", "_patience", "_protocol", "_rate", "_reading", "_stream")

    def __init__(self, connection: Connection, owes_continue: bool, rate: int) -> None:
        self._rate = rate
        self._patience = GRACE
        self._protocol = connection.protocol
        self._stream = connection.stream
        self._owes_continue = owes_continue
        self._closed = self._reading = False

    def pull(self) -> bytes:
        """The next piece of the body, b"" at its end; raises PeerError, PeerGone, or ValueError after its request."""
        if self._closed:
            raise ValueError("wsgi.input of a request that has ended")
        protocol, stream = self._protocol, self._stream
        self._stream.turns.check()
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

    def _receive(self) -> bytes:
        """Bytes from the client; waiting costs patience, what comes brings some back."""
        stream = self._stream
        self._stream.turns.check()
        began = _now()
        self._reading = True
        try:
            if not self._rate:
                return stream.recv()
            data = stream.recv(began + min(stream.timeout, max(self._patience, 0.0)))
        finally:
            self._reading = False
        self._patience += len(data) / self._rate - (_now() - began)
        return data

    def close(self, *, keep: bool) -> bool:
        """The request is over; to keep the connection, read away what is left of its body. False when that cannot be
        (a greenlet of the application waits for it), or is too much."""
        protocol = self._protocol
        try:
            room = DISCARD_BYTES if keep and not self._owes_continue and not self._reading else 0
            while room > 0 and not protocol.body_done:
                self._stream.turns.check()
                event = protocol.next_event()
                if event is None:
                    data = self._receive()
                    room -= len(data)
                    protocol.receive_data(data)
                elif type(event) is Reply:
                    self._stream.send_next(event.data)
        except PeerError:
            return False  # the answer is out; only the connection is lost
        finally:
            self._closed = True
        return protocol.body_done
