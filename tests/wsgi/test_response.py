"""PEP 3333 on start_response, write and the body, with a protocol that only notes what it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import pytest

from greenwsgi.wsgi.response import LARGE, Response, ResponseError
from greenwsgi.wsgi.run_application import run


class Outlet:
    """Takes what is sent, and is the server too."""

    date = b"now"
    draining = False
    header_rules = None

    def __init__(self) -> None:
        self.sends: list[bytes] = []
        self.pieces: list[bytes | memoryview] = []

    def send(self, data: bytes) -> None:
        self.sends.append(data)

    def send_pieces(self, pieces: Iterable[bytes | memoryview]) -> None:
        self.pieces += pieces
        self.send(b"".join(pieces))

    send_next = send

    def check_turn(self) -> None:
        """Nobody else is here."""

    @property
    def data(self) -> bytes:
        return b"".join(self.sends)


class Plain:
    """Frames an answer so that each part can be seen: head(status,length), <chunk>, end."""

    def head(self, status: str, headers: Any, length: int, date: bytes, keep_alive: bool) -> bytes:
        return f"[{status} {length} {len(headers)}]".encode()

    def chunk(self, data: bytes) -> bytes:
        return b"<" + data + b">"

    def pieces(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        return [b"<", data, b">"]

    def end(self) -> bytes:
        return b"$"


def answer(application: Any, *, bodiless: bool = False) -> tuple[Outlet, Response]:
    outlet = Outlet()
    response = Response(Plain(), outlet, outlet, bodiless)  # type: ignore[arg-type]
    run(application, {}, response)
    return outlet, response


def app(*pieces: bytes, status: str = "200 OK", headers: Any = ()) -> Any:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, list(headers))
        return list(pieces)

    return application


def test_one_piece_has_its_length_known_and_leaves_in_one_send() -> None:
    outlet, response = answer(app(b"hello"))
    assert outlet.sends == [b"[200 OK 5 0]<hello>$"]
    assert response.sent == 5


def test_a_large_piece_is_sent_as_it_is() -> None:
    """60 slow readers of one constant must not be 60 copies of it."""
    body = bytes(LARGE)
    outlet, response = answer(app(body))
    assert outlet.sends == [b"[200 OK %d 0]<" % LARGE + body + b">$"]
    assert any(piece is body for piece in outlet.pieces)
    assert response.sent == LARGE


def test_a_large_piece_among_others() -> None:
    body = bytes(LARGE)
    outlet, _ = answer(app(b"a", body, b"b", headers=[("Content-Length", str(LARGE + 2))]))
    assert outlet.sends == [b"[200 OK -1 1]<a>", b"<" + body + b">", b"<b>$"]
    assert any(piece is body for piece in outlet.pieces)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_a_large_piece_that_is_no_bytes_is_not_copied(kind: Any) -> None:
    body = kind(bytes(range(256)) * (LARGE // 256))
    outlet, _ = answer(app(body))
    assert outlet.data == b"[200 OK %d 0]<" % LARGE + bytes(body) + b">$"
    assert any(isinstance(piece, memoryview) for piece in outlet.pieces)


def test_a_large_piece_of_numbers_counts_its_bytes() -> None:
    outlet, _ = answer(app(memoryview(bytes(LARGE)).cast("I")))  # type: ignore[arg-type]
    assert outlet.data.startswith(b"[200 OK %d 0]<" % LARGE)


def test_a_memoryview_with_gaps_is_copied() -> None:
    outlet, _ = answer(app(memoryview(bytes(range(256)) * LARGE)[::256]))  # type: ignore[arg-type]
    assert outlet.data == b"[200 OK %d 0]<" % LARGE + bytes(LARGE) + b">$"


@pytest.mark.parametrize("declared", [1, LARGE - 1, LARGE, LARGE + 1, 2 * LARGE])
def test_a_large_piece_is_cut_at_the_declared_length(declared: int) -> None:
    body = bytes(range(256)) * (2 * LARGE // 256) + b"more"
    outlet, response = answer(app(body, headers=[("Content-Length", str(declared))]))
    assert outlet.data == b"[200 OK -1 1]<" + body[:declared] + b">$"
    assert (response.sent, response.excess) == (declared, len(body) - declared)


def test_a_large_piece_of_an_answer_without_body_is_not_sent() -> None:
    outlet, _ = answer(app(bytes(LARGE)), bodiless=True)
    assert outlet.data == b"[200 OK %d 0]$" % LARGE


def test_several_pieces_have_an_unknown_length() -> None:
    outlet, _ = answer(app(b"a", b"", b"b"))
    assert outlet.sends == [b"[200 OK -1 0]<a>", b"<b>", b"$"]


def test_no_piece_is_an_empty_body() -> None:
    outlet, _ = answer(app())
    assert outlet.data == b"[200 OK 0 0]$"


def test_headers_wait_for_the_first_piece_that_is_not_empty() -> None:
    seen: list[int] = []
    outlet = Outlet()

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b""
        seen.append(len(outlet.sends))
        yield b"x"

    run(application, {}, Response(Plain(), outlet, outlet, False))  # type: ignore[arg-type]
    assert seen == [0]
    assert outlet.sends[0] == b"[200 OK -1 0]<x>"


def test_the_declared_length_is_the_applications_word() -> None:
    outlet, _ = answer(app(b"hello", headers=[("Content-Length", "5")]))
    assert outlet.sends == [b"[200 OK -1 1]<hello>$"]


def test_the_end_goes_with_the_last_piece_that_was_declared() -> None:
    outlet, _ = answer(app(b"hel", b"lo", headers=[("Content-Length", "5")]))
    assert outlet.sends == [b"[200 OK -1 1]<hel>", b"<lo>$"]


def test_a_body_longer_than_declared_is_cut_there_and_counted() -> None:
    outlet, response = answer(app(b"hel", b"lo!", b"!!", headers=[("Content-Length", "5")]))
    assert outlet.data == b"[200 OK -1 1]<hel><lo>$"
    assert (response.sent, response.excess, response.cut) == (5, 3, False)


def test_a_body_shorter_than_declared_closes_the_connection() -> None:
    outlet = Outlet()
    response = Response(Plain(), outlet, outlet, False)  # type: ignore[arg-type]
    with pytest.raises(ResponseError, match="ended after 3 bytes, Content-Length said 5"):
        run(app(b"hel", headers=[("Content-Length", "5")]), {}, response)
    assert response.cut
    assert b"$" not in outlet.data


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_statuses_without_a_body_send_none(status: str) -> None:
    outlet, _ = answer(app(b"oops", status=status))
    assert b"<" not in outlet.data


def test_head_sends_no_body_but_keeps_its_length() -> None:
    outlet, response = answer(app(b"hello"), bodiless=True)
    assert outlet.data == b"[200 OK 5 0]$"
    assert response.sent == 0


def test_head_of_an_application_that_leaves_the_body_out_claims_no_length() -> None:
    assert answer(app(), bodiless=True)[0].data == b"[200 OK -1 0]$"


def test_head_may_declare_a_length_it_does_not_send() -> None:
    assert not answer(app(headers=[("Content-Length", "5")]), bodiless=True)[1].cut


def test_write_sends_before_what_is_returned() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one")
        return [b"two"]

    assert answer(application)[0].data == b"[200 OK -1 0]<one><two>$"


def test_start_response_twice_needs_exc_info() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(ResponseError, match="second time"):
        answer(application)


def test_exc_info_replaces_a_head_that_is_not_out() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("A", "b")])
        try:
            raise KeyError("x")
        except KeyError:
            start_response("500 Oops", [], sys.exc_info())
        return [b"sorry"]

    assert answer(application)[0].data == b"[500 Oops 5 0]<sorry>$"


def test_exc_info_is_raised_again_when_the_head_is_out() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"x"
        try:
            raise KeyError("too late")
        except KeyError:
            start_response("500 Oops", [], sys.exc_info())

    with pytest.raises(KeyError, match="too late"):
        answer(application)


def test_a_body_without_start_response_is_an_error() -> None:
    with pytest.raises(ResponseError, match="before it called start_response"):
        answer(lambda environ, start_response: [b"x"])
    with pytest.raises(ResponseError, match="before it called start_response"):
        answer(lambda environ, start_response: [])


class Closing:
    def __init__(self, *pieces: Any) -> None:
        self.pieces = pieces
        self.closed = 0

    def __iter__(self) -> Any:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed += 1


def returning(result: Any) -> Any:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return result

    return application


def test_close_is_called_after_a_good_answer() -> None:
    result = Closing(b"x")
    answer(returning(result))
    assert result.closed == 1


def test_close_is_called_after_the_application_raised() -> None:
    result = Closing(b"x", ValueError("midway"))
    with pytest.raises(ValueError, match="midway"):
        answer(returning(result))
    assert result.closed == 1


def test_close_is_called_when_the_client_left() -> None:
    class Gone(Outlet):
        def send(self, data: bytes) -> None:
            raise ConnectionError("gone")

    result = Closing(b"x")
    with pytest.raises(ConnectionError):
        run(returning(result), {}, Response(Plain(), Gone(), Gone(), False))  # type: ignore[arg-type]
    assert result.closed == 1


@pytest.mark.parametrize(
    ("status", "headers", "complaint"),
    [
        ("200", [], ""),
        ("200 ", [], ""),
        ("299 Anything goes", [], ""),
        ("2000 OK", [], "status"),
        ("OK", [], "status"),
        ("200OK", [], "status"),
        ("200 OK\r\nX: y", [], "status"),
        (b"200 OK", [], "status"),
        (200, [], "status"),
        ("100 Continue", [], "interim"),
        ("200 OK", [("X", "a\r\nY: b")], "control character"),
        ("200 OK", [("X", "a\nb")], "control character"),
        ("200 OK", [("X", "a\0")], "control character"),
        ("200 OK", [("X", "a\x7f")], "control character"),
        ("200 OK", [("X", "tab\tis fine, caf\xe9 too")], ""),
        ("200 OK", [("X", "\u20ac")], "not latin-1"),
        ("200 OK", [("X: y", "a")], "header name"),
        ("200 OK", [("X\r\n", "a")], "header name"),
        ("200 OK", [("", "a")], "header name"),
        ("200 OK", [(b"X", "a")], "native strings"),
        ("200 OK", [("X", b"a")], "native strings"),
        ("200 OK", [("X", 1)], "native strings"),
        ("200 OK", [("X",)], "native strings"),
        ("200 OK", (("X", "a"),), "must be a list"),
        ("200 OK", {"X": "a"}, "must be a list"),
        ("200 OK", [("Content-Length", "five")], "Content-Length"),
        ("200 OK", [("content-length", "-5")], "Content-Length"),
        ("200 OK", [("Content-Length", "5"), ("content-length", "50")], "two Content-Lengths, 5 and 50"),
        ("200 OK", ["Xy"], "native strings"),
    ],
)
def test_what_start_response_refuses(status: Any, headers: Any, complaint: str) -> None:
    response = Response(Plain(), Outlet(), Outlet(), False)  # type: ignore[arg-type]
    if not complaint:
        response.start_response(status, headers)
        assert response.status == (status if " " in status else status + " ")
        return
    with pytest.raises(ResponseError, match=complaint):
        response.start_response(status, headers)
    assert response.status == ""


def test_only_bytes_are_a_body() -> None:
    assert answer(app(bytearray(b"ab")))[0].data.endswith(b"<ab>$")  # type: ignore[arg-type]
    assert answer(app(memoryview(b"ab")))[0].data.endswith(b"<ab>$")  # type: ignore[arg-type]
    with pytest.raises(ResponseError, match="bytes, not str"):
        answer(app("text"))  # type: ignore[arg-type]


def test_failing_replaces_the_whole_head() -> None:
    outlet = Outlet()
    response = Response(Plain(), outlet, outlet, False)  # type: ignore[arg-type]
    response.start_response("200 OK", [("Content-Length", "99")])
    response.fail("500 Internal Server Error")
    assert outlet.data == b"[500 Internal Server Error 21 1]<Internal Server Error>$"
