"""Checks that need more than one option."""

from __future__ import annotations

import pytest

from greenwsgi.config import argv, rules
from greenwsgi.config.settings import build
from greenwsgi.errors import UsageError


def warnings(*words: str) -> list[str]:
    said: list[str] = []
    rules.check(build(argv.read(["--wsgi-file", "x.py", *words])), said.append)
    return said


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (("--socket", ":3031"), True),
        (("--socket", "0.0.0.0:3031"), True),
        (("--uwsgi-socket", "[::]:3031"), True),
        (("--uwsgi-socket", "app.example:3031"), True),
        (("--scgi-socket", ":3031"), True),
        (("--socket", ":3031", "--protocol", "scgi-nph"), True),
        (("--scgi-socket", ":3031", "--gateway-allow", "10.0.0.0/8"), False),
        (("--socket", ":3031", "--uwsgi-allow", "10.0.0.0/8"), False),
        (("--socket", "127.0.0.1:3031"), False),
        (("--socket", "localhost:3031"), False),
        (("--socket", "[::1]:3031"), False),
        (("--socket", "/run/app.sock"), False),
        (("--socket", "app.sock"), False),
        (("--http-socket", ":8000"), False),
        (("--socket", ":8000", "--protocol", "http"), False),
    ],
)
def test_a_gateway_s_socket_that_others_can_reach_is_warned_of(words: tuple[str, ...], warned: bool) -> None:
    said = warnings(*words)
    assert bool(said) == warned
    if warned:
        assert "uwsgi-allow" in said[0]


@pytest.mark.parametrize(
    "words",
    [
        ("--socket", "/run/app.sock", "--http-to", "/run/app.sock"),
        ("--socket", ":3031", "--http-to", "127.0.0.1:3031"),
        ("--socket", "127.0.0.1:3031", "--http-to", ":3031", "--http-to", "localhost:3031"),
    ],
)
def test_http_may_be_handed_to_this_server(words: tuple[str, ...]) -> None:
    assert [said for said in warnings("--http", ":80", "--uwsgi-allow", "unix", *words) if "http-to" in said] == []


@pytest.mark.parametrize("target", ["/run/other.sock", "127.0.0.1:3032", "10.0.0.1:3031"])
def test_http_is_not_handed_to_others(target: str) -> None:
    with pytest.raises(UsageError, match=r"http-to .* is no socket of this server"):
        warnings("--http", ":80", "--socket", "127.0.0.1:3031", "--http-to", target)
