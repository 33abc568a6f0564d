"""add-header and del-header: what they make of an answer's headers, and what they refuse."""

from __future__ import annotations

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.options.table.responses import Responses
from greenwsgi.wsgi.dressing import dressing
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
    dress = dressing(Responses(add_header=add, del_header=remove))
    assert dress is not None
    assert dress(SAID) == expected
    assert len(SAID) == 4


def test_nothing_is_asked_for() -> None:
    assert dressing(Responses()) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Responses(add_header=("Content-Length: 5",)), "add-header Content-Length: each answer has its own"),
        (Responses(add_header=("X: y", "Transfer-Encoding: chunked")), "add-header Transfer-Encoding: only"),
        (Responses(add_header=("keep-alive: timeout=5",)), "add-header keep-alive: only the protocol may say that"),
        (Responses(add_header=("Upgrade: h2c",)), "add-header Upgrade: only the protocol"),
        (Responses(del_header=("content-length",)), "del-header Content-Length: the answer would have no end"),
    ],
)
def test_what_only_the_protocol_may_say(options: Responses, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        dressing(options)
