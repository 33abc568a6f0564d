"""HTTP answers: heads, framing, what of the application's headers passes, what keeps a connection."""

from __future__ import annotations

import pytest

from greenwsgi.errors import PeerError
from greenwsgi.wire import header_fields, http1
from greenwsgi.wire.body_framing import MOST_CHUNKS
from greenwsgi.wire.protocol import END, Headers, RequestHead, WireLimits, WireProtocol
from tests.wire.driving import DATE, make

TAIL = "Date: Thu, 01 Jan 1970 00:00:00 GMT|Server: greenwsgi||"


def ask(first: str = "GET / HTTP/1.1", *lines: str, body: bytes = b"") -> WireProtocol:
    """A connection that has been asked, and its request read."""
    wire = make("http")
    wire.receive_data("\r\n".join([first, "Host: h", *lines, "", ""]).encode() + body)
    assert isinstance(wire.next_event(), RequestHead)
    return wire


def text(data: bytes) -> str:
    """Bars for line ends."""
    return data.decode("latin-1").replace("\r\n", "|")


LENGTH = [("Content-Length", "2")]
HEAD_CASES: list[tuple[str, str, str, Headers, int, bool, str, bytes, bool]] = [
    # name, request, status, headers, length, keep_alive; head before Date, chunk of b"ok" + end, reusable
    ("length-given", "GET / HTTP/1.1", "200 OK", LENGTH, -1, True, "Content-Length: 2|", b"ok", True),
    ("length-known", "GET / HTTP/1.1", "200 OK", [], 2, True, "Content-Length: 2|", b"ok", True),
    ("length-zero", "GET / HTTP/1.1", "200 OK", [], 0, True, "Content-Length: 0|", b"ok", True),
    ("length-case", "GET / HTTP/1.1", "200 OK", [("cOnTent-length", "2")], 9, True, "cOnTent-length: 2|", b"ok", True),
    ("chunked", "GET / HTTP/1.1", "200 OK", [], -1, True, "Transfer-Encoding: chunked|", b"2\r\nok\r\n0\r\n\r\n", True),
    ("closing", "GET / HTTP/1.1", "200 OK", LENGTH, -1, False, "Content-Length: 2|Connection: close|", b"ok", False),
    ("1.0", "GET / HTTP/1.0", "200 OK", LENGTH, -1, True, "Content-Length: 2|Connection: close|", b"ok", False),
    ("1.0-unknown", "GET / HTTP/1.0", "200 OK", [], -1, True, "Connection: close|", b"ok", False),
    ("head", "HEAD / HTTP/1.1", "200 OK", LENGTH, -1, True, "Content-Length: 2|", b"", True),
    ("head-unknown", "HEAD / HTTP/1.1", "200 OK", [], -1, True, "", b"", True),
    ("head-empty-is-not-zero", "HEAD / HTTP/1.1", "200 OK", [], 0, True, "", b"", True),
    ("head-known", "HEAD / HTTP/1.1", "200 OK", [], 2, True, "Content-Length: 2|", b"", True),
    ("204", "GET / HTTP/1.1", "204 No Content", LENGTH, 0, True, "", b"", True),
    ("304", "GET / HTTP/1.1", "304 Not Modified", LENGTH, 0, True, "Content-Length: 2|", b"", True),
    ("304-unknown", "GET / HTTP/1.1", "304 Not Modified", [], 0, True, "", b"", True),
    ("app-closes", "GET / HTTP/1.1", "200 OK", [*LENGTH, ("Connection", "Close")], -1, True,
     "Content-Length: 2|Connection: close|", b"ok", False),
    ("app-keep-alive-dropped", "GET / HTTP/1.1", "200 OK",
     [*LENGTH, ("Connection", "keep-alive"), ("Keep-Alive", "timeout=5")], -1, True, "Content-Length: 2|", b"ok", True),
    ("app-close-is-a-token", "GET / HTTP/1.1", "200 OK", [*LENGTH, ("Connection", "closed")], -1, True,
     "Content-Length: 2|", b"ok", True),
    ("app-transfer-encoding-dropped", "GET / HTTP/1.1", "200 OK", [("Transfer-Encoding", "chunked")], 2, True,
     "Content-Length: 2|", b"ok", True),
    ("app-upgrade-dropped", "GET / HTTP/1.1", "200 OK", [*LENGTH, ("Upgrade", "h2c")], -1, True,
     "Content-Length: 2|", b"ok", True),
    ("426-keeps-upgrade", "GET / HTTP/1.1", "426 Upgrade Required", [*LENGTH, ("Upgrade", "websocket")], -1, True,
     "Content-Length: 2|Upgrade: websocket|", b"ok", True),
    ("101", "GET / HTTP/1.1", "101 Switching Protocols", [("Connection", "Upgrade"), ("Upgrade", "websocket")], -1,
     True, "Connection: Upgrade|Upgrade: websocket|", b"ok", False),
    ("repeats-in-order", "GET / HTTP/1.1", "200 OK", [("Set-Cookie", "a=1"), *LENGTH, ("Set-Cookie", "b=2")], -1, True,
     "Set-Cookie: a=1|Content-Length: 2|Set-Cookie: b=2|", b"ok", True),
    ("latin-1", "GET / HTTP/1.1", "200 Sch\xf6n", [("X", "\xe9"), *LENGTH], -1, True,
     "X: \xe9|Content-Length: 2|", b"ok", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_line", "status", "headers", "length", "keep_alive", "lines", "body", "reusable"),
    [row[1:] for row in HEAD_CASES],
    ids=[row[0] for row in HEAD_CASES],
)
def test_answer(
    request_line: str,
    status: str,
    headers: Headers,
    length: int,
    keep_alive: bool,
    lines: str,
    body: bytes,
    reusable: bool,
) -> None:
    """The table, twice: with nothing remembered and with all of it."""
    for _ in range(2):
        wire = ask(request_line)
        assert text(wire.head(status, headers, length, DATE, keep_alive)) == f"HTTP/1.1 {status}|{lines}{TAIL}"
        assert wire.chunk(b"ok") + wire.end() == body
        assert wire.reusable is reusable


def test_1_0_keep_alive_is_said() -> None:
    """An HTTP/1.0 client believes it only if it is told so."""
    wire = ask("GET / HTTP/1.0", "Connection: keep-alive")
    assert "|Connection: keep-alive|" in text(wire.head("200 OK", LENGTH, -1, DATE, True))
    wire.end()
    assert wire.reusable


@pytest.mark.parametrize(
    ("headers", "lines"),
    [
        ([("Date", "then")], "Date: then|Content-Length: 0|Server: greenwsgi||"),
        ([("server", "mine")], f"server: mine|Content-Length: 0|Date: {DATE.decode()}||"),
        ([("Date", "then"), ("Server", "mine")], "Date: then|Server: mine|Content-Length: 0||"),
    ],
)
def test_date_and_server_of_the_application(headers: Headers, lines: str) -> None:
    """Ours are added only where it gave none."""
    assert text(ask().head("200 OK", headers, 0, DATE, True)) == "HTTP/1.1 200 OK|" + lines


def test_chunks() -> None:
    """Sizes are hexadecimal."""
    wire = ask()
    wire.head("200 OK", [], -1, DATE, True)
    assert wire.chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_not_reusable_without_end() -> None:
    """An answer that was not finished must not be followed by another."""
    wire = ask()
    wire.head("200 OK", LENGTH, -1, DATE, True)
    wire.chunk(b"o")
    assert not wire.reusable


class TestExpect:
    """`Expect: 100-continue` (RFC 9110 10.1.1)."""

    LINES = ("POST / HTTP/1.1", "Expect: 100-continue", "Content-Length: 5")

    def test_interim_once(self) -> None:
        """Said when the application first reads, once."""
        wire = ask(*self.LINES)
        assert wire.interim() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.interim() == b""
        wire.receive_data(b"hello")
        assert wire.next_event() == b"hello"
        assert "Connection: close" not in text(wire.head("200 OK", LENGTH, -1, DATE, True))
        wire.end()
        assert wire.reusable

    def test_the_head_says_that_the_client_waits(self) -> None:
        """Unless its body is here already."""
        waiting, here = make("http"), make("http")
        data = "\r\n".join(["POST / HTTP/1.1", "Host: h", *self.LINES[1:], "", ""]).encode()
        waiting.receive_data(data)
        here.receive_data(data + b"h")
        assert [getattr(wire.next_event(), "expects_continue", None) for wire in (waiting, here)] == [True, False]
        assert here.interim() == b""

    def test_no_interim_behind_an_answer(self) -> None:
        """And the connection closes: nobody can tell whether the body will still come."""
        wire = ask(*self.LINES)
        assert "|Connection: close|" in text(wire.head("401 Unauthorized", LENGTH, -1, DATE, True))
        assert wire.interim() == b""
        wire.end()
        wire.receive_data(b"hello")
        assert wire.next_event() == b"hello"
        assert wire.next_event() is END
        assert not wire.reusable

    def test_no_interim_without_a_body(self) -> None:
        """There is nothing to wait for."""
        assert ask("POST / HTTP/1.1", "Expect: 100-continue").interim() == b""


class TestRefusal:
    """refuse() in odd places."""

    def test_it_says_close_date_and_server(self) -> None:
        """All that a client wants to know."""
        wire = make("http")
        answer = text(wire.refuse(503, "no slot is free", DATE, [("Retry-After", "1")]))
        head, _, body = answer.partition("||")
        assert head.split("|")[0] == "HTTP/1.1 503 Service Unavailable"
        assert {"Connection: close", f"Date: {DATE.decode()}", "Server: greenwsgi", "Retry-After: 1"} <= set(
            head.split("|")
        )
        assert body == "no slot is free\n"

    def test_head_gets_no_body(self) -> None:
        """The request is known to be HEAD."""
        assert text(ask("HEAD / HTTP/1.1").refuse(503, "no", DATE)).endswith("||")

    def test_in_the_middle_of_a_body(self) -> None:
        """The application has not answered yet: the client is told."""
        wire = ask("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\nzz\r\n")
        assert wire.next_event() == b"hello"
        with pytest.raises(PeerError):
            wire.next_event()
        assert text(wire.refuse(400, "no", DATE)).startswith("HTTP/1.1 400 ")


def test_tiny_chunks_are_few_events() -> None:
    """Ten thousand chunks of a byte that came together are pieces of hundreds; all of them as one would take 20 ms."""
    wire = ask("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * 10000 + b"0\r\n\r\n")
    assert [wire.next_event() for _ in range(10000 // MOST_CHUNKS)] == [b"x" * MOST_CHUNKS] * (10000 // MOST_CHUNKS)
    assert wire.next_event() == b"x" * (10000 % MOST_CHUNKS)
    assert wire.next_event() is END


def test_a_trickling_head_is_scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """60,000 bytes one by one: each is looked at a few times, not thousands of times."""
    looked_at = 0
    original = http1.head_fault

    def counting(data: bytes, start: int, scanned: int, end: int, limits: WireLimits) -> PeerError | None:
        nonlocal looked_at
        looked_at += len(data) - start - scanned
        return original(data, start, scanned, end, limits)

    monkeypatch.setattr(http1, "head_fault", counting)
    wire = make("http")
    data = b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 60000 + b"\r\n\r\n"
    for index in range(len(data)):
        assert wire.next_event() is None
        wire.receive_data(data[index : index + 1])
    assert isinstance(wire.next_event(), RequestHead)
    assert looked_at <= 5 * len(data)


def test_a_secret_is_in_no_common_table() -> None:
    """A cookie is remembered by its own connection only, and there it is right."""
    wire = make("http")
    for cookie in ("a=1", "a=1", "b=2"):
        wire.receive_data(f"GET / HTTP/1.1\r\nHost: h\r\nCookie: {cookie}\r\n\r\n".encode())
        head = wire.next_event()
        assert isinstance(head, RequestHead)
        assert head.vars["HTTP_COOKIE"] == cookie
        wire.head("200 OK", LENGTH, -1, DATE, True)
        wire.end()
        wire.next_request()
    assert not [line for line in header_fields.KNOWN_LINES if b"ookie" in line]
