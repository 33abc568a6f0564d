"""One answer: start_response, write, and the rules that PEP 3333 puts on both.

Hot path, budget 3 us an answer of one chunk. Headers wait for the first non-empty piece of body, and go out with it in
one send. In two sends, Nagle's algorithm and delayed acknowledgement would cost 40 ms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from greenwsgi.wire.protocol import WireProtocol
from greenwsgi.wsgi.file_wrapper import FilePart, SendFile
from greenwsgi.wsgi.types import ExcInfo, Headers, Write

_STATUS = re.compile(r"[1-9][0-9][0-9](?: [\x20-\x7e\t\xa0-\xff]*)?\Z")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
LARGE = 32768
"""A piece of body of this many bytes or more is sent without being joined to its head and framing.

Joining would copy it, and the copy exists while the client is slow: 60 stalled readers of one constant of 10 MB took
600 MB. A smaller piece is joined, which is faster than a second piece in one system call.
"""
_CACHE_LIMIT = 512
_LONGEST_REMEMBERED = 128
_NEVER_REMEMBERED = frozenset(
    {
        *("authentication-info", "content-range", "etag", "location", "server-timing", "set-cookie", "traceresponse"),
        *("www-authenticate", "x-correlation-id", "x-request-id", "x-runtime"),
    }
)
"""Headers that are for one client only, or differ in each answer: they would only displace those that are repeated."""
_known_headers: dict[tuple[str, str], tuple[tuple[str, str], int]] = {}
"""Valid headers, each with itself and the Content-Length that it declares, or -1."""
_known_statuses: dict[str, tuple[str, bool]] = {}
"""Valid statuses, each with itself and whether its answers have no body.

The value repeats the key, because applications also give subclasses of str (SafeString, Markup, StrEnum) with the same
text. They are found here too, but their classes may format them differently: what is sent is what was checked.
"""


Data = bytes | memoryview
"""A piece of body; a memoryview only if it has LARGE bytes or more."""


class ResponseError(Exception):
    """The application broke PEP 3333; the answer is 500, as for any other error of the application."""


class Server(Protocol):
    """What a response reads from its server when it makes the head."""

    date: bytes
    """The current value of the Date header."""
    draining: bool
    """Whether connections are closed after their answer, also those whose request began before the drain."""
    header_rules: Callable[[Headers], Headers] | None
    """Applies `add-header` and `del-header` to an answer's headers; None if there are none."""


