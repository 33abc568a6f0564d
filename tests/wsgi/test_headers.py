"""An answer's status and headers: what is sent of them is plain text, checked, and nobody's any more."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

import pytest

from greenwsgi.wsgi import response
from greenwsgi.wsgi.response import ResponseError, check_headers
from tests.wsgi.test_response import answer, app


def test_check_headers_gives_the_declared_length() -> None:
    assert check_headers([("X", "y")]) == ([("X", "y")], -1)
    assert check_headers([("X", "y"), ("cOnTeNt-LeNgTh", " 12 ")])[1] == 12


def test_a_length_said_twice_is_said_once() -> None:
    for more in ([], [("content-length", "5")], [("content-length", "5"), ("Content-Length", "05")]):
        assert check_headers([("Content-Length", "5"), ("X", "y"), *more]) == ([("Content-Length", "5"), ("X", "y")], 5)


class Text(str):
    """As Django's SafeString and MarkupSafe's Markup are, which know how to escape what is put into them."""

    def __str__(self) -> str:
        return "another text"

    def __format__(self, how: str) -> str:
        raise TypeError(how)


class Word(str, enum.Enum):  # noqa: UP042 - a StrEnum is not as odd
    NAME = "X-Word"
    VALUE = "value"
    STATUS = "202 Word"
    FOUL = "a\r\nb"


class Pair(NamedTuple):
    name: str
    value: str


@pytest.mark.parametrize(
    ("header", "plain"),
    [
        ((Text("X-Text"), Text("value")), ("X-Text", "value")),
        ((Word.NAME, Word.VALUE), ("X-Word", "value")),
        ((Word.NAME, Text("v" * 200)), ("X-Word", "v" * 200)),
        (Pair("X-Pair", "value"), ("X-Pair", "value")),
    ],
    ids=["text", "enum", "long", "pair"],
)
def test_any_kind_of_str_is_sent_as_the_text_it_is(header: Any, plain: tuple[str, str]) -> None:
    """Whether the same text was seen before as a plain one, or as another kind, or not at all."""
    for before in (None, header, plain):
        response._known_headers.clear()
        if before is not None:
            check_headers([before])
        (found,), _ = check_headers([header])
        assert found == plain
        assert [type(found), *map(type, found)] == [tuple, str, str]


def test_any_kind_of_str_is_checked() -> None:
    for foul in (Word.FOUL, Text("a\0")):
        with pytest.raises(ResponseError, match="control character"):
            check_headers([("X", foul)])


def test_any_kind_of_str_is_a_status() -> None:
    for _ in range(2):
        outlet, answered = answer(app(b"x", status=Word.STATUS))
        assert outlet.data.startswith(b"[202 Word ")
        assert type(answered.status) is str
    assert answer(app(b"x", status=Text("202 Text")))[0].data.startswith(b"[202 Text ")


@pytest.mark.parametrize("late", [("X", "a\r\nSet-Cookie: evil"), ("Content-Length", "50"), ("X", "\u20ac"), 7])
def test_what_is_put_into_the_list_later_is_not_sent(late: Any) -> None:
    """Nobody has checked it."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        headers: list[Any] = [("A", "b")]
        start_response("200 OK", headers)
        headers.append(late)
        return [b"hello"]

    outlet, answered = answer(application)
    assert outlet.data == b"[200 OK 5 1]<hello>$"
    assert answered.headers == [("A", "b")]


@pytest.mark.parametrize("name", ["Set-Cookie", "LOCATION", "ETag", "X-Request-ID", "WWW-Authenticate"])
def test_what_is_one_client_s_or_never_comes_again_is_not_remembered(name: str) -> None:
    response._known_headers.clear()
    assert check_headers([(name, "a=1"), ("X", "y")]) == ([(name, "a=1"), ("X", "y")], -1)
    assert list(response._known_headers) == [("X", "y")]
