"""HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112) as a state machine: bytes in, events out; answers in, bytes out.

Hot path, budget 3.5 us for a GET with 7 headers (receive_data + next_event), 1.5 us for the head of its answer.

The grammar is ours, not httptools' (llhttp). Measured with httptools 0.9 on the same GET: 3.3 us for its callbacks,
4.7 us with the variables made and nothing checked; ours takes 3.4 us with every rule below, 15 us if no line of it was
seen lately. And httptools would have to be guarded on all sides: it has no pause and no offsets (one feed can give
thousands of requests), takes RTSP, HTTP/0.9 and 2.0, a missing, empty or double Host, `gzip, chunked`, chunked on 1.0
and fragments, gives trailers as headers, ends a message at `Upgrade` without its body, refuses unknown methods, and
lets one endless value or chunk extension eat memory without an event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.wire import cgi_connection, header_fields, request_line, response_head
from greenwsgi.wire.body_framing import ChunkedBody, LengthBody
from greenwsgi.wire.protocol import END, Event, Headers, RequestHead, WireLimits
from greenwsgi.wire.reason_phrases import status_line
from greenwsgi.wire.receive_buffer import Buffer
from greenwsgi.wire.states import RequestState

_HEAD, _BODY, _OVER, _FAULT = RequestState.HEAD, RequestState.BODY, RequestState.OVER, RequestState.FAULT
"""Module globals: found faster than members of an enum."""

_END_OF_HEAD = b"\r\n\r\n"
_FOUL = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r[^\n]|(?<!\r)\n", re.DOTALL)
"""What may not be in a head, recognised as soon as it arrives: control bytes, CR without LF, LF without CR."""

EMPTY_LINES = 2
"""Empty lines tolerated before a request line (RFC 9112 2.2): old clients send one behind a body."""

LONGEST_REPEATED = 4096
"""Bytes of a head that a connection remembers, to know its fields again in the next one."""

MOST_CONNECTIONS = 64
known_connections: dict[str, tuple[bool, bool]] = {}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def connection_options(value: str) -> tuple[bool, bool]:
    """(close, keep-alive): what a Connection header asks for; a list of tokens in any case (RFC 9110 7.6.1)."""
    tokens = [token.strip(" \t").lower() for token in value.split(",")]
    known = ("close" in tokens, "keep-alive" in tokens)
    if len(known_connections) >= MOST_CONNECTIONS:
        known_connections.clear()
    if len(value) <= header_fields.LONGEST_LINE:
        known_connections[value] = known
    return known


class Http1(Buffer):
    """One connection's HTTP; implements WireProtocol.

    `_state` is where the request is, `_keep` whether the client (and later the answer) leaves the connection open,
    `_mute` whether the answer has no body by definition, `_waits` whether the client may wait for `100 Continue`.
    `reusable` is a field: as a property it would take a call in each request.
    """

    __slots__ = (
        "_answered", "_blank", "_body", "_careful", "_chunked", "_ended", "_fault", "_fields", "_keep", "_mute",
        "_scanned", "_secret", "_secret_line", "_small", "_state", "_v11", "_variables", "_waits", "body_done",
        "limits", "reusable",
    )  # fmt: skip

    plain_body = True

    def __init__(self, limits: WireLimits) -> None:
        super().__init__()
        self.limits = limits
        self._fault: PeerError | None = None
        self._body: LengthBody | ChunkedBody | None = None
        self._v11 = True
        self._secret_line: bytes | None = None
        self._fields = b""
        """All of the last head but its request line, and the variables of that head, which is never changed."""
        self._variables: dict[str, str] = {}
        self._secret = header_fields.DROPPED
        self._small = min(limits.head, limits.request_line)
        self.next_request()

    # Receiving

    def next_request(self) -> int:
        """Begin the next request of a reusable connection; returns how many bytes of it are already here."""
        self._state = _HEAD
        self._scanned = self._blank = 0
        self._careful = self._keep = self._mute = self._waits = self._chunked = self._answered = self._ended = (
            self.body_done
        ) = self.reusable = False
        return len(self.data) - self.pos

    @property
    def idle(self) -> bool:
        """No byte of a request has come since the last one."""
        return self._state is _HEAD and self.pos >= len(self.data)

    def next_event(self) -> Event | None:
        """The next event, or None when more bytes are needed. Raises PeerError, or PeerGone on an early end."""
        try:
            if self._state is _HEAD:
                return self._read_head()
            if self._state is _BODY:
                return self._read_body()
        except PeerError as error:
            if self._state is _HEAD and not self._careful:
                self._careful = True
                return self.next_event()
            raise self._fail(error) from None
        if self._fault is not None:
            raise self._fault
        return END

    def _read_head(self) -> RequestHead | None:
        """Find the head, bound it, and only then parse it."""
        data, start = self.data, self.pos
        if start == 0 and not self._careful and type(data) is bytes and data.endswith(_END_OF_HEAD):
            # The whole buffer is one head, it seems: 0.3 us less than find() and a slice. If it holds an empty line
            # earlier (a body, a second request), that shows below, and it is read again carefully.
            size, head = len(data), data
        elif not (size := self._find_head()):
            return None
        else:
            start = self.pos
            head = bytes(data[start : start + size])
        end = head.find(b"\r\n")
        if head[end:] == self._fields:
            # A client says the same of itself in each request: one comparison in place of a look-up for each line,
            # which is 1.7 us less. These bytes were found good, as a whole, on this connection.
            first = head[:end]
            if size > self._small:
                self._check_size(size, first, 0)
            base, v11, self._mute, host = request_line.KNOWN_REQUESTS.get(first) or request_line.parse(first)
            variables = self._variables | base
        else:
            limits = self.limits
            lines = head[:-4].split(b"\r\n", limits.headers + 1)  # no more of a head of line ends
            first = lines.pop(0)
            if size > self._small or len(lines) > limits.headers:
                self._check_size(size, first, len(lines))
            base, v11, self._mute, host = request_line.KNOWN_REQUESTS.get(first) or request_line.parse(first)
            variables = base.copy()
            known = header_fields.KNOWN_LINES.get
            for line in lines:
                name, value = known(line) or self._read_line(line)
                variables[name] = value
            if "" in variables or len(variables) != len(lines) + request_line.VARIABLES:
                if not self._careful:
                    self._careful = True
                    return self._read_head()
                variables = base | header_fields.join(lines, limits.underscores)
            if size <= LONGEST_REPEATED:
                self._fields, self._variables = head[end:], variables
        return self._accept(variables, v11, host, start, size)

    def _accept(self, variables: dict[str, str], v11: bool, host: str, start: int, size: int) -> RequestHead:
        """The head is whole and parsed: what it means for the connection and the body."""
        self._v11 = v11
        if v11 and "HTTP_HOST" not in variables:
            raise PeerError("no Host")
        if host:
            variables = variables | {"HTTP_HOST": host}
        connection = variables.get("HTTP_CONNECTION")
        if connection is None:
            self._keep = v11
        else:
            close, keep = known_connections.get(connection) or connection_options(connection)
            self._keep = not close and (v11 or keep)
        length = 0
        if "CONTENT_LENGTH" in variables or "HTTP_TRANSFER_ENCODING" in variables or "HTTP_EXPECT" in variables:
            length = self._frame(variables)
        self.pos = start + size
        if length:
            self._state = _BODY
            self._waits = self._waits and self.pos >= len(self.data)
        else:
            self._state = _OVER
            self.body_done = True
        return RequestHead(variables, length, size, self._waits)

    def _read_line(self, line: bytes) -> header_fields.Variable:
        """A line that the common table has not. A client's cookie is remembered while its connection lives."""
        if line == self._secret_line:
            return self._secret
        variable = header_fields.parse(line, self.limits.underscores)
        if variable[0] in header_fields.SECRETS:
            self._secret_line, self._secret = line, variable
        return variable

    def _frame(self, variables: dict[str, str]) -> int:
        """The length of the request's body, -1 for chunked, by RFC 9112 6.3; notes an expectation."""
        length = variables.get("CONTENT_LENGTH")
        coding = variables.get("HTTP_TRANSFER_ENCODING")
        if coding is not None:
            self._check_coding(coding, length)
            size = -1
            self._body = ChunkedBody(self.limits)
        else:
            size = cgi_connection.body_length(length or "", self.limits)
            self._body = LengthBody(size)
        expected = variables.get("HTTP_EXPECT")
        if expected is not None and self._v11:  # HTTP/1.0 cannot expect anything: RFC 9110 10.1.1
            if expected.lower() != "100-continue":
                raise PeerError("unknown expectation", 417)
            self._waits = size != 0
        return size

    def _check_coding(self, coding: str, length: str | None) -> None:
        """Only `chunked`, alone, on HTTP/1.1, without Content-Length: anything else is how requests are smuggled."""
        if length is not None:
            raise PeerError("Content-Length beside Transfer-Encoding")
        if not self._v11:
            raise PeerError("Transfer-Encoding on HTTP/1.0")
        if coding.lower() == "chunked":
            return
        codings = [name.strip(" \t").lower() for name in coding.split(",")]
        known = codings.count("chunked") == 1 and codings[-1] == "chunked" and "" not in codings
        raise PeerError("Transfer-Encoding is not just chunked", 501 if known else 400)

    def _read_body(self) -> Event | None:
        body = self._body
        assert body is not None
        piece = body.read(self)
        if body.done:
            self._state = _OVER
            self.body_done = True
            self.reusable = self._ended and self._keep
        if piece is not None:
            self._waits = False
            return piece
        if body.done:
            return END
        if self.at_eof:
            raise PeerGone("the client left before its body was whole")
        return None

    def _find_head(self) -> int:
        """The size of the head that is here whole, 0 if it is not; then see whether it still can become one."""
        self._careful = True
        data = self.data
        while data.startswith(b"\r\n", self.pos):
            self._blank += 1
            if self._blank > EMPTY_LINES:
                raise PeerError("empty lines in place of a request")
            self.pos += 2
            self._scanned = 0
        start = self.pos
        end = data.find(_END_OF_HEAD, start + self._scanned)
        if end >= 0:
            return end + 4 - start
        here = len(data) - start
        if here and (fault := head_fault(data, start, self._scanned, -1, self.limits)) is not None:
            self._state = _FAULT
            raise fault
        if here and self.at_eof:
            raise PeerGone("the client left before its request was whole")
        self._scanned = max(here - 3, 0)
        return 0

    def _check_size(self, size: int, first: bytes, headers: int) -> None:
        limits = self.limits
        if size > limits.head:
            raise PeerError(f"request head of more than {limits.head} bytes", 431)
        if len(first) > limits.request_line:
            raise PeerError(f"request line of more than {limits.request_line} bytes", 414)
        if headers > limits.headers:
            raise PeerError(f"more than {limits.headers} headers", 431)

    def _fail(self, error: PeerError) -> PeerError:
        """Stop for good. What a trickling head would have been refused for first goes first: splits change nothing."""
        if self._state is _HEAD:
            end = self.data.find(_END_OF_HEAD, self.pos)
            error = head_fault(self.data, self.pos, 0, end, self.limits) or error
        self._state = _FAULT
        self._fault = error
        self._keep = self.reusable = False
        self.drop_all()
        return error

    # Answering

    def interim(self) -> bytes:
        """`100 Continue` if the client may be waiting for it, else nothing."""
        if not self._waits or self._answered:
            return b""
        self._waits = False
        return _CONTINUE

    def head(self, status: str, headers: Headers, length: int, date: bytes, keep_alive: bool) -> bytes:
        """The answer's head: what the application said, and the framing, Connection, Date and Server it did not."""
        first, body = response_head.known_statuses.get(status) or response_head.status(status)
        lines = [first]
        known = response_head.known_names
        seen = 0
        for name, value in headers:
            kind = known[name] if name in known else response_head.meaning(name)
            if kind:
                seen |= kind
                if kind == response_head.CLOSE and connection_options(value)[0]:
                    keep_alive = False
                if (kind > response_head.LENGTH or body) and not response_head.passes(kind, body, status):
                    continue
            lines.append(f"{name}: {value}\r\n")
        if self._waits or not keep_alive:  # a client that waits for 100 may send its body or not
            self._keep = False
        self._answered = True
        if body or self._mute:
            self._mute = body != response_head.SWITCHING
            if length > 0 and body == response_head.BODY and not seen & response_head.LENGTH:
                lines.append(f"Content-Length: {length}\r\n")
        elif not seen & response_head.LENGTH:
            if length >= 0:
                lines.append(f"Content-Length: {length}\r\n")
            elif self._v11:
                self._chunked = True
                lines.append("Transfer-Encoding: chunked\r\n")
            else:
                self._keep = False
        if body == response_head.SWITCHING:
            self._keep = False
        elif not self._keep:
            lines.append("Connection: close\r\n")
        elif not self._v11:
            lines.append("Connection: keep-alive\r\n")
        if seen & (response_head.DATE | response_head.SERVER):
            return "".join(lines).encode("latin-1") + response_head.partial_closing(seen, date)
        return "".join(lines).encode("latin-1") + (
            response_head.known_closings.get(date) or response_head.closing(date)
        )

    def chunk(self, data: bytes) -> bytes:
        """A non-empty piece of the answer's body, framed; b"" when this answer has none (HEAD, 204, 304)."""
        if self._mute:
            return b""
        if self._chunked:
            return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))
        return data

    def pieces(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        """The same in pieces, without a copy."""
        if self._mute:
            return []
        return [b"%x\r\n" % len(data), data, b"\r\n"] if self._chunked else [data]

    def end(self) -> bytes:
        """The last chunk, or nothing."""
        self._ended = True
        self.reusable = self._keep and self.body_done
        return b"0\r\n\r\n" if self._chunked else b""

    def refuse(self, status: int, text: str, date: bytes, extra: Iterable[tuple[str, str]] = ()) -> bytes:
        """A whole answer that refuses and closes; b"" when an answer has already begun."""
        self._keep = self.reusable = False
        if self._answered:
            return b""
        self._answered = True
        more = [*extra, ("Connection", "close"), ("Date", date.decode("latin-1")), ("Server", "greenwsgi")]
        bodiless = self._mute and self._fault is None
        return response_head.refusal(f"HTTP/1.1 {status_line(status)}", text, more, bodiless)


def head_fault(data: bytes | bytearray, start: int, scanned: int, end: int, limits: WireLimits) -> PeerError | None:
    """What is wrong with a head whatever its grammar, by position: a foul byte, too long a line, too long a head.

    start: where the head begins in data. scanned: how many bytes of it were seen before. end: where its last CRLF CRLF
    is, -1 while that has not come. The fault that the earliest byte shows is given, so it is the same however the bytes
    were split on their way.
    """
    stop = len(data) if end < 0 else end + 4
    faults: list[tuple[int, int, str]] = []
    foul = _FOUL.search(data, start + scanned, stop)
    if data.startswith(b"\n", start):  # what is before it, perhaps a CR that ended a body, is not ours to look at
        faults.append((start, 400, "LF in place of a request"))
    elif foul is not None:
        faults.append((foul.end() - 1, 400, "control character or lone CR or LF in the request head"))
    line = limits.request_line
    if scanned <= line + 2 <= stop - start and data.find(b"\r\n", start, start + line + 2) < 0:
        faults.append((start + line + 1, 414, f"request line of more than {line} bytes"))
    if stop - start > limits.head - (end < 0):
        faults.append((start + limits.head - 1, 431, f"request head of more than {limits.head} bytes"))
    if not faults:
        return None
    _, status, text = min(faults)
    return PeerError(text, status)
