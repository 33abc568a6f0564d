"""The interface of an exchange to the connection that carries it.

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
    """Bytes of one channel, in both directions. Raises PeerGone if the peer has left, PeerStalled if it stalls."""

    timeout: float
    """Seconds that each read may wait."""
    waits: int
    """How often a greenlet has waited for the peer since the exchange began."""
    sending: bool
    """A greenlet is in the middle of a send: other data would be mixed into it."""
    gone: bool
    """The peer has left, or does not take what is sent."""
    loop_budget: LoopBudget
    """The worker's."""

    def recv(self, until: float = 0.0) -> bytes:
        """The next bytes, b"" when the peer has ended its side. `until`: a deadline that replaces the timeout."""

    def answer_was_lost(self) -> bool:
        """The peer ended its side before it was answered: whether it has closed the connection completely."""


class ClientWatch(Protocol):
    """Watches whether the client leaves while its request runs. `environ["greenwsgi.disconnected"]` is one."""

    missed: bool
    """The client left before it had the whole answer."""
    full: bool
    """No more data of the client is read: `look` must be called to find out whether it has left."""

    def watch(self, response: Response, victim: Any) -> None:
        """Begin to watch. When the client leaves, ClientLeft is thrown into the greenlet `victim`; None for no one."""

    def look(self) -> None:
        """Called in the hub while `full`: check whether the client has left."""

    def rest(self) -> None:
        """The request has ended: stop watching."""


class Channel(Protocol):
    """Carries one request and its answer at a time."""

    greenlet: Any
    """The greenlet that runs the exchange."""
    lingers: bool
    """The peer may still be sending bytes that will not be read: the channel must wait for them before it closes."""

    @property
    def protocol(self) -> WireProtocol:
        """Gives the body's events and frames the answer."""

    @property
    def stream(self) -> ChannelStream:
        """The channel's bytes."""

    @property
    def environ(self) -> dict[str, Any]:
        """The variables that all requests of the connection share. An exchange copies them."""

    @property
    def scheme(self) -> str:
        """The client's scheme; "" if the peer is a gateway, which supplies the client's address and scheme."""

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
        """Answer with `status` if the protocol can express it. The channel ends afterwards."""
