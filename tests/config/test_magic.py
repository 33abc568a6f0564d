"""%x, $(NAME) and %(name)."""

from __future__ import annotations

import pytest

from greenwsgi.config import magic
from greenwsgi.config.settings import Assignment
from greenwsgi.errors import Origin

MACHINE = magic.Machine(
    version="1.2",
    folder="/start",
    hostname="box",
    cpus=8,
    uid=33,
    user="www",
    gid=34,
    group="web",
    seconds=1700000000,
)
PLACE = magic.Place("/srv/app/cfg/a.ini", "cfg/a.ini", "prod", MACHINE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%p", "/srv/app/cfg/a.ini"),
        ("%o", "cfg/a.ini"),
        ("%s %n %e", "a.ini a ini"),
        ("%d", "/srv/app/cfg/"),
        ("%c", "cfg"),
        ("%x", "prod"),
        ("%0-%1-%2-%3-", "srv-app-cfg--"),
        ("%v %V %h %k %u %U %g %G %t", "/start 1.2 box 8 33 www 34 web 1700000000"),
        ("100%%", "100%"),
        ("%%p", "%p"),
        ("%(name) %(p)", "%(name) %(p)"),
        ("50%", "50%"),
        ("%k*2", "8*2"),
    ],
)
def test_percent(text: str, expected: str) -> None:
    assert magic.percent(text, PLACE) == (expected, [])


def test_unknown_percent_vanishes_and_is_told() -> None:
    assert magic.percent("100% x", PLACE) == ("100x", ["% "])


def test_the_root_folder_has_one_slash() -> None:
    assert magic.percent("%d", magic.Place("/a.ini", "a.ini", "", MACHINE)) == ("/", [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(HOME)/x", ("/home/me/x", [])),
        ("$(HOME)$(HOME)", ("/home/me/home/me", [])),
        ("$(NOT_SET)", ("$(NOT_SET)", ["NOT_SET"])),
        ("$HOME ${HOME} $()", ("$HOME ${HOME} $()", [])),
        ("$(LOOP)", ("$(LOOP)", [])),
    ],
)
def test_environment(text: str, expected: tuple[str, list[str]]) -> None:
    assert magic.environment(text, {"HOME": "/home/me", "LOOP": "$(LOOP)"}) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("base=/srv chdir=%(base)/app", "/srv /srv/app"),
        ("chdir=%(base)/app base=/srv", "/srv/app /srv"),
        ("a=1 b=%(a)2 c=%(b)3", "1 12 123"),
        ("a=1 a=2 b=%(a)", "1 2 1"),
        ("b=%(unknown)", "%(unknown)"),
        ("a=%(a)", "%(a)"),
        ("a=%(b) b=%(a)", "%(a) %(a)"),
        ("a=1 b=%()%(a)%", "1 %()1%"),
    ],
)
def test_placeholders(written: str, expected: str) -> None:
    pairs = [pair.split("=", 1) for pair in written.split()]
    assignments = [Assignment(key, text, Origin("x.ini", line)) for line, (key, text) in enumerate(pairs, 1)]
    found = magic.placeholders(assignments)
    assert [one.text for one in found] == expected.split()
    assert [(one.key, one.origin) for one in found] == [(one.key, one.origin) for one in assignments]


def test_every_variable_has_a_meaning_in_words() -> None:
    assert all(len(letter) == 1 and variable.help for letter, variable in magic.MAGIC.items())
