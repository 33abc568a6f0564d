"""Kinds: what texts mean, which are taken leniently, which mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from greenwsgi.options import value_kinds, value_types
from greenwsgi.options.value_kinds import ValueKind
from greenwsgi.options.value_types import Address

PROTOCOL = value_kinds.choice("uwsgi", "http")
HTTP = value_kinds.address("http")

PLAIN: list[tuple[ValueKind[Any], str, object]] = [
    (value_kinds.FLAG, "", True),
    (value_kinds.FLAG, "true", True),
    (value_kinds.FLAG, "1", True),
    (value_kinds.FLAG, "On", True),
    (value_kinds.FLAG, "false", False),
    (value_kinds.FLAG, "OFF", False),
    (value_kinds.FLAG, "no", False),
    (value_kinds.FLAG, "0", False),
    (value_kinds.INTEGER, "60", 60),
    (value_kinds.INTEGER, "007", 7),
    (value_kinds.INTEGER, "-3", -3),
    (value_kinds.INTEGER, " 8 ", 8),
    (value_kinds.SECONDS, "30", 30),
    (value_kinds.SECONDS, "0.25", 0.25),
    (value_kinds.SIZE, "65536", 65536),
    (value_kinds.SIZE, "64k", 65536),
    (value_kinds.SIZE, "64 KB", 65536),
    (value_kinds.SIZE, "8M", 8 << 20),
    (value_kinds.SIZE, "1GiB", 1 << 30),
    (value_kinds.OCTAL, "", 0o666),
    (value_kinds.OCTAL, "1", 0o666),
    (value_kinds.OCTAL, "001", 0o001),
    (value_kinds.OCTAL, "660", 0o660),
    (value_kinds.OCTAL, "0770", 0o770),
    (value_kinds.TEXT, "www-data", "www-data"),
    (value_kinds.PATH, "", ""),
    (value_kinds.PATHS, "/srv/lib", ("/srv/lib",)),
    (value_kinds.VARIABLES, "A=b=c", ("A=b=c",)),
    (value_kinds.VARIABLES, "A=", ("A=",)),
    (PROTOCOL, "http", "http"),
    (HTTP, ":8000", (Address("http", ":8000"),)),
    (HTTP, "/run/a b #1.sock", (Address("http", "/run/a b #1.sock"),)),
    (HTTP, "app.sock ; public", (Address("http", "app.sock ; public"),)),
]

LENIENT: list[tuple[ValueKind[Any], str, object]] = [
    (value_kinds.FLAG, "true # for threads", True),
    (value_kinds.FLAG, "false # for threads", True),
    (value_kinds.FLAG, "ture", True),
    (value_kinds.INTEGER, "60 ; seconds", 60),
    (value_kinds.INTEGER, "8*2", 8),
    (value_kinds.INTEGER, "1.5", 1),
    (value_kinds.INTEGER, "True", 0),
    (value_kinds.SECONDS, "30s", 30),
    (value_kinds.SECONDS, "1.", 1),
    (value_kinds.SECONDS, "off", 0),
    (value_kinds.SIZE, "300 # MB", 300),
    (value_kinds.SIZE, "64 megs", 64),
    (value_kinds.SIZE, "on", 0),
    (value_kinds.SIZE, "64k ; bytes", 65536),
    (value_kinds.OCTAL, "666 # all", 0o666),
    (value_kinds.PATHS, "", ()),
    (HTTP, ":8000 # public", (Address("http", ":8000"),)),
    (HTTP, "[::1]:8000\t; for the proxy: its port", (Address("http", "[::1]:8000"),)),
    (value_kinds.tls_address(value_types.AUTO), ":8000 ;", (Address("auto", ":8000"),)),
]

MEANINGLESS: list[tuple[ValueKind[Any], str]] = [
    (value_kinds.INTEGER, ""),
    (value_kinds.INTEGER, "many"),
    (value_kinds.INTEGER, "ture"),
    (value_kinds.INTEGER, "$(WORKERS)"),
    (value_kinds.INTEGER, "٣"),
    (value_kinds.INTEGER, "9" * 5000),
    (value_kinds.SECONDS, ".5"),
    (value_kinds.SECONDS, "inf"),
    (value_kinds.SIZE, "k"),
    (value_kinds.OCTAL, "888"),
    (value_kinds.OCTAL, "668"),
    (value_kinds.OCTAL, "66666"),
    (value_kinds.OCTAL, "rw-rw----"),
    (value_kinds.VARIABLES, "A"),
    (value_kinds.VARIABLES, "=b"),
    (value_kinds.VARIABLES, ""),
    (PROTOCOL, "HTTP"),
    (PROTOCOL, ""),
    (HTTP, ""),
    (value_kinds.WORKER_MAP, "-1:1"),
]


def _id(value: object) -> str:
    """The same in every process, so that tests can run side by side: a repr shows addresses."""
    return value.name if isinstance(value, ValueKind) else repr(value)


@pytest.mark.parametrize(("kind", "text", "value"), PLAIN, ids=_id)
def test_plain(kind: ValueKind[Any], text: str, value: object) -> None:
    assert kind.read(text) == (value, False)


@pytest.mark.parametrize(("kind", "text", "value"), LENIENT, ids=_id)
def test_lenient(kind: ValueKind[Any], text: str, value: object) -> None:
    assert kind.read(text) == (value, True)


@pytest.mark.parametrize(("kind", "text"), MEANINGLESS, ids=_id)
def test_meaningless(kind: ValueKind[Any], text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is for nobody: Option.wanted says what is wanted
        kind.read(text)


@pytest.mark.parametrize(("kind", "text", "value"), PLAIN + LENIENT, ids=_id)
def test_texts_are_the_inverse_of_read(kind: ValueKind[Any], text: str, value: Any) -> None:
    again = [kind.read(one).value for one in kind.texts(value)]
    if kind.many:
        assert sum(again, ()) == value
    else:
        assert again == ([value] if value != "" else [])
