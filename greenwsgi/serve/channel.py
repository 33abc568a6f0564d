"""The port of an exchange: what one request and its answer need of the connection that carries them.

Connection implements it for the protocols that carry one request at a time. A stream of an HTTP/2 connection, or a
WebSocket's handshake, is a channel too: several of them may belong to one connection. The interfaces are structural, so
no object stands between an exchange and its connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.wire.protocol import WireProtocol
from greenwsgi.wsgi.file_wrapper import SendFile
from greenwsgi.wsgi.response import Response, ResponseSink


class ChannelStream(ResponseSink, Protocol):
    """Bytes of one channel, in both directions. A peer that has left raises PeerGone, one that stalls PeerStalled."""

    timeout: float
    """Seconds that each read may wait."""
    waits: int
    """How often a greenlet has waited for the peer since the exchange began."""
    sending: bool
    """A greenlet is in the middle of a send: anything sent now would be in the middle of its data."""
    gone: bool
    """The peer has left, or does not take what is sent."""
    loop_budget: LoopBudget

    def recv(self, until: float = 0.0) -> bytes:
        """The next bytes, b"" when the peer has ended its side. `until`: a deadline that replaces the timeout."""

    def answer_was_lost(self) -> bool:
        """The peer ended its side before it was answered: has it closed the connection altogether?"""


class ClientWatch(Protocol):
    """Watches whether the client leaves while its request runs. `environ["greenwsgi.disconnected"]` is one."""

    missed: bool
    """The client left before it had the whole answer."""
    full: bool
    """What the client sends is not read any more: `look` finds out whether it has left."""

    def watch(self, response: Response, victim: Any) -> None:
        """Begin to watch. When the client leaves, ClientLeft is thrown into the greenlet `victim`; None for no one."""

    def look(self) -> None:
        """Called in the hub while `full`: has the client left?"""

    def rest(self) -> None:
        """The request has ended: stop watching."""


class Channel(Protocol):
    """One request's way in and its answer's way out."""

    greenlet: Any
    """The greenlet that runs the exchange."""
    lingers: bool
    """Bytes that no one will read may be on their way from the peer: the end of the channel must wait for them."""

    @property
    def protocol(self) -> WireProtocol:
        """Gives the body's events and frames the answer."""

    @property
    def stream(self) -> ChannelStream:
        """Its bytes."""

    @property
    def environ(self) -> dict[str, Any]:
        """What all requests of the connection have in common. An exchange copies it."""

    @property
    def scheme(self) -> str:
        """The client's scheme; "" when the peer is a gateway, which knows the client's address and scheme."""

    @property
    def sendfile(self) -> SendFile | None:
        """Sends a part of a file without reading it; None where the body is framed or encrypted."""

    @property
    def disconnect(self) -> ClientWatch:
        """Watches whether the client leaves."""

    @property
    def who(self) -> str:
        """The peer, for the log."""

    def refuse(self, status: int, text: str, extra: Iterable[tuple[str, str]] = ()) -> None:
        """Answer with `status` where the protocol can say it. The channel ends after that."""
