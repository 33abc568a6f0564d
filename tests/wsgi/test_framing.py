"""What answers look like on the wire when an application goes wrong: a client never takes one answer for another."""

from __future__ import annotations

import http.client
import io
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from greenwsgi.wire.protocol import RequestHead
from greenwsgi.wsgi.response import Response, ResponseError
from greenwsgi.wsgi.run_application import run
from greenwsgi.wsgi.types import Application
from tests.wire.driving import DATE, make

FAILED = "500 Internal Server Error"


class Outlet:
    """Takes what is sent, and is the server too."""

    date = DATE
    draining = False
    header_rules = None

    def __init__(self) -> None:
        self.data = b""

    def send(self, data: bytes) -> None:
        self.data += data

    def send_pieces(self, pieces: Iterable[bytes | memoryview]) -> None:
        self.send(b"".join(pieces))

    send_next = send

    def check_turn(self) -> None:
        """Nobody else is here."""


def answer(application: Application, method: str = "GET", behind: Callable[[], None] | None = None) -> bytes:
    """All that goes out for one request over HTTP, whose connection is kept; what the application raises is 500.

    behind: what is tried when the request has ended, in vain.
    """
    wire, outlet = make("http"), Outlet()
    wire.receive_data(f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert isinstance(wire.next_event(), RequestHead)
    response = Response(wire, outlet, outlet, method == "HEAD")  # type: ignore[arg-type]
    try:
        run(application, {}, response)
    except (ResponseError, KeyError):
        response.fail(FAILED)
    if behind is not None:
        with pytest.raises(ValueError, match="has ended"):
            behind()
    assert wire.reusable
    return outlet.data


class Socket(io.BytesIO):
    """What http.client reads from."""

    def makefile(self, mode: str) -> Any:
        return self


def read(data: bytes, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of an answer as a client reads it, to whom not a byte more or less has come."""
    source = Socket(data)
    got = http.client.HTTPResponse(source, method=method)  # type: ignore[arg-type]
    source.close = lambda: None  # type: ignore[method-assign]  # it closes what it has read to the end
    got.begin()
    body = got.read()
    assert source.read() == b"", "bytes behind the answer, which are the beginning of the next one"
    return got.status, body


STATUSES = ["200 OK", "204 No Content", "304 Not Modified", "404 Not Found"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", STATUSES)
def test_an_application_that_raises_behind_its_start_response(status: str, method: str) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response(status, [("Content-Length", "0")])
        raise KeyError

    page = b"" if method == "HEAD" else b"Internal Server Error"
    assert read(answer(application, method), method) == (500, page)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", STATUSES)
def test_an_application_that_changes_its_mind(status: str, method: str) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [("Content-Length", "7")])
        try:
            raise KeyError
        except KeyError:
            start_response("503 Later", [], sys.exc_info())
        return [b"sorry"]

    assert read(answer(application, method), method) == (503, b"" if method == "HEAD" else b"sorry")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", [[("Content-Length", 0)], [("X", "a\r\nb")], None])
def test_headers_that_are_refused(headers: Any, method: str) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("204 No Content", headers)
        return []

    page = b"" if method == "HEAD" else b"Internal Server Error"
    assert read(answer(application, method), method) == (500, page)


def test_a_status_without_a_reason_has_the_space_before_it() -> None:
    """RFC 9112 4: it is always there."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200", [])
        return []

    for _ in range(2):
        assert answer(application).startswith(b"HTTP/1.1 200 \r\n")


LENGTH = [("Content-Length", "5")]


@pytest.mark.parametrize("headers", [[], LENGTH], ids=["", "length"])
@pytest.mark.parametrize("pieces", [[b"hello"], [b"hel", b"lo"], (b"hello",)], ids=["one", "two", "tuple"])
def test_write_behind_the_end(pieces: Any, headers: Any) -> None:
    """A greenlet of the application that outlives its request must not write into the next one's answer."""
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        kept.append(start_response("200 OK", headers))
        return pieces

    data = answer(application, behind=lambda: kept[0](b"late"))
    assert read(data) == (200, b"hello")


def test_write_behind_a_failure() -> None:
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        kept.append(start_response("200 OK", []))
        raise KeyError

    data = answer(application, behind=lambda: kept[0](b"late"))
    assert read(data) == (500, b"Internal Server Error")


def test_write_in_close() -> None:
    """The end is out by then."""

    class Result:
        write: Any = None

        def __iter__(self) -> Any:
            return iter([b"hello"])

        def close(self) -> None:
            with pytest.raises(ValueError, match="has ended"):
                self.write(b"late")

    def application(environ: Any, start_response: Any) -> Any:
        result = Result()
        result.write = start_response("200 OK", [])
        return result

    assert read(answer(application)) == (200, b"hello")
