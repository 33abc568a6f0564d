"""From assignments to Settings, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.config import command_line, read_ini
from greenwsgi.config.settings import Assignment, Settings, build, decode, encode, read
from greenwsgi.config.show_config import show
from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.catalog import OPTIONS, Entry
from greenwsgi.options.option_spec import Option, Status
from greenwsgi.options.table.sockets import PROTOCOL_NAMES
from greenwsgi.options.value_types import Address


def written(text: str) -> list[Assignment]:
    return read_ini.read(f"[uwsgi]\n{text}", "x.ini")


def settings(text: str) -> Settings:
    return build(written(text))


def warnings(text: str) -> list[str]:
    found: list[str] = []
    build(written(text), found.append)
    return found


def test_nothing_written_gives_the_defaults() -> None:
    assert build([]) == Settings()
    assert [(one.protocol, one.text, str(one.origin)) for one in build([]).listeners] == [
        ("http", "127.0.0.1:8000", "default")
    ]


def test_values_reach_their_sections() -> None:
    found = settings("processes = 4\ngevent = 500\nchmod-socket = 660\nharakiri = 2.5\nfile = app.py\nmaster = off")
    assert found.processes.processes == 4
    assert found.processes.async_ == 500
    assert found.processes.master is False
    assert found.listening.chmod_socket == 0o660
    assert found.limits.harakiri == 2.5
    assert found.python.wsgi_file == "app.py"


def test_the_last_value_wins_whatever_its_alias() -> None:
    assert settings("processes = 4\nworkers = 2").processes.processes == 2


def test_repeatable_values_add_up() -> None:
    assert settings("pythonpath = b\npp = a\npythonpath = b").python.pythonpath == ("b", "a", "b")


def test_listeners_keep_the_order_of_writing_and_their_protocols() -> None:
    found = settings("socket = :1\nhttp = :2\nuwsgi-socket = :3\nsocket = :4\nhttp-socket = :5\nprotocol = http")
    assert [(one.protocol, one.text, one.origin.line) for one in found.listeners] == [
        ("http", ":1", 2),
        ("http", ":2", 3),
        ("uwsgi", ":3", 4),
        ("http", ":4", 5),
        ("http", ":5", 6),
    ]


def test_socket_speaks_uwsgi_if_nothing_else_is_said() -> None:
    assert settings("socket = :1").listeners == (Address("uwsgi", ":1"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("master = true\nprocesses = many", "x.ini:3: processes: found 'many', wanted a whole number from 1 to 10000"),
        ("workers = 0", "x.ini:2: workers: found '0', wanted a whole number from 1 to 10000"),
        ("processes =", "x.ini:2: processes: found nothing, wanted a whole number from 1 to 10000"),
        ("protocol = gopher", "x.ini:2: protocol: found 'gopher', wanted one of " + ", ".join(PROTOCOL_NAMES)),
        ("env = A", "x.ini:2: env: found 'A', wanted NAME=VALUE"),
        ("strict = true\nprocesess = 4", "x.ini:3: unknown option 'procesess', did you mean processes?"),
        ("xyzzy = 4\nstrict", "x.ini:2: unknown option 'xyzzy'"),
    ],
)
def test_refused(text: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(text)
    assert str(caught.value) == expected


def test_a_long_text_is_cut_in_the_error() -> None:
    with pytest.raises(UsageError) as caught:
        settings("processes = " + "x" * 1_000_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log-slow = True", ["x.ini:2: log-slow: 'True' is taken as 0"]),
        ("cheaper = true", ["x.ini:2: cheaper: 'true' is taken as 0"]),
        ("harakiri = 60 ; s", ["x.ini:2: harakiri: '60 ; s' is taken as 60"]),
        ("master = false # no", ["x.ini:2: master: 'false # no' is taken as true"]),
        ("pythonpath =", ["x.ini:2: pythonpath: '' is taken as nothing"]),
        ("vaccum = 1", ["x.ini:2: unknown option 'vaccum', did you mean vacuum? (kept as a placeholder)"]),
        ("a = 1\na = 2", ["x.ini:2: unknown option 'a' (kept as a placeholder)"]),
        ("master = true\nthreads = 4\nneed-app\ndie-on-term = 1", []),
    ],
)
def test_warnings(text: str, expected: list[str]) -> None:
    assert warnings(text) == expected


def with_status(status: Status) -> Option:
    entry = OPTIONS.find("threads")
    assert entry
    return replace(entry.option, status=status, note="use async")


def test_a_refused_option_says_what_to_use() -> None:
    with pytest.raises(UsageError, match=r"^x\.ini:2: threads is refused: use async$"):
        read(with_status(Status.REFUSED), Assignment("threads", "4", Origin("x.ini", 2)))


def test_a_later_option_is_read_with_a_warning() -> None:
    found: list[str] = []
    assert read(with_status(Status.LATER), Assignment("threads", "4", Origin("x.ini", 2)), found.append) == 4
    assert found == ["x.ini:2: threads has no effect: use async"]


def test_show_has_each_value_below_its_origin() -> None:
    lines = show(settings("processes = 2\nenv = A=1\nname = x\nprocesses = 4 ; four")).splitlines()
    assert lines[:8] == [
        "[uwsgi]",
        "; x.ini:3",
        "env = A=1",
        "; x.ini:4",
        "name = x",
        "; x.ini:5",
        "processes = 4",
        "; default",
    ]
    assert "async = 1000" in lines[8:]
    assert sum(line.startswith("processes =") for line in lines) == 1


# Whatever is written, and wherever

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=20)
TEXTS: dict[str, st.SearchStrategy[str]] = {
    "flag": st.sampled_from(["", "true", "false", "on", "OFF", "1", "0", "yes", "No", "false # x"]),
    "mode": st.sampled_from(["", "660", "0777", "666 ; x"]),
    "choices": st.lists(st.sampled_from(["for", "proto", "host"]), min_size=1).map(",".join),
    "networks": st.sampled_from(["unix", "*", "127.0.0.1", "::1 10.0.0.0/8", "10.1.2.3/8,fe80::/10"]),
    "variables": st.builds("{}={}".format, WORDS.filter(lambda text: "=" not in text), WORDS),
    "headers": st.sampled_from(["X-A: b", "X-A:", "X-A: b: c"]),
    "mounts": st.sampled_from(["=app.py", "/=a.b:c", "/x/y=/srv/app.wsgi"]),
    "allowances": st.sampled_from(["^/report 120", "/a b/ 1.5", "x 0"]),
    "text": WORDS,
    "path": WORDS,
    "actions": st.sampled_from(["exec:true", "print:a = b", "write:/tmp/x y"]),
    "commands": st.sampled_from(["true", "echo a = b"]),
    "paths": WORDS,
    "names": WORDS,
    "addresses": WORDS.filter(lambda text: not text.startswith("=")),  # =0 is not text of its own
    "TLS addresses": st.sampled_from([":1,c,k", "[::1]:2,c,k,HIGH", "/run/x,c,k,,!ca", "x,c,k,HIGH:!A,ca"]),
    "redirects": st.sampled_from([":80", "0.0.0.0:8080,8443"]),
    "certificates": st.sampled_from(["a.example c,k", "*.Example c,k,HIGH", "b c,k,,ca"]),
    "places": WORDS,
    "helpers": st.sampled_from([".py=python3", "pl=perl -T", ".sh=/bin/sh -e"]),
    "mask": st.sampled_from(["022", "0", "77 ; x"]),
    "owner": st.sampled_from(["www", "www:www", ":33", "0"]),
    "worker map": st.sampled_from(["0:1", "1:2,3", "2: 1, 2"]),
}


def texts(entry: Entry) -> st.SearchStrategy[str]:
    option = entry.option
    if option.kind.name == "choice":
        return st.sampled_from(option.kind.metavar.split("|"))
    if not option.kind.measured:
        return TEXTS[option.kind.name]
    least = int(option.least) + 1
    return st.builds("{}{}".format, st.integers(least, int(option.most)), st.sampled_from(["", " ; x", "#"]))


PAIRS = st.sampled_from(list(OPTIONS)).flatmap(
    lambda entry: st.tuples(st.sampled_from(entry.option.names), texts(entry))
)
CONFIGURATIONS = st.lists(PAIRS, max_size=12)


def by_ini(pairs: list[tuple[str, str]]) -> Settings:
    lines = [f"{key} = {text}" if text else key for key, text in pairs]
    return settings("\n".join(lines))


@given(CONFIGURATIONS)
def test_the_command_line_and_ini_agree(pairs: list[tuple[str, str]]) -> None:
    words = [f"--{key}={text}" if text else f"--{key}" for key, text in pairs]
    assert build(command_line.read(words)) == by_ini(pairs)


@given(CONFIGURATIONS)
def test_settings_travel_as_json(pairs: list[tuple[str, str]]) -> None:
    here = by_ini(pairs)
    there = decode(json.loads(json.dumps(encode(here))))
    assert there == here
    assert there.assignments == here.assignments
    assert [one.origin for one in there.listeners] == [one.origin for one in here.listeners]


def serving(settings: Settings) -> Settings:
    """The same, but it serves instead of showing itself."""
    return replace(settings, config=replace(settings.config, show_config=False, get=()))


@given(CONFIGURATIONS)
def test_what_is_shown_means_the_same(pairs: list[tuple[str, str]]) -> None:
    here = by_ini(pairs)
    assert build(read_ini.read(show(here), "shown.ini")) == serving(here)


@given(st.lists(st.tuples(st.sampled_from([entry.option.name for entry in OPTIONS]), st.text()), max_size=8))
def test_any_text_gives_settings_or_one_line(pairs: list[tuple[str, Any]]) -> None:
    error = ""
    try:
        build(Assignment(key, text, Origin("x.ini", 1)) for key, text in pairs)
    except UsageError as caught:
        error = str(caught)
    assert error.isprintable()
