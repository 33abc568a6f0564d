"""Body framing: where a request's body ends (RFC 9112 6 and 7). Small bounded machines over a Buffer.

`read` gives a non-empty piece of the body, or None: then either `done` is true or more bytes are needed.
"""

from __future__ import annotations

import re

from greenwsgi.errors import PeerError
from greenwsgi.wire.header_fields import refuse_trailer
from greenwsgi.wire.protocol import WireLimits
from greenwsgi.wire.receive_buffer import Buffer

_SIZE, _DATA, _GAP, _TRAILERS = range(4)

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb"\"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*\""
_EXTENSION = rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*")
"""RFC 9112 7.1 and 7.1.1: hex digits only (no sign, no `0x`, no `_`), at most 16; then extensions or nothing."""

MOST_OVERHEAD = 16384
"""Bytes by which a body's chunk lines may be longer than is reasonable: 16 each, and twice their data. Else a byte of
body could cost thousands on the wire. The rule is that of Go's net/http."""


MOST_CHUNKS = 512
"""Chunks that are given as one piece. 64 KiB of the smallest are 13,000, 20 ms in which no other request would run."""


class LengthBody:
    """A body of a length said beforehand."""

    __slots__ = ("done", "left")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = False

    def read(self, buffer: Buffer) -> bytes | None:
        """The next piece: whatever is here, up to the body's end."""
        piece = buffer.take(self.left)
        self.left -= len(piece)
        self.done = not self.left
        return piece or None


class ChunkedBody:
    """A chunked body. Chunks that are here together are given as one piece: hundreds of tiny ones cost one event.

    Chunk lines, each and all of them, and the trailer section are bounded; trailers are checked and dropped, so they
    never overwrite a header (RFC 9110 6.5.1).
    """

    __slots__ = ("_fault", "_left", "_limits", "_overhead", "_scanned", "_state", "_total", "_trailers", "done")

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._state = _SIZE
        self._left = 0
        self._total = self._overhead = 0
        self._trailers = limits.trailers
        self._scanned = 0
        self._fault: PeerError | None = None
        self.done = False

    def read(self, buffer: Buffer) -> bytes | None:
        """The next piece. What came whole before an error is given first; the next call raises the error."""
        if self._fault is not None:
            raise self._fault
        pieces: list[bytes] = []
        try:
            while len(pieces) < MOST_CHUNKS and (piece := self._step(buffer)) is not None:
                pieces.append(piece)
        except PeerError as error:
            if not pieces:
                raise
            self._fault = error
        if len(pieces) == 1:
            return pieces[0]
        return b"".join(pieces) or None

    def _step(self, buffer: Buffer) -> bytes | None:
        """One piece of one chunk, or None when more is needed or the body is over."""
        while True:
            if self._state == _DATA:
                if not buffer.waiting():
                    return None
                piece = buffer.take(self._left)
                self._left -= len(piece)
                if not self._left:
                    self._state = _GAP
                return piece
            if self._state == _GAP:
                if not self._pass_gap(buffer):
                    return None
            elif self._state == _SIZE:
                line = self._line(buffer, self._limits.chunk_line, 400, "chunk line")
                if line is None:
                    return None
                self._begin_chunk(line)
            else:
                line = None if self.done else self._line(buffer, self._trailers, 431, "trailer section")
                if line is None:
                    return None
                self._end_or_trailer(line)

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise PeerError("malformed chunk line")
        size = int(match[1], 16)
        self._total += size
        if self._limits.body and self._total > self._limits.body:
            raise PeerError(f"body of more than {self._limits.body} bytes", 413)
        self._overhead = max(0, self._overhead + len(line) + 2 - 16 - 2 * size)
        if self._overhead > MOST_OVERHEAD:
            raise PeerError("chunk lines much longer than their chunks")
        self._left = size
        self._state = _DATA if size else _TRAILERS

    def _end_or_trailer(self, line: bytes) -> None:
        if line:
            self._trailers -= len(line) + 2
            refuse_trailer(line)
        else:
            self.done = True

    def _pass_gap(self, buffer: Buffer) -> bool:
        """Step over the CRLF behind a chunk's data; False when it is not whole yet."""
        gap = bytes(buffer.data[buffer.pos : buffer.pos + 2])
        if not b"\r\n".startswith(gap):
            raise PeerError("chunk data longer than its size")
        if len(gap) < 2:
            return False
        buffer.take(2)
        self._state = _SIZE
        return True

    def _line(self, buffer: Buffer, limit: int, status: int, what: str) -> bytes | None:
        """The next line without its CRLF, None while it is not whole; bounded as its bytes arrive."""
        data, start = buffer.data, buffer.pos
        stop = data.find(b"\n", start + self._scanned)
        if (len(data) if stop < 0 else stop) - start > limit + 1:
            raise PeerError(f"{what} of more than {limit} bytes", status)
        if stop < 0:
            self._scanned = len(data) - start
            return None
        if stop == start or data[stop - 1] != 13:
            raise PeerError(f"LF without CR in a {what}")
        self._scanned = 0
        return buffer.take(stop + 1 - start)[:-2]
