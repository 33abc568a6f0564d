"""FastCGI's records: u8 version, u8 type, u16be request id, u16be length of the content, u8 length of the padding, u8.

All of FastCGI 1.0 is in records (its section 3.3). Content and padding follow the header.
"""

from __future__ import annotations

from struct import Struct

from greenwsgi.errors import PeerError
from greenwsgi.wire.cgi_connection import CgiConnection
from greenwsgi.wire.protocol import WireLimits

VERSION = 1
(
    BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR, DATA,
    GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE,
) = range(1, 12)  # fmt: skip
MANAGEMENT = 0
"""The request id of records about the connection."""

RESPONDER = 1
KEEP_CONN = 1
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = range(4)
HEADER = 8
header = Struct(">BBHHBx")
_end = Struct(">BBHHBxIB3x")

LONGEST = 65528
"""Bytes of content in a record that we send, when there is more: the largest multiple of 8."""

Record = tuple[int, int, int, int]
"""Type, request id, length of the content, length of the padding."""


def record(kind: int, number: int, content: bytes) -> bytes:
    """The content as records, as many as it takes; none for no content."""
    size = len(content)
    if 0 < size <= LONGEST:
        return header.pack(VERSION, kind, number, size, 0) + content
    return b"".join(records(kind, number, content))


def records(kind: int, number: int, content: bytes | memoryview) -> list[bytes | memoryview]:
    """The same in pieces, headers and parts of the content in turn, without a copy."""
    pieces: list[bytes | memoryview] = []
    view = memoryview(content)
    for start in range(0, len(content), LONGEST):
        piece = view[start : start + LONGEST]
        pieces += (header.pack(VERSION, kind, number, len(piece), 0), piece)
    return pieces


def end_request(number: int, status: int, protocol_status: int) -> bytes:
    """END_REQUEST: the application's status, as a program's exit status, and the protocol's."""
    return _end.pack(VERSION, END_REQUEST, number, 8, 0, status, protocol_status)


class Records(CgiConnection):
    """A connection whose bytes are records.

    skip: how many bytes are still to come of padding, or of a record that is not wanted; they are never kept.
    """

    __slots__ = ("skip",)

    plain_body = False

    def __init__(self, limits: WireLimits) -> None:
        super().__init__(limits)
        self.skip = 0

    def next_record(self) -> Record | None:
        """The header of the next record, once it is here whole; it stays in the buffer."""
        if self.skip:
            self.pass_over(0, 0)
        data, start = self.data, self.pos
        if len(data) - start < HEADER:
            if len(data) > start and data[start] != VERSION:
                raise PeerError("no FastCGI record")
            return None
        version, kind, number, length, padding = header.unpack_from(data, start)
        if version != VERSION:
            raise PeerError("no FastCGI record")
        return kind, number, length, padding

    def pass_over(self, length: int, padding: int) -> None:
        """Step over so many bytes, of which some may still have to come."""
        at = self.pos + self.skip + length + padding
        self.pos = min(at, len(self.data))
        self.skip = at - self.pos

    def whole(self, length: int, padding: int) -> bytes | None:
        """The next record's content, None while it is not here whole. Its padding may still have to come."""
        data, start = self.data, self.pos + HEADER
        stop = start + length
        if len(data) < stop:
            return None
        self.pass_over(HEADER + length, padding)
        return bytes(data[start:stop])