class ResponseSink(Protocol):
    """Where an answer goes. Each call returns when the kernel has taken everything, or raises PeerGone."""

    def send(self, data: bytes) -> None:
        """Send the first piece of an answer, or its end."""

    def send_next(self, data: bytes) -> None:
        """Send a later piece; other greenlets may run after it."""

    def check_turn(self) -> None:
        """Send nothing; other greenlets may run."""

    def send_pieces(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Send several pieces without copying them."""


class Response:
    """The answer to one request.

    Arguments:

    - protocol: frames the answer.
    - outlet: where it is sent.
    - server: gives the Date header, the state of draining and the operator's headers.
    - head_only: the request's method is HEAD.

    Attributes:

    - begun: the head has been sent.
    - closed: the application has ended, or its output is no longer accepted; `write` raises then.
    - cut: the answer ended too early, so the connection must be closed.
    - excess: bytes beyond the declared Content-Length, which were not sent.
    - head_size: bytes of the head.
    - headers: the headers of the answer.
    - over: the end of the answer has been sent, perhaps long before the application ends.
    - sent: bytes of the body that have been sent.
    - status: the status line, "" before start_response.
    """

    __slots__ = (
        "_bodiless", "_declared", "_head_only", "_outlet", "_protocol", "_server",
        "begun", "closed", "cut", "excess", "head_size", "headers", "over", "sent", "status",
    )  # fmt: skip

    def __init__(self, protocol: WireProtocol, outlet: ResponseSink, server: Server, head_only: bool) -> None:
        self._protocol = protocol
        self._outlet = outlet
        self._server = server
        self._head_only = self._bodiless = head_only
        self._declared = -1
        self.status = ""
        self.headers: Headers = []
        self.begun = self.closed = self.cut = self.over = False
        self.sent = self.excess = self.head_size = 0

    def start_response(self, status: str, headers: Headers, exc_info: ExcInfo | None = None) -> Write:
        """PEP 3333 "The start_response() Callable". Raises ResponseError, or `exc_info` if the head has been sent."""
        if exc_info is not None:
            try:
                if self.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # PEP 3333: no circular reference
        elif self.status:
            raise ResponseError("start_response was called a second time without exc_info")
        status, bodiless = _known_statuses.get(status) or _check_status(status)
        self.headers, self._declared = check_headers(headers)
        self._bodiless = self._head_only or bodiless
        self.status = status
        return self.write

    def write(self, data: Data) -> None:
        """Send a piece of body, and before the first one the head. An empty piece sends nothing.

        Raises ValueError after the end: the bytes would be in the middle of the connection's next answer.
        """
        if self.closed:
            raise ValueError("write() of a request that has ended")
        if type(data) is not bytes:
            data = _as_bytes(data)
        if not data:
            self._outlet.check_turn()
            return
        if not self.begun:
            self._begin(-1, data)
            return
        data = self._within(data)
        if not data:
            return
        if type(data) is bytes and len(data) < LARGE:
            piece = self._protocol.chunk(data)
            self._outlet.send_next(piece + self._end() if self.sent == self._declared else piece)
        else:
            pieces = self._protocol.pieces(data)
            self._outlet.send_pieces([*pieces, self._end()] if self.sent == self._declared else pieces)

    def only(self, data: Data) -> None:
        """Send the whole body in one piece, so that its length is known even without a Content-Length."""
        self.closed = True
        if type(data) is not bytes:
            data = _as_bytes(data)
        self._begin(len(data), data, last=True)
        if not self.over:
            self.finish()

    def file(self, part: FilePart, sendfile: SendFile) -> None:
        """Send a part of a file as the whole body, by `sendfile`."""
        self.closed = True
        count = part.length if self._declared < 0 else min(part.length, self._declared)
        self._begin(part.length, b"")
        if not self._bodiless and count:
            self.sent = sendfile(part._replace(length=count))
            self._declared = max(self._declared, count)
        self.finish()

    def fail(self, status: str) -> None:
        """Answer with a plain page that says `status`, in place of what the application has prepared."""
        self.headers = [("Content-Type", "text/plain")]
        self.status, self._declared, self._bodiless = status, -1, self._head_only
        self.only(status.partition(" ")[2].encode())

    def finish(self) -> None:
        """End the answer. Raises ResponseError if it is shorter than its Content-Length."""
        self.closed = True
        if not self.begun:
            self._begin(0, b"", last=True)
        if self._declared > self.sent and not self._bodiless:
            self.cut = True  # RFC 9112 8: only closing tells the client that the body is incomplete
            raise ResponseError(f"the body ended after {self.sent} bytes, Content-Length said {self._declared}")
        if not self.cut and not self.over and (end := self._end()):
            self._outlet.send(end)

    def _end(self) -> bytes:
        """The bytes that end the answer. They go with the last piece if that is known: one send, one packet."""
        self.over = True
        return self._protocol.end()

    def _begin(self, length: int, data: Data, last: bool = False) -> None:
        """Send the head, and with it the first piece of body, and the end if nothing can follow."""
        if not self.status:
            raise ResponseError("the application sent a body, or ended, before it called start_response")
        if self._declared >= 0 or (self._bodiless and not length):
            length = -1  # declared by the application, or unknown, since HEAD has no body
        protocol, server = self._protocol, self._server
        if server.header_rules is not None:
            self.headers = server.header_rules(self.headers)
        head = protocol.head(self.status, self.headers, length, server.date, not server.draining)
        self.head_size = len(head)
        self.begun = True
        if self._bodiless or 0 <= self._declared < len(data):
            data = self._within(data)
        else:
            self.sent = len(data)
        last = self._bodiless or self.sent == self._declared or (last and self._declared < 0)
        if type(data) is bytes and len(data) < LARGE:
            if data:
                head += protocol.chunk(data)
            if last:
                self.over = True
                head += protocol.end()
            self._outlet.send(head)
        else:
            pieces = [head, *protocol.pieces(data)]
            self._outlet.send_pieces([*pieces, self._end()] if last else pieces)

    def _within(self, data: Data) -> Data:
        """`data`, but nothing for a bodiless answer and nothing beyond the Content-Length that was declared."""
        if self._bodiless:
            return b""
        if 0 <= self._declared < self.sent + len(data):
            room = self._declared - self.sent
            self.excess += len(data) - room
            data = bytes(data[:room]) if room < LARGE else memoryview(data)[:room]
        self.sent += len(data)
        return data


def check_headers(headers: Headers) -> tuple[Headers, int]:
    """Check names and values as PEP 3333 demands; returns the headers to send, and the declared Content-Length or -1.

    They are a new list, since what the application adds to its own list later is not checked.
    """
    if type(headers) is not list:
        raise ResponseError(f"response headers must be a list, not {type(headers).__name__}")
    checked: Headers = []
    declared = -1
    for header in headers:
        # Applications send the same few headers again and again: one look-up (0.08 us) instead of a check (0.6 us).
        try:
            plain, length = _known_headers[header]
        except (KeyError, TypeError):
            plain, length = _check_header(header)
        if length >= 0:
            if length == declared:
                continue  # repeated with the same value
            if declared >= 0:
                raise ResponseError(f"two Content-Lengths, {declared} and {length}")
            declared = length
        checked.append(plain)
    return checked, declared


def _check_header(header: Any) -> tuple[tuple[str, str], int]:
    """Check one header, and remember it if it may come again; returns its value in `_known_headers`."""
    if not isinstance(header, tuple) or len(header) != 2 or not all(isinstance(text, str) for text in header):
        raise ResponseError(f"response headers must be (name, value) tuples of native strings, not {header!r}")
    name, value = plain = str.__str__(header[0]), str.__str__(header[1])
    if not _NAME.match(name):
        raise ResponseError(f"not a response header name: {name!r}")
    if not value.isascii() or not value.isprintable():
        _check_value(name, value)
    lowered = name.lower()
    length = _content_length(value) if lowered == "content-length" else -1
    if len(value) < _LONGEST_REMEMBERED and lowered not in _NEVER_REMEMBERED:
        if len(_known_headers) >= _CACHE_LIMIT:
            _known_headers.clear()
        _known_headers[plain] = plain, length
    return plain, length


def _content_length(value: str) -> int:
    text = value.strip()
    if not (text.isascii() and text.isdigit()):
        raise ResponseError(f"Content-Length must be a number of bytes, not {value!r}")
    return int(text)


def _check_status(status: Any) -> tuple[str, bool]:
    """Check a status, and remember it; returns its value in `_known_statuses`."""
    if not isinstance(status, str) or not _STATUS.match(status):
        raise ResponseError(f"the status must look like '200 OK', not {status!r}")
    if status[0] == "1":
        raise ResponseError(f"an interim status cannot be an application's answer: {status!r}")
    if len(_known_statuses) >= _CACHE_LIMIT:
        _known_statuses.clear()
    plain = str.__str__(status)
    line = plain if len(plain) > 3 else f"{plain} "  # RFC 9112 4: the space is required even without a reason
    known = _known_statuses[plain] = line, plain[:3] in ("204", "304")
    return known


def _check_value(name: str, value: str) -> None:
    if _BAD_VALUE.search(value):
        raise ResponseError(f"control character in response header {name}: {value!r}")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ResponseError(f"response header {name} is not latin-1: {value!r}") from None


def _as_bytes(data: Any) -> Data:
    if isinstance(data, (bytes, bytearray, memoryview)):
        view = memoryview(data)
        return view.cast("B") if view.nbytes >= LARGE and view.c_contiguous else bytes(view)
    raise ResponseError(f"the body must be made of bytes, not {type(data).__name__}")
