"""add-header and del-header: what they make of an answer's headers. Mistakes: tests/config/test_option_rules.py."""

from __future__ import annotations

import pytest

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
