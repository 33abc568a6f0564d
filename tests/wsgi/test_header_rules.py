"""add-header and del-header: what they make of an answer's headers, and what they refuse."""

from __future__ import annotations

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.options.table.responses import ResponsesOptions
from greenwsgi.wsgi.header_rules import header_rules
from greenwsgi.wsgi.types import Headers

SAID: Headers = [("Content-Type", "text/html"), ("Server", "app"), ("X-Powered-By", "a"), ("x-powered-by", "b")]


@pytest.mark.parametrize(
    ("add", "remove", "expected"),
    [
        (("X-Frame-Options: DENY",), (), [*SAID, ("X-Frame-Options", "DENY")]),
        (("X-A: b: c", "X-A:"), (), [*SAID, ("X-A", "b: c"), ("X-A", "")]),
        ((), ("X-POWERED-BY",), SAID[:2]),
        (("Server: ours",), ("server", "x-powered-by"), [("Content-Type", "text/html"), ("Server", "ours")]),
    ],
)
def test_headers(add: tuple[str, ...], remove: tuple[str, ...], expected: Headers) -> None:
    rules = header_rules(ResponsesOptions(add_header=add, del_header=remove))
    assert rules is not None
    assert rules(SAID) == expected
    assert len(SAID) == 4


def test_nothing_is_asked_for() -> None:
    assert header_rules(ResponsesOptions()) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ResponsesOptions(add_header=("Content-Length: 5",)), "add-header Content-Length: each answer has its own"),
        (ResponsesOptions(add_header=("X: y", "Transfer-Encoding: chunked")), "add-header Transfer-Encoding: only"),
        (
            ResponsesOptions(add_header=("keep-alive: timeout=5",)),
            "add-header keep-alive: only the protocol may say that",
        ),
        (ResponsesOptions(add_header=("Upgrade: h2c",)), "add-header Upgrade: only the protocol"),
        (ResponsesOptions(del_header=("content-length",)), "del-header Content-Length: the answer would have no end"),
    ],
)
def test_what_only_the_protocol_may_say(options: ResponsesOptions, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        header_rules(options)
