"""What every row of PROTOCOLS must do: the contract of wire/protocol.py, seen from above."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.wire.protocol import END, RequestHead, WireProtocol
from greenwsgi.wire.registry import PROTOCOLS
from greenwsgi.wire.states import RequestState
from tests.wire.cases import fastcgi_records, scgi_requests
from tests.wire.cases.uwsgi_packets import block, packet
from tests.wire.checked import Checked, IllegalCallError
from tests.wire.driving import DATE, drive, make


def http_request(method: str, path: str, body: bytes) -> bytes:
    """A request as HTTP."""
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\n".encode() + length + b"\r\n" + body


def uwsgi_request(method: str, path: str, body: bytes) -> bytes:
    """The same as a uwsgi packet."""
    more = [("CONTENT_LENGTH", str(len(body)))] if body else []
    variables = [("REQUEST_METHOD", method), ("PATH_INFO", path), ("SERVER_PROTOCOL", "HTTP/1.1"), ("HTTP_HOST", "h")]
    return packet(block(*variables, *more), body)


def scgi_request(method: str, path: str, body: bytes) -> bytes:
    """The same as a netstring."""
    variables = [("REQUEST_METHOD", method), ("PATH_INFO", path), ("SERVER_PROTOCOL", "HTTP/1.1"), ("HTTP_HOST", "h")]
    return scgi_requests.request(*variables, body=body)


def fastcgi_request(method: str, path: str, body: bytes) -> bytes:
    """The same as records, on a connection that is to be kept."""
    variables = [("REQUEST_METHOD", method), ("PATH_INFO", path), ("SERVER_PROTOCOL", "HTTP/1.1"), ("HTTP_HOST", "h")]
    more = [("CONTENT_LENGTH", str(len(body)))] if body else []
    return (
        fastcgi_records.begin()
        + fastcgi_records.params(fastcgi_records.pairs(*variables, *more))
        + fastcgi_records.stdin(body)
    )


REQUESTS: dict[str, Callable[[str, str, bytes], bytes]] = {
    "http": http_request,
    "uwsgi": uwsgi_request,
    "fastcgi": fastcgi_request,
    "fastcgi-nph": fastcgi_request,
    "scgi": scgi_request,
    "scgi-nph": scgi_request,
}
BAD = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "uwsgi": packet(b"\0\0\0\0"),
    "fastcgi": fastcgi_records.raw(b"\0\0"),
    "fastcgi-nph": fastcgi_records.raw(b"\0\0"),
    "scgi": b"x",
    "scgi-nph": b"x",
}
FIRST = {"scgi": b"Status: 200 OK\r\n", "fastcgi": b"Status: 200 OK\r\n"}
"""How an answer begins, where it is not as in HTTP."""

KEEPS = ("http", "fastcgi", "fastcgi-nph")
"""Those whose connections carry more than one request."""


def content(protocol: str, answer: bytes) -> bytes:
    """What an answer says, without what frames it."""
    return fastcgi_records.streams(answer)[fastcgi_records.STDOUT] if protocol.startswith("fastcgi") else answer


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("size", [1, 65528, 65529, 1_000_000])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pieces_are_a_chunk_that_is_not_joined(protocol: str, size: int, method: str, version: str) -> None:
    """And where it is large, most of the pieces are a view of it."""
    wires = [make(protocol) for _ in range(2)]
    for wire in wires:
        wire.receive_data(REQUESTS[protocol](method, "/", b"").replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        assert isinstance(wire.next_event(), RequestHead)
        wire.head("200 OK", [], -1, DATE, True)
    data = bytes(range(250)) * (size // 250 + 1)
    pieces = wires[0].pieces(data[:size])
    assert b"".join(pieces) == wires[1].chunk(data[:size])
    assert b"".join(wires[0].pieces(memoryview(data)[:size])) == b"".join(pieces)


def test_every_protocol_is_tested_here() -> None:
    """A new row needs a way to write its requests."""
    assert REQUESTS.keys() == BAD.keys() == PROTOCOLS.keys()
    assert all(row.name == name for name, row in PROTOCOLS.items())


@pytest.mark.parametrize("protocol", PROTOCOLS)
class TestEveryProtocol:
    """One class, all rows."""

    def begin(self, protocol: str, data: bytes) -> tuple[WireProtocol, RequestHead]:
        """A connection whose request head is here. Its calls are checked."""
        wire: Any = Checked(make(protocol))
        wire.receive_data(data)
        head = wire.next_event()
        assert isinstance(head, RequestHead)
        return wire, head

    def test_a_request_without_a_body(self, protocol: str) -> None:
        """Head, END for ever, an answer."""
        data = REQUESTS[protocol]("GET", "/p", b"")
        wire, head = self.begin(protocol, data)
        expected = {"REQUEST_METHOD": "GET", "PATH_INFO": "/p", "HTTP_HOST": "h", "SERVER_PROTOCOL": "HTTP/1.1"}
        assert head.vars.items() >= expected.items()
        assert (head.length, head.size, head.expects_continue) == (0, len(data), False)
        assert wire.body_done
        assert wire.next_event() is END
        assert wire.next_event() is END
        answer = wire.head("200 OK", [("Content-Length", "2")], -1, DATE, True) + wire.chunk(b"ok") + wire.end()
        answer = content(protocol, answer)
        assert answer.startswith(FIRST.get(protocol, b"HTTP/1.1 200 OK\r\n") + b"Content-Length: 2\r\n")
        assert answer.endswith(b"\r\n\r\nok")

    def test_a_body_in_pieces(self, protocol: str) -> None:
        """Each piece as it comes, then END."""
        data = REQUESTS[protocol]("POST", "/", b"hello world")
        cut = data.index(b" world")
        wire, head = self.begin(protocol, data[:cut])
        assert head.length == 11
        steps: list[object] = [wire.body_done, wire.next_event(), wire.next_event()]
        wire.receive_data(data[cut:])
        steps += [wire.next_event(), wire.body_done, wire.next_event()]
        assert steps == [False, b"hello", None, b" world", True, END]

    def test_idle_and_end(self, protocol: str) -> None:
        """A clean end is None, at_eof and idle; half a head is not idle, and its end is PeerGone."""
        wire = make(protocol)
        assert (wire.next_event(), wire.idle, wire.at_eof) == (None, True, False)
        wire.receive_data(b"")
        assert (wire.next_event(), wire.idle, wire.at_eof) == (None, True, True)
        wire = make(protocol)
        wire.receive_data(REQUESTS[protocol]("GET", "/", b"")[:2])
        assert (wire.next_event(), wire.idle) == (None, False)
        wire.receive_data(b"")
        with pytest.raises(PeerGone):
            wire.next_event()

    def test_the_peer_leaves_within_a_body(self, protocol: str) -> None:
        """PeerGone, again and again, and no reuse."""
        data = REQUESTS[protocol]("POST", "/", b"hello")
        wire, _ = self.begin(protocol, data[: data.index(b"hello") + 4])
        wire.receive_data(b"")
        assert wire.next_event() == b"hell"
        for _ in range(2):
            with pytest.raises(PeerGone):
                wire.next_event()
        wire.head("200 OK", [], 0, DATE, True)
        wire.end()
        assert not wire.reusable

    def test_a_half_closed_peer_is_answered(self, protocol: str) -> None:
        """It may have sent all it wants to say."""
        wire = make(protocol)
        wire.receive_data(REQUESTS[protocol]("POST", "/", b"hello"))
        wire.receive_data(b"")
        assert isinstance(wire.next_event(), RequestHead)
        assert wire.next_event() == b"hello"
        assert wire.next_event() is END
        assert wire.head("200 OK", [], 0, DATE, True)

    def test_a_refusal(self, protocol: str) -> None:
        """PeerError again and again, whatever still comes; a whole answer, once."""
        wire = make(protocol)
        wire.receive_data(BAD[protocol])
        for _ in range(2):
            with pytest.raises(PeerError):
                wire.next_event()
            wire.receive_data(REQUESTS[protocol]("GET", "/", b""))
        answer = wire.refuse(400, "because", DATE, [("X-Why", "test")]) + wire.parting()
        head, _, body = content(protocol, answer).partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0].endswith(b" 400 Bad Request")
        assert b"X-Why: test" in head.split(b"\r\n")
        assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
        assert body == b"because\n"
        assert wire.refuse(400, "because", DATE) == b""
        assert not wire.reusable

    def test_a_refusal_behind_an_answer_is_as_the_first_of_a_connection(self, protocol: str) -> None:
        """Where there is a second request."""
        fresh, kept = make(protocol), make(protocol)
        if protocol in KEEPS:
            kept, _ = self.begin(protocol, REQUESTS[protocol]("GET", "/", b""))
            kept.head("200 OK", [], 0, DATE, True)
            kept.end()
            kept.next_request()
        answers = []
        for wire in (fresh, kept):
            wire.receive_data(BAD[protocol])
            with pytest.raises(PeerError):
                wire.next_event()
            answers.append(wire.refuse(400, "because", DATE) + wire.parting())
        assert answers[0] == answers[1]

    def test_a_deaf_buffer_holds_nothing(self, protocol: str) -> None:
        """What comes behind a refusal is forgotten at once: no memory for it."""
        wire = make(protocol)
        wire.receive_data(BAD[protocol])
        with pytest.raises(PeerError):
            wire.next_event()
        wire.receive_data(bytes(1 << 20))
        assert wire.waiting() == 0

    def test_no_refusal_behind_an_answer(self, protocol: str) -> None:
        """The head is out: nothing else may be said."""
        wire, _ = self.begin(protocol, REQUESTS[protocol]("GET", "/", b""))
        wire.head("200 OK", [], -1, DATE, True)
        assert wire.refuse(500, "late", DATE) == b""
        wire.end()
        assert not wire.reusable

    def test_reuse_or_close(self, protocol: str) -> None:
        """Two requests at once: both are served in order, or the connection ends behind the first."""
        data = REQUESTS[protocol]("GET", "/1", b"") + REQUESTS[protocol]("GET", "/2", b"")
        paths = [variables["PATH_INFO"] for variables, _ in drive(make(protocol), [data]).requests]
        assert paths == (["/1", "/2"] if protocol in KEEPS else ["/1"])

    def test_not_reusable_before_the_body_was_read(self, protocol: str) -> None:
        """What is left of a body must never be taken for a request."""
        wire, _ = self.begin(protocol, REQUESTS[protocol]("POST", "/", b"hello"))
        wire.head("200 OK", [("Content-Length", "0")], -1, DATE, True)
        wire.end()
        assert not wire.reusable
        assert wire.next_event() == b"hello"
        assert wire.reusable == (protocol in KEEPS)

    def test_a_body_in_one_piece_is_not_copied(self, protocol: str) -> None:
        """5 MB bodies pass through."""
        data = REQUESTS[protocol]("POST", "/", b"x" * 4096)
        wire, _ = self.begin(protocol, data[: data.index(b"x" * 4096)])
        assert wire.next_event() is None
        piece = bytes(4096)
        wire.receive_data(piece)
        assert wire.next_event() is piece

    @pytest.mark.parametrize(
        ("before", "illegal"),
        [
            ([], "chunk"),
            ([], "pieces"),
            ([], "end"),
            ([], "next_request"),
            (["head"], "head"),
            (["head"], "interim"),
            (["head"], "next_request"),
            (["head", "end"], "head"),
            (["head", "end"], "chunk"),
            (["head", "end"], "interim"),
            (["refuse"], "head"),
            (["refuse"], "chunk"),
        ],
    )
    def test_an_illegal_call_raises(self, protocol: str, before: list[str], illegal: str) -> None:
        """What an exchange must never do, for every protocol."""
        arguments: dict[str, tuple[Any, ...]] = {
            "head": ("200 OK", [], -1, DATE, True),
            "chunk": (b"x",),
            "pieces": (b"x",),
            "refuse": (400, "because", DATE),
        }
        wire: Any
        wire, _ = self.begin(protocol, REQUESTS[protocol]("POST", "/", b"body"))
        for name in before:
            getattr(wire, name)(*arguments.get(name, ()))
        with pytest.raises(IllegalCallError):
            getattr(wire, illegal)(*arguments.get(illegal, ()))

    def test_the_states_of_a_request(self, protocol: str) -> None:
        """Head, body, over; and a fault, after which nothing else comes."""
        data = REQUESTS[protocol]("POST", "/", b"body")
        wire: Any = Checked(make(protocol))
        seen = [wire.request]
        for byte in data:
            wire.receive_data(bytes([byte]))
            while wire.request is not RequestState.OVER and wire.next_event() is not None:
                seen.append(wire.request)
        assert list(dict.fromkeys(seen)) == [RequestState.HEAD, RequestState.BODY, RequestState.OVER]
        bad: Any = Checked(make(protocol))
        bad.receive_data(BAD[protocol])
        with pytest.raises(PeerError):
            bad.next_event()
        assert bad.request is RequestState.FAULT
