"""The catalog: every option is whole, found by all of its names, and nothing is named twice."""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass, field, fields

import pytest

from greenwsgi.options import value_kinds
from greenwsgi.options.catalog import OPTIONS, Catalog, Entry
from greenwsgi.options.option_spec import ChangeNeeds, Option, Reason, Status, option
from greenwsgi.options.table import Sections
from greenwsgi.options.table.sockets import PROTOCOL_NAMES

ENTRIES = list(OPTIONS)
EVERY = list(OPTIONS.every())
NAMES = [entry.option.name for entry in ENTRIES]


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: entry.option.name)
def test_option_is_whole(entry: Entry) -> None:
    option = entry.option
    assert all(re.fullmatch("[a-z][a-z0-9]*([-_][a-z0-9]+)*", name) for name in option.names)
    assert re.fullmatch("[a-zA-Z]?", option.short)
    assert option.help.endswith(".")
    assert option.help[0].isupper()
    assert isinstance(option.status, Status)
    assert isinstance(option.reload, ChangeNeeds)
    assert bool(option.note) or option.status is Status.WORKS
    assert isinstance(option.reason, Reason) == (option.status is Status.ACCEPTED)
    assert option.note.startswith(option.reason.value if option.reason else "")
    assert option.note.endswith("." if option.note else "")
    assert "|" not in option.help + option.note, "docs/options.md is made of tables"


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_default_is_a_value_of_its_kind(entry: Entry) -> None:
    option = entry.option
    values = [option.read(text).value for text in option.kind.texts(option.default)]
    assert values in ([option.default], [])
    assert values or option.default in ("", (), None)
    assert getattr(getattr(Sections(), entry.section), entry.field) == option.default


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: entry.option.name)
def test_option_is_found_by_all_its_names(entry: Entry) -> None:
    assert all(OPTIONS.find(name) is entry for name in entry.option.names)
    if entry.option.short:
        assert OPTIONS.find_short(entry.option.short) is entry


def test_field_is_named_like_its_option() -> None:
    assert [entry.field.rstrip("_").replace("_", "-") for entry in ENTRIES] == NAMES


def test_every_section_is_typed_by_its_own_class() -> None:
    hints = typing.get_type_hints(Sections)
    assert all(hints[section.name] is section.default_factory for section in fields(Sections))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vaccum", "vacuum"),
        ("harakari", "harakiri"),
        ("process", "processes"),
        ("procesess", "processes"),
        ("chmod-sock", "chmod-socket"),
        ("max_requests", "max-requests"),
        ("HTTP-Socket", "http-socket"),
        ("wsgi_file", "wsgi-file"),
        ("reload-mercey", "reload-mercy"),
        ("xyzzy", ""),
        ("", ""),
        ("x" * 10_000_000, ""),
    ],
    ids=lambda value: value[:20],
)
def test_near_miss(name: str, expected: str) -> None:
    assert OPTIONS.near(name) == expected


def test_names_are_exact() -> None:
    assert OPTIONS.find("max_requests") is None
    assert OPTIONS.find("Processes") is None
    assert OPTIONS.find("process") is None


def test_beginnings_give_each_option_once() -> None:
    assert list(OPTIONS.begin_with("process")) == ["processes"]
    assert list(OPTIONS.begin_with("ve")) == ["venv", "version"]
    assert list(OPTIONS.begin_with("vi")) == ["virtualenv"]
    assert OPTIONS.begin_with("xyzzy") == {}


@pytest.mark.parametrize(("names", "short"), [(("beta", "alpha"), ""), (("beta",), "a")])
def test_no_two_options_share_a_name(names: tuple[str, ...], short: str) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Letters:
        """Letters"""

        alpha: str = option("alpha", short="a", kind=value_kinds.TEXT, default="", help="First.")
        beta: str = option(*names, short=short, kind=value_kinds.TEXT, default="", help="Second.")

    @dataclass(frozen=True, kw_only=True)
    class Table:
        letters: Letters = field(default_factory=Letters)

    with pytest.raises(ValueError, match="two options are named a"):
        Catalog(Table, {}, {})


def found(name: str) -> Option:
    entry = OPTIONS.find(name)
    assert entry
    return entry.option


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("processes", "0", "a whole number from 1 to 10000"),
        ("processes", "-2", "a whole number from 1 to 10000"),
        ("processes", "10001", "a whole number from 1 to 10000"),
        ("processes", "true", "a whole number from 1 to 10000"),
        ("buffer-size", "off", "a number of bytes (also 64k, 8m, 1g) from 1 to 16777216"),
        ("buffer-size", "0", "a number of bytes (also 64k, 8m, 1g) from 1 to 16777216"),
        ("buffer-size", "1g", "a number of bytes (also 64k, 8m, 1g) from 1 to 16777216"),
        ("socket-timeout", "0", "a number of seconds from 0.1 to 2147483647"),
        ("listen", str(2**31), "a whole number from 1 to 2147483647"),
        ("protocol", "gopher", "one of " + ", ".join(PROTOCOL_NAMES)),
        ("chmod-socket", "999", "an octal mode such as 660"),
    ],
)
def test_out_of_bounds(name: str, text: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        found(name).read(text)
    assert found(name).wanted == wanted


def test_protocol_names_are_those_of_the_wire() -> None:
    registry = pytest.importorskip("greenwsgi.wire.registry")
    rows = registry.PROTOCOLS.values() if isinstance(registry.PROTOCOLS, dict) else registry.PROTOCOLS
    assert sorted(PROTOCOL_NAMES) == sorted(row.name for row in rows)
