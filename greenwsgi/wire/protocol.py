"""What protocols say and take: the contract between wire/ (bytes) and everything above it.

CGI variables are the common currency: whatever the protocol, a request head is a dictionary of CGI variables
(RFC 3875, PEP 3333 "environ Variables"), its texts decoded as latin-1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol as Interface

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class RequestHead:
    """A whole, bounded, valid request head.

    vars: CGI variables without REMOTE_ADDR and the like, which only the socket knows (uwsgi peers may send them).
    length: body length in bytes, 0 for none, -1 when only the framing tells (chunked).
    size: how many bytes the head took on the wire.
    expects_continue: the client waits for an interim answer before it sends the body (RFC 9110 10.1.1).
    """

    vars: dict[str, str]
    length: int = 0
    size: int = 0
    expects_continue: bool = False


class EndOfRequest:
    """The body is over."""

    __slots__ = ()


END = EndOfRequest()


@dataclass(slots=True)
class Reply:
    """The protocol answers by itself (a uwsgi ping, FastCGI's GET_VALUES): send `data`, then ask `next_event` again.

    Without data it only says that much was passed over, and that others may run before `next_event` is asked again.

    No request begins by it; one that runs goes on. END behind a Reply, while no request runs, says that the connection
    is to be closed.
    """

    data: bytes


Event = RequestHead | Reply | bytes | EndOfRequest


@dataclass(frozen=True, slots=True)
class WireLimits:
    """How much a peer may send before it is refused; counted as the bytes arrive. All in bytes but the counts."""

    head: int = 65536
    request_line: int = 16384
    headers: int = 128
    body: int = 0  # 0 is unlimited
    chunk_line: int = 4096
    trailers: int = 16384
    requests: int = 1  # how many are served at once, for gateways that ask (a FastCGI matter)
    commands: bool = False  # pass on the variables that name code to load (a uwsgi matter)
    cgi: bool = False  # programs are served (a uwsgi matter: modifier 9)
    underscores: str = "drop"  # "drop" | "keep" | "refuse": header names with "_" (an HTTP matter)


class WireProtocol(Interface):
    """One connection's side of one protocol: bytes in, events out; answers in, bytes out. It never blocks.

    One request at a time: `next_event` gives a RequestHead, then pieces of body as `bytes`, then END (again and
    again); after that, and after the answer's `end`, `next_request` begins the next one. None means: give me more
    bytes. After a PeerError every further byte is forgotten and `next_event` raises the same again.

    Read-ahead is bounded: a caller of `receive_data` only after a None holds at most one unfinished head
    (limits.head) and what one `receive_data` brought. Bytes of a pipelined request wait here until `next_request`.

    The peer's end: in the middle of a head or a body `next_event` raises PeerGone; between requests it gives None for
    ever, with `at_eof` and `idle` both true: that is a clean end. A peer that has half-closed can still be answered.
    """

    limits: WireLimits
    plain_body: bool
    """An answer of known length goes out byte for byte: `chunk` would not change it, so the kernel may send a file."""
    says_close: bool
    """Whether the connection may be kept is said in each answer, or it never is; else see `parting`."""

    def __init__(self, limits: WireLimits) -> None: ...

    @property
    def reusable(self) -> bool:
        """After `end`: may this connection carry another request? False until the request's body was received whole."""

    @property
    def body_done(self) -> bool:
        """The request's body has been received whole (or there was none)."""

    @property
    def still_sends(self) -> bool:
        """More of the last request is to come though its body is done: to close now would fail the peer's send."""

    @property
    def idle(self) -> bool:
        """No byte of the next request has come: closing now loses nothing."""

    @property
    def at_eof(self) -> bool:
        """The peer said that it will send no more."""

    @property
    def aborted(self) -> bool:
        """The peer wants no answer any more, but may go on with the connection (FastCGI's ABORT_REQUEST)."""

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; b"" says that it will send no more."""

    def waiting(self) -> int:
        """How many bytes are here that no event has used; behind a request's body they are the next one's."""

    def next_event(self) -> Event | None:
        """The next event, or None when more bytes are needed. Raises PeerError, or PeerGone on an early end."""

    def next_request(self) -> int:
        """Begin the next request of a reusable connection; returns how many bytes of it are already here."""

    def interim(self) -> bytes:
        """`100 Continue` where the protocol and this request know it, else nothing."""

    def head(self, status: str, headers: Headers, length: int, date: bytes, keep_alive: bool) -> bytes:
        """The answer's head.

        status: "200 OK". headers: as the app gave them, already checked. length: the body's length if it is known
        and the app did not say it itself, -1 if unknown; HTTP chooses chunked or close from it. date: the value of
        a Date header to add where the protocol wants one. keep_alive: False when the server wants to close.
        """

    def chunk(self, data: bytes) -> bytes:
        """A non-empty piece of the answer's body, framed. Raises PeerGone when the peer has aborted, as `head` does."""

    def pieces(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        """The same as `chunk` in pieces, which are not joined: a large piece of body is not copied."""

    def end(self) -> bytes:
        """What closes the answer: the last chunk, an end record, or nothing."""

    def parting(self) -> bytes:
        """What was kept back of an answer, to go out in one packet with the end of our side: where nothing in an answer
        says that the connection ends, the peer would take it for the next request as soon as it has all. Once."""

    def refuse(self, status: int, text: str, date: bytes, extra: Iterable[tuple[str, str]] = ()) -> bytes:
        """A whole answer that refuses, with `Connection: close` where there is such a thing; may be b""."""

    def complain(self, data: bytes) -> bool:
        """Take bytes for the peer's error log, which go with the answer. False when they cannot be taken."""


@dataclass(frozen=True, slots=True)
class ProtocolRow:
    """One row of PROTOCOLS: its name, its class and what sets it apart for the layers above."""

    name: str
    factory: type[WireProtocol] = field(repr=False)
    scheme: str
    help: str
