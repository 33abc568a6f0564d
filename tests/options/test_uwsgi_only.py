"""Every option name of uWSGI 2.0.31 is known, takes a value as it does there, and says what becomes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from greenwsgi.config.settings import Assignment, build
from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.option_spec import Option, Status
from greenwsgi.options.uwsgi_only import FOREIGN
from greenwsgi.options.uwsgi_only.row_format import later
from greenwsgi.options.value_kinds import Argument

LINES = (Path(__file__).parent / "uwsgi-option-names.txt").read_text("ascii").splitlines()
THEIRS = {re.split(r"[=[]", line)[0]: re.sub("^[^=[]+", "", line) for line in LINES if line[0] != "#"}
HERE = Origin("uwsgi.ini", 7)


def given(key: str, text: str = "") -> list[str]:
    """The warnings that a server with this one option starts with."""
    warnings: list[str] = []
    build([Assignment(key, text, HERE)], warnings.append)
    return warnings


def found(name: str) -> Option:
    entry = OPTIONS.find(name)
    assert entry, name
    return entry.option


def test_there_are_1015_names() -> None:
    assert len(THEIRS) == 1015


def test_every_name_is_known() -> None:
    assert [name for name in THEIRS if OPTIONS.find(name) is None] == []


def argument(option: Option) -> str:
    if not option.metavar:
        return ""
    return "[=]" if option.kind.argument is Argument.OPTIONAL else "="


def test_a_value_is_taken_as_there() -> None:
    ours = {name: argument(one.option) for one in OPTIONS.foreign for name in one.option.names if name in THEIRS}
    assert ours == {name: THEIRS[name] for name in ours}


@pytest.mark.parametrize("section", OPTIONS.titles)
def test_what_becomes_of_it(section: str) -> None:
    """Works, accepted: not a word. Later: one warning, and the server starts. Refused: one line, and it does not."""
    for entry in OPTIONS.foreign:
        if entry.section == section:
            option = entry.option
            text = "" if argument(option) == "" else "a-value"
            verdict = option.verdict(text)
            assert verdict.status in (Status.WORKS, Status.ACCEPTED, Status.LATER, Status.REFUSED)
            if verdict.status is Status.REFUSED:
                with pytest.raises(
                    UsageError, match=re.escape(f"uwsgi.ini:7: {option.name} is refused: {verdict.note}")
                ):
                    given(option.name, text)
            else:
                warned = [f"uwsgi.ini:7: {option.name} has no effect: {verdict.note}"]
                assert given(option.name, text) == (warned if verdict.status is Status.LATER else [])


@pytest.mark.parametrize("name", ["vhost", "memory-report", "emperor-tyrant", "enable-metrics"])
def test_a_flag_that_is_off_asks_for_nothing(name: str) -> None:
    assert given(name, "false") == []


@pytest.mark.parametrize(
    ("name", "text", "status"),
    [
        ("plugins", "python3", Status.ACCEPTED),
        ("plugins", "python3, http", Status.ACCEPTED),
        ("plugin", "/usr/lib/uwsgi/python311_plugin.so", Status.ACCEPTED),
        ("plugins", "router_basicauth", Status.ACCEPTED),
        ("plugins", "cgi", Status.ACCEPTED),
        ("plugins", "9:cgi", Status.ACCEPTED),
        ("plugins", "cgi,php", Status.REFUSED),
        ("plugins", "sentry", Status.LATER),
        ("plugins", "php", Status.REFUSED),
        ("plugins", "0:python3,14:php", Status.REFUSED),
        ("plugins", "", Status.ACCEPTED),
        ("route", "^/health donotlog:", Status.LATER),
        ("route", "^/ basicauth:Inside,user:password", Status.REFUSED),
        ("route", "^/ws uwsgi:/run/ws.sock,0,0", Status.REFUSED),
        ("route", "^/$", Status.REFUSED),
        ("route-if", "equal:${REMOTE_ADDR};10.0.0.1 donotlog:", Status.LATER),
        ("route-if-not", "ipv4in:${REMOTE_ADDR};10.0.0.0/8 return:403", Status.REFUSED),
        ("route-run", "addheader:X-A: b", Status.LATER),
        ("route-run", "basicauth:Inside,user:password", Status.REFUSED),
        ("final-route-uri", "^/ log:hello", Status.LATER),
        ("http-socket-modifier1", "0", Status.ACCEPTED),
        ("http-socket-modifier1", "9", Status.ACCEPTED),
        ("http-socket-modifier1", "5", Status.REFUSED),
        ("loop", "gevent", Status.ACCEPTED),
        ("loop", "asyncio", Status.REFUSED),
        ("chroot", "/srv", Status.REFUSED),
        ("emperor", "/etc/uwsgi", Status.REFUSED),
        ("static-map", "/static=/srv", Status.LATER),
    ],
)
def test_a_value_is_judged(name: str, text: str, status: Status) -> None:
    assert found(name).verdict(text).status is status


@pytest.mark.parametrize(
    ("written", "meant"),
    [("static-mpa", "static-map"), ("chaeper", "cheaper"), ("emperror", "emperor"), ("thunderlock", "thunder-lock")],
)
def test_near_misses_reach_every_name(written: str, meant: str) -> None:
    assert OPTIONS.near(written) == meant


def test_a_row_that_is_none_is_found_at_once() -> None:
    with pytest.raises(ValueError, match="what is this row"):
        list(later("", "a row without a meaning"))


def test_no_row_is_left_of_an_option_that_has_a_value() -> None:
    """If one is: take its name out of greenwsgi/options/foreign/."""
    written = [name for options in FOREIGN.values() for option in options for name in option.names]
    assert [name for name in written if OPTIONS.find(name) in list(OPTIONS)] == []


def test_a_repeated_option_is_told_of_once() -> None:
    warnings: list[str] = []
    written = [("static-map", "/a=/b"), ("static-map", "/c=/d"), ("route", "^/ donotlog:"), ("route", "^/ log:x")]
    build([Assignment(key, text, Origin("x.ini", n)) for n, (key, text) in enumerate(written, 1)], warnings.append)
    assert [said.split(":")[1] for said in warnings] == ["1", "3", "4"]


COMMANDS = {"curl", "ctypes", "gevent", "greenwsgi", "gzip", "ini", "logging", "logrotate", "os", "py", "systemd"}


def test_a_note_does_not_write_a_name_with_a_capital() -> None:
    """`Keepalive-timeout` is no option, and `Greenwsgi` no command."""
    for option in (entry.option for entry in OPTIONS.foreign):
        note = option.note.removeprefix(option.reason.value if option.reason else "").strip()
        plain = note[:1].lower() + re.split(r"[^\w.-]", note[1:])[0].rstrip(".")
        found = OPTIONS.find(plain)
        assert not (found and found.field), f"{option.name}: {note}"
        assert re.split(r"\W", plain)[0] not in COMMANDS, f"{option.name}: {note}"
        assert not note.startswith("Python -"), option.name
