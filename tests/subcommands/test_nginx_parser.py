"""nginx's own files, as far as doctor reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.errors import UsageError
from greenwsgi.subcommands import nginx_parser

TEXT = """# a comment { ; }
http {
    upstream app { server unix:/run/a.sock; keepalive 8; }
    server {
        location ~ "^/a{2};$" {
            uwsgi_read_timeout 1m30s;
            add_header X 'its' "a \\" b";
            set $x ${y}z;
        }
    }
}
"""


def test_directives_have_names_arguments_blocks_and_lines() -> None:
    found = [(one.name, one.arguments, one.inside, one.origin.line) for one in nginx_parser.read(TEXT, "n.conf")]
    assert found == [
        ("http", (), (), 2),
        ("upstream", ("app",), ("http",), 3),
        ("server", ("unix:/run/a.sock",), ("http", "upstream"), 3),
        ("keepalive", ("8",), ("http", "upstream"), 3),
        ("server", (), ("http",), 4),
        ("location", ("~", "^/a{2};$"), ("http", "server"), 5),
        ("uwsgi_read_timeout", ("1m30s",), ("http", "server", "location"), 6),
        ("add_header", ("X", "its", 'a \\" b'), ("http", "server", "location"), 7),
        ("set", ("$x", "${y}z"), ("http", "server", "location"), 8),
    ]


@pytest.mark.parametrize(
    ("text", "line"), [("a }", 1), ("\n}", 2), ("http {\n a b;\n", 3), ('x "open\n;', 1), ("http { 'x", 1)]
)
def test_what_nginx_would_not_read_is_one_line(text: str, line: int) -> None:
    with pytest.raises(UsageError, match=f"^n.conf:{line}: "):
        list(nginx_parser.read(text, "n.conf"))


@given(st.text(st.sampled_from("ab {};#\"'\\$\n"), max_size=60))
def test_whatever_stands_there_it_is_read_or_refused(text: str) -> None:
    with suppress(UsageError):
        for one in nginx_parser.read(text, "n.conf"):
            assert 1 <= one.origin.line <= text.count("\n") + 1


@pytest.mark.parametrize(("text", "value"), [("60", 60), ("60s", 60), ("1m30s", 90), ("2h", 7200), ("500ms", 0.5)])
def test_times(text: str, value: float) -> None:
    assert nginx_parser.seconds(text) == value


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("8k", 8192), ("64M", 64 << 20), ("1g", 1 << 30)])
def test_sizes(text: str, value: int) -> None:
    assert nginx_parser.size(text) == value


@pytest.mark.parametrize("text", ["", "$x", "s", "10 s", "off", "-1"])
@pytest.mark.parametrize("read", [nginx_parser.seconds, nginx_parser.size])
def test_neither(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        read(text)
