"""FastCGI 1.0, the Responder's side (Open Market's specification, 29 April 1996; its sections in brackets).

Hot path, budget 12 us a request of nginx's with 20 variables. A request is a BEGIN_REQUEST record, then the stream
PARAMS (name-value pairs), then the stream STDIN; a stream is records of its type, the last one without content.

Where the specification leaves a choice, or gateways differ:

- One request at a time (FCGI_MPXS_CONNS is 0). One that begins while another is still being sent gets
  CANT_MPX_CONN; one that comes behind the whole other waits for its turn, as pipelined HTTP does.
- STDIN must have exactly the CONTENT_LENGTH bytes that were said [6.2 leaves it to the application, which forgets]:
  fewer, or a record that goes beyond them, is a 400. With the last of them the body is over, because applications read
  no further; the stream's end is met later, and whatever comes in its place ends the connection. Without CONTENT_LENGTH
  the stream's end is the body's (nginx and Apache pass chunked bodies on so); to know whether there is one, the head
  waits for the first STDIN record.
- Records of requests that do not run are ignored [3.3]; types that only applications send are a fault.
- A fault is answered within the request that it hit, with 400 and END_REQUEST, or not at all; then we close.
- No padding is sent: it would only be more bytes to us and to every gateway we know.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.wire import cgi_connection, fastcgi_pairs, response_head
from greenwsgi.wire.fastcgi_records import (
    ABORT_REQUEST,
    BEGIN_REQUEST,
    CANT_MPX_CONN,
    DATA,
    END_REQUEST,
    GET_VALUES,
    GET_VALUES_RESULT,
    HEADER,
    KEEP_CONN,
    MANAGEMENT,
    PARAMS,
    REQUEST_COMPLETE,
    RESPONDER,
    STDERR,
    STDIN,
    STDOUT,
    UNKNOWN_ROLE,
    UNKNOWN_TYPE,
    VERSION,
    Record,
    Records,
    end_request,
    header,
    record,
    records,
)
from greenwsgi.wire.protocol import END, Event, Headers, Reply, RequestHead, WireLimits
from greenwsgi.wire.reason_phrases import status_line

REFUSED = 1
"""The application status of a request that the application has not seen; else it is 0, as of a CGI program."""

_begin = Struct(">HB5x")
_usual = Struct(">BBHHBxHB5xBBHHBx")
_last = Struct(">BBHHBxBBHHBxIB3x")

MOST_RECORDS = 512
"""Records that are passed over before `next_event` returns, with an empty Reply: 64 KiB of them are 8,192, 10 ms."""
MOST_VALUES = 4096
"""Bytes of a GET_VALUES record; a gateway asks for three names."""
MOST_ERRORS = 65536
"""Bytes of STDERR that wait for the next piece of an answer."""


class FastCgi(Records):
    """One connection of a FastCGI gateway; implements WireProtocol. Its answers begin with a `Status` header.

    `_number` is the id of the request that runs, 0 for none. `_params` are the pieces of its PARAMS, `_size` the bytes
    of its head, `_head` a head that is parsed and waits for the first STDIN. `_left` bytes of a STDIN record are still
    to come; `_expected` bytes of body were said, -1 for none, and `_taken` have come. `_open` is the id of the request
    whose STDIN has not ended, 0 for none: this one or the one before. `_errors` waits to be sent as
    STDERR, `_complained` says that some was, `_scanned` how far behind the request an ABORT was looked for. `_parts`
    says that the gateway would keep the connection and we do not: then `_parting` is what goes out with its end.
    """

    __slots__ = (
        "_aborted", "_complained", "_errors", "_expected", "_head", "_keep", "_left", "_number", "_open",
        "_params", "_parting", "_parts", "_scanned", "_size", "_taken",
    )  # fmt: skip

    nph = False
    says_close = False

    def __init__(self, limits: WireLimits) -> None:
        super().__init__(limits)
        self._open = 0
        self._forget_request()

    def _forget_request(self) -> None:
        self._number = self._size = self._left = self._expected = self._taken = self._scanned = 0
        self._keep = self._aborted = self._complained = self._parts = False
        self._parting = b""
        self._params: list[bytes] = []
        self._head: RequestHead | None = None
        self._errors = bytearray()

    # Receiving

    def next_request(self) -> int:
        """Begin the next request of a reusable connection; returns how many bytes of its records are already here."""
        self._forget_request()
        self._fault = None
        self._first = cgi_connection.status_prefix(self.nph)
        self._head_done = self._answered = self._ended = self.body_done = False
        return self.waiting()

    @property
    def reusable(self) -> bool:  # type: ignore[override]  # the others' is a constant
        """After `end`: may this connection carry another request?"""
        return self._ended and self._keep and self.body_done

    @property
    def still_sends(self) -> bool:  # type: ignore[override]  # the others' is a constant
        """The end of STDIN has not come. Apache makes a 503 of an answer if it cannot send that record."""
        return self._open != 0 and not self.at_eof

    @property
    def idle(self) -> bool:
        """No request has begun, and no part of a record has come."""
        return not self._number and not self._head_done and self.pos >= len(self.data)

    @property
    def aborted(self) -> bool:
        """The gateway has taken the request back (ABORT_REQUEST), as far as was received."""
        if self.body_done and not self._aborted and not self._ended:
            self._look_for_abort()
        return self._aborted

    def read_head(self) -> RequestHead | Reply | None:
        """The head, when its PARAMS are whole; on the way replies to what is no request."""
        if not self._number and (head := self._read_usual()) is not None:
            return head
        passed = 0
        while (found := self.next_record()) is not None:
            kind, number, length, padding = found
            if passed == MOST_RECORDS:
                return Reply(b"")
            passed += 1
            if not number or number != self._number or kind not in (PARAMS, STDIN):
                reply = self._aside(found)
                if reply is not True:
                    return reply or None
            elif kind == PARAMS:
                if not self._take_params(length, padding):
                    return None
                if not length and (head := self._parse()) is not None:
                    return head
            elif self._head is None:
                raise PeerError("FastCGI STDIN before the end of PARAMS")
            else:
                return self._meet_body(self._head, length, padding)
        return None

    def _read_usual(self) -> RequestHead | None:
        """A head that is here whole, with its PARAMS in one record, as gateways send it.

        A fifth of the instructions less than record by record. None when it is not so, or when the first STDIN is to be
        looked at; then all goes on as ever.
        """
        data, start = self.data, self.pos
        if len(data) - start < _usual.size + HEADER or self.skip or self._open:
            return None
        fields = _usual.unpack_from(data, start)
        _, _, number, _, _, _, flags, _, _, again, length, padding = fields
        behind = start + _usual.size + length + padding
        if (
            fields[:2] != (VERSION, BEGIN_REQUEST)
            or fields[3:6] != (8, 0, RESPONDER)
            or fields[7:9] != (VERSION, PARAMS)
            or again != number
            or not number
            or behind + HEADER - start > self.limits.head
            or data[behind : behind + HEADER] != header.pack(VERSION, PARAMS, number, 0, 0)
        ):
            return None
        self._number = number
        self._keep = bool(flags & KEEP_CONN)
        self._size = behind + HEADER - start
        self._params = [bytes(data[start + _usual.size : behind - padding])]
        self.pos = behind + HEADER
        return self._parse()

    def _aside(self, found: Record) -> Reply | bool:
        """What is not of the request's streams: a reply to it, True when it was passed, False for more bytes."""
        kind, number, length, padding = found
        if kind == BEGIN_REQUEST and number:
            return self._begin_request(number, length, padding)
        if kind == GET_VALUES and not number:
            return self._tell_values(length, padding)
        if kind > UNKNOWN_TYPE or not kind:
            self.pass_over(HEADER + length, padding)
            return Reply(record(UNKNOWN_TYPE, MANAGEMENT, bytes((kind, 0, 0, 0, 0, 0, 0, 0))))
        if not number or kind not in (ABORT_REQUEST, PARAMS, STDIN, DATA):
            raise PeerError(f"FastCGI record of type {kind} for request {number}, which no gateway sends")
        if number == self._number:
            if kind == ABORT_REQUEST:
                return self._abort(length, padding)
            raise PeerError(f"FastCGI record of type {kind} out of its place")
        if number == self._open:
            if kind != ABORT_REQUEST and (length or kind != STDIN):
                raise PeerError(f"FastCGI record of type {kind} in place of the end of STDIN")
            self._open = 0
        self.pass_over(HEADER + length, padding)
        return True

    def _begin_request(self, number: int, length: int, padding: int) -> Reply | bool:
        if length != 8 or number in (self._number, self._open):
            raise PeerError(f"FastCGI BEGIN_REQUEST of {length} bytes, or twice")
        if self._number:
            self.pass_over(HEADER + length, padding)
            return Reply(end_request(number, REFUSED, CANT_MPX_CONN))
        content = self.whole(length, padding)
        if content is None:
            return False
        role, flags = _begin.unpack(content)
        self._keep = bool(flags & KEEP_CONN)
        if role != RESPONDER:
            self._head_done = self.body_done = not self._keep
            return Reply(end_request(number, REFUSED, UNKNOWN_ROLE))
        self._number = number
        self._size = HEADER + length + padding
        return True

    def _tell_values(self, length: int, padding: int) -> Reply | bool:
        """GET_VALUES: those of the variables that we know [4.1]."""
        most = min(self.limits.head, MOST_VALUES)
        if length > most:
            raise PeerError(f"FastCGI GET_VALUES of {length} bytes, the limit is {most}", 431)
        content = self.whole(length, padding)
        if content is None:
            return False
        requests = str(self.limits.requests)
        known = {"FCGI_MAX_CONNS": requests, "FCGI_MAX_REQS": requests, "FCGI_MPXS_CONNS": "0"}
        wanted = {name for name, _ in fastcgi_pairs.pairs(content)}
        values = fastcgi_pairs.encode({name: value for name, value in known.items() if name in wanted})
        return Reply(record(GET_VALUES_RESULT, MANAGEMENT, values) or header.pack(VERSION, GET_VALUES_RESULT, 0, 0, 0))

    def _abort(self, length: int, padding: int) -> Reply | bool:
        """ABORT_REQUEST before the request was whole."""
        self.pass_over(HEADER + length, padding)
        if not self._head_done:
            reply = Reply(self._closing(REFUSED))
            keep = self._keep
            self._forget_request()
            self._head_done = self.body_done = not keep
            return reply
        self._aborted = self.body_done = True
        self._open = 0
        if not self._ended:
            self._fault = PeerGone("the gateway has aborted the request")
            raise self._fault
        return True

    def _look_for_abort(self) -> None:
        """Search what came behind the request for an ABORT_REQUEST, and leave it there."""
        data, at = self.data, self.pos + max(self._scanned, self.skip)
        while len(data) - at >= HEADER:
            version, kind, number, length, padding = header.unpack_from(data, at)
            if version != VERSION or (number == self._number and kind == BEGIN_REQUEST):
                break
            if number == self._number and kind == ABORT_REQUEST:
                self._aborted = True
                break
            at += HEADER + length + padding
        self._scanned = at - self.pos

    # The head

    def _take_params(self, length: int, padding: int) -> bool:
        """A record of PARAMS; False when it is not here whole. Bounded before it comes."""
        if self._head is not None:
            raise PeerError("FastCGI PARAMS behind their end")
        size = self._size + HEADER + length + padding
        if size > self.limits.head:
            raise PeerError(f"FastCGI request head of {size} bytes, the limit is {self.limits.head}", 431)
        content = self.whole(length, padding)
        if content is None:
            return False
        self._params.append(content)
        self._size = size
        return True

    def _parse(self) -> RequestHead | None:
        """The PARAMS are whole: the head, or None when the first STDIN must tell whether there is a body."""
        block, limits = b"".join(self._params), self.limits
        self._params = []
        if not block:
            raise PeerError("FastCGI request without variables")
        if limits.commands:
            variables = fastcgi_pairs.careful_params(block, limits.headers, cgi_connection.COMMANDS)
        else:
            variables = fastcgi_pairs.parse_params(block, limits.headers)
        cgi_connection.complete_path(variables)
        if self.nph:
            self._first = cgi_connection.status_prefix(True, variables.get("SERVER_PROTOCOL", ""))
        said = variables.get("CONTENT_LENGTH")
        length = cgi_connection.body_length(said, limits) if said else 0
        self._expected = length if said else -1
        head = RequestHead(variables, length, self._size)
        if length:
            self._head_done = True
            self._open = self._number
            return head
        self._head = head
        return None

    def _meet_body(self, head: RequestHead, length: int, padding: int) -> RequestHead:
        """The first STDIN of a request that did not say that it has a body."""
        if length and self._expected == 0:
            raise PeerError("FastCGI STDIN with bytes where CONTENT_LENGTH said 0")
        if length:
            head.length = -1
            self._open = self._number
        else:
            self.pass_over(HEADER, padding)
            self.body_done = True
            head.size += HEADER + padding
        self._head = None
        self._head_done = True
        return head

    # The body

    def _read_body(self) -> Event | None:
        """All of the body that is here, as one piece; only then what else has come."""
        pieces: list[bytes] = []
        passed = 0
        while self._open:
            if self._left:
                if not (piece := self.take(self._left)):
                    break
                self._left -= len(piece)
                self.body_done = not self._left and self._taken == self._expected
                pieces.append(piece)
                continue
            try:
                found = self.next_record()
            except PeerError:
                if not pieces:
                    raise
                break
            if found is None:
                break
            kind, number, length, padding = found
            passed += 1
            if passed > MOST_RECORDS:
                break
            if kind == STDIN and number == self._number and self._fits(length):
                self._open_stdin(length, padding)
            elif pieces:
                break
            elif kind == STDIN and number == self._number:
                raise self._misfit(length)
            elif (reply := self._aside(found)) is not True:
                return reply or None
        if pieces:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if passed > MOST_RECORDS:
            return Reply(b"")
        return END if self.body_done else None

    def _fits(self, length: int) -> bool:
        """May a STDIN record of so many bytes come now?"""
        if not length:
            return self._expected < 0 or self._taken == self._expected
        most = self.limits.body if self._expected < 0 else self._expected
        return not most or self._taken + length <= most

    def _misfit(self, length: int) -> PeerError:
        if self._expected < 0:
            return PeerError(f"body of more than {self.limits.body} bytes", 413)
        if length:
            return PeerError(f"FastCGI STDIN of more bytes than CONTENT_LENGTH, {self._expected}")
        return PeerError(f"FastCGI STDIN of {self._taken} bytes, CONTENT_LENGTH said {self._expected}")

    def _open_stdin(self, length: int, padding: int) -> None:
        """Step into a STDIN record; one without content ends the body."""
        if length:
            self.pos += HEADER
            self._left = length
            self.skip = padding
            self._taken += length
        else:
            self.pass_over(HEADER, padding)
            self._open = 0
            self.body_done = True

    # Answering

    def head(self, status: str, headers: Headers, length: int, date: bytes, keep_alive: bool) -> bytes:
        """Status and headers as the application gave them. Raises PeerGone for a request that was aborted."""
        if self._aborted:
            raise PeerGone("the gateway has aborted the request")
        self._answered = True
        if not keep_alive:
            self._leave()
        said = record(STDOUT, self._number, response_head.plain(self._first + status, headers))
        return self._said() + said if self._errors else said

    def chunk(self, data: bytes) -> bytes:
        """A piece of the body in STDOUT records. Raises PeerGone for a request that was aborted."""
        if self._aborted:
            raise PeerGone("the gateway has aborted the request")
        pieces = record(STDOUT, self._number, data)
        return self._said() + pieces if self._errors else pieces

    def pieces(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        """The same in pieces, without a copy of the content."""
        if self._aborted:
            raise PeerGone("the gateway has aborted the request")
        pieces = records(STDOUT, self._number, data)
        return [self._said(), *pieces] if self._errors else pieces

    def end(self) -> bytes:
        """The end of STDOUT, and END_REQUEST, unless they are kept for `parting`; nothing a second time."""
        return b"" if self._ended else self._closing(0)

    def parting(self) -> bytes:
        """The end of the last answer, which would tell the gateway that the connection is free."""
        parting, self._parting = self._parting, b""
        return parting

    def _leave(self) -> None:
        """The connection ends behind this answer."""
        self._parts = self._parts or self._keep
        self._keep = False

    def refuse(self, status: int, text: str, date: bytes, extra: Iterable[tuple[str, str]] = ()) -> bytes:
        """A whole answer to the request that runs, or b"", since it is kept for `parting`, or its answer has begun."""
        self._leave()
        if self._answered or not self._number:
            return b""
        self._answered = True
        page = response_head.refusal(self._first + status_line(status), text, extra)
        refusal = self._said() + record(STDOUT, self._number, page) + self._closing(REFUSED)
        if not self._parts:
            return refusal
        self._parting = refusal + self._parting
        return b""

    def complain(self, data: bytes) -> bool:
        """Bytes for STDERR, which go with the next piece of the answer. False for too many, or outside of a request."""
        if not self._number or self._ended or len(self._errors) + len(data) > MOST_ERRORS:
            return False
        self._errors += data
        return True

    def _said(self) -> bytes:
        """What was complained of since the last piece, as STDERR records."""
        errors, self._errors = bytes(self._errors), bytearray()
        self._complained = True
        return record(STDERR, self._number, errors)

    def _closing(self, status: int) -> bytes:
        self._ended = True
        number = self._number
        last = _last.pack(VERSION, STDOUT, number, 0, 0, VERSION, END_REQUEST, number, 8, 0, status, REQUEST_COMPLETE)
        if self._errors or self._complained:
            last = self._said() + header.pack(VERSION, STDERR, number, 0, 0) + last
        if not self._parts:
            return last
        self._parting = last
        return b""


class FastCgiNph(FastCgi):
    """The same with a status line as HTTP has it (a gateway's "non-parsed headers")."""

    __slots__ = ()
    nph = True
