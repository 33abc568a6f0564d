"""Kinds: what texts mean, which are taken leniently, which mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from greenwsgi.options import kinds
from greenwsgi.options.kinds import Address, Kind

PROTOCOL = kinds.choice("uwsgi", "http")
HTTP = kinds.address("http")

PLAIN: list[tuple[Kind[Any], str, object]] = [
    (kinds.FLAG, "", True),
    (kinds.FLAG, "true", True),
    (kinds.FLAG, "1", True),
    (kinds.FLAG, "On", True),
    (kinds.FLAG, "false", False),
    (kinds.FLAG, "OFF", False),
    (kinds.FLAG, "no", False),
    (kinds.FLAG, "0", False),
    (kinds.INTEGER, "60", 60),
    (kinds.INTEGER, "007", 7),
    (kinds.INTEGER, "-3", -3),
    (kinds.INTEGER, " 8 ", 8),
    (kinds.SECONDS, "30", 30),
    (kinds.SECONDS, "0.25", 0.25),
    (kinds.SIZE, "65536", 65536),
    (kinds.SIZE, "64k", 65536),
    (kinds.SIZE, "64 KB", 65536),
    (kinds.SIZE, "8M", 8 << 20),
    (kinds.SIZE, "1GiB", 1 << 30),
    (kinds.OCTAL, "", 0o666),
    (kinds.OCTAL, "1", 0o666),
    (kinds.OCTAL, "001", 0o001),
    (kinds.OCTAL, "660", 0o660),
    (kinds.OCTAL, "0770", 0o770),
    (kinds.TEXT, "www-data", "www-data"),
    (kinds.PATH, "", ""),
    (kinds.PATHS, "/srv/lib", ("/srv/lib",)),
    (kinds.VARIABLES, "A=b=c", ("A=b=c",)),
    (kinds.VARIABLES, "A=", ("A=",)),
    (PROTOCOL, "http", "http"),
    (HTTP, ":8000", (Address("http", ":8000"),)),
    (HTTP, "/run/a b #1.sock", (Address("http", "/run/a b #1.sock"),)),
    (HTTP, "app.sock ; public", (Address("http", "app.sock ; public"),)),
]

LENIENT: list[tuple[Kind[Any], str, object]] = [
    (kinds.FLAG, "true # for threads", True),
    (kinds.FLAG, "false # for threads", True),
    (kinds.FLAG, "ture", True),
    (kinds.INTEGER, "60 ; seconds", 60),
    (kinds.INTEGER, "8*2", 8),
    (kinds.INTEGER, "1.5", 1),
    (kinds.INTEGER, "True", 0),
    (kinds.SECONDS, "30s", 30),
    (kinds.SECONDS, "1.", 1),
    (kinds.SECONDS, "off", 0),
    (kinds.SIZE, "300 # MB", 300),
    (kinds.SIZE, "64 megs", 64),
    (kinds.SIZE, "on", 0),
    (kinds.SIZE, "64k ; bytes", 65536),
    (kinds.OCTAL, "666 # all", 0o666),
    (kinds.PATHS, "", ()),
    (HTTP, ":8000 # public", (Address("http", ":8000"),)),
    (HTTP, "[::1]:8000\t; for the proxy: its port", (Address("http", "[::1]:8000"),)),
    (kinds.tls_address(kinds.AUTO), ":8000 ;", (Address("auto", ":8000"),)),
]

MEANINGLESS: list[tuple[Kind[Any], str]] = [
    (kinds.INTEGER, ""),
    (kinds.INTEGER, "many"),
    (kinds.INTEGER, "ture"),
    (kinds.INTEGER, "$(WORKERS)"),
    (kinds.INTEGER, "٣"),
    (kinds.INTEGER, "9" * 5000),
    (kinds.SECONDS, ".5"),
    (kinds.SECONDS, "inf"),
    (kinds.SIZE, "k"),
    (kinds.OCTAL, "888"),
    (kinds.OCTAL, "668"),
    (kinds.OCTAL, "66666"),
    (kinds.OCTAL, "rw-rw----"),
    (kinds.VARIABLES, "A"),
    (kinds.VARIABLES, "=b"),
    (kinds.VARIABLES, ""),
    (PROTOCOL, "HTTP"),
    (PROTOCOL, ""),
    (HTTP, ""),
    (kinds.WORKER_MAP, "-1:1"),
]


@pytest.mark.parametrize(("kind", "text", "value"), PLAIN, ids=repr)
def test_plain(kind: Kind[Any], text: str, value: object) -> None:
    assert kind.read(text) == (value, False)


@pytest.mark.parametrize(("kind", "text", "value"), LENIENT, ids=repr)
def test_lenient(kind: Kind[Any], text: str, value: object) -> None:
    assert kind.read(text) == (value, True)


@pytest.mark.parametrize(("kind", "text"), MEANINGLESS, ids=repr)
def test_meaningless(kind: Kind[Any], text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is for nobody: Option.wanted says what is wanted
        kind.read(text)


@pytest.mark.parametrize(("kind", "text", "value"), PLAIN + LENIENT, ids=repr)
def test_texts_are_the_inverse_of_read(kind: Kind[Any], text: str, value: Any) -> None:
    again = [kind.read(one).value for one in kind.texts(value)]
    if kind.many:
        assert sum(again, ()) == value
    else:
        assert again == ([value] if value != "" else [])
