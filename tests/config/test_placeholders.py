"""%x, $(NAME) and %(name)."""

from __future__ import annotations

import pytest

from greenwsgi.config import placeholders
from tests.live.server import ROOT

MACHINE = placeholders.HostFacts(
    version="1.2",
    folder="/start",
    hostname="box",
    cpus=8,
    uid=33,
    user="www",
    gid=34,
    group="web",
    seconds=1700000000.25,
    binary="/bin/greenwsgi",
)
TOP = placeholders.Place("/etc/top.d/.hidden", "top.d/.hidden", "", MACHINE, "5")
PLACE = placeholders.Place("/srv/app/cfg/a.ini", "cfg/a.ini", "prod", MACHINE, "77", TOP)


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
        ("%i %j %b %T %[", "77 10F2CFCE /bin/greenwsgi 1700000000250000 \033"),
        ("%P %S %N %E %C %D %X %O %I", "/etc/top.d/.hidden .hidden  hidden top.d /etc/top.d/  top.d/.hidden 5"),
        ("100%%", "100%"),
        ("%%p", "%p"),
        ("%(name) %(p)", "%(name) %(p)"),
        ("50%", "50%"),
        ("%k*2", "8*2"),
    ],
)
def test_percent(text: str, expected: str) -> None:
    assert placeholders.percent(text, PLACE) == (expected, [])


def test_unknown_percent_vanishes_and_is_told() -> None:
    assert placeholders.percent("100% x", PLACE) == ("100x", ["% "])


def test_the_root_folder_has_one_slash() -> None:
    assert placeholders.percent("%d", placeholders.Place("/a.ini", "a.ini", "", MACHINE)) == ("/", [])


VARIABLES = {"HOME": "/home/me", "B": "$(A)", "A": "1", "LOOP": "$(LOOP)", "MORE": " $(MORE)", "N": "A"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(HOME)/x", "/home/me/x"),
        ("$(HOME)$(HOME)", "/home/me/home/me"),
        ("$(NOT_SET) $(A)", "$(NOT_SET) 1"),
        ("$HOME ${HOME} $()", "$HOME ${HOME} $()"),
        ("$$(A)", "$1"),
        ("x$(B)", "x1"),
        ("$(B)", "$(A)"),  # what begins the text is not looked at again
        ("$(LOOP)", "$(LOOP)"),
        ("$(X$(A))", "$(X1)"),
        ("x$($(N))", "x1"),
        ("$(A", "$(A"),
        ("$(A$)", "$(A$)"),
        ("$((A))", "$((A))"),
        ("%(A) @(A)", "%(A) @(A)"),
    ],
)
def test_references(text: str, expected: str) -> None:
    assert placeholders.references(text, "$", VARIABLES.get) == expected


def test_the_hash_is_uwsgis() -> None:
    place = placeholders.Place("/tmp/ref/a.ini", "", "", MACHINE)
    assert placeholders.percent("%j", place) == ("F3D96282", [])


@pytest.mark.parametrize("text", ["x$(MORE)", "x$(LOOP)", "$(LONG)" * 2, "$(A)" * 2000])
def test_no_end(text: str) -> None:
    with pytest.raises(placeholders.Endless):
        placeholders.references(text, "$", {**VARIABLES, "LONG": "x" * 70_000}.get)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", "7"),
        ("a b", "73"),
        ("a b + 1", "74"),
        ("a - 10", "-3"),
        ("a / 2", "3"),
        ("a - 20 / 2", "-6"),
        ("a / 0", "0"),
        ("a ++", "8"),
        ("a --", "6"),
        ("zz 3", "3"),
        ("5", None),
        ("zz", None),
        ("-7 / 2", "0"),  # -7 is not a number but a name
        ("a +", "7"),
        ("a  +  b", "10"),
        (" ", None),
        ("2 * 1024 * 1024 * 1024", "2147483648"),
        ("nm + 2", "14"),
        ("9223372036854775807 + 1", "-9223372036854775808"),
        ("99999999999999999999 + 1", "-9223372036854775808"),
    ],
)
def test_compute(name: str, expected: str | None) -> None:
    """All of it as `uwsgi --show-config` has it."""
    assert placeholders.compute(name, {"a": "7", "b": "3", "nm": "12abc"}.get) == expected


def test_the_page_has_every_variable() -> None:
    page = (ROOT / "docs/configuration.md").read_text("utf-8")
    rows = [f"| `%{letter}` | {variable.help} |" for letter, variable in placeholders.MAGIC.items()]
    assert [row for row in rows if row not in page] == []


def test_every_variable_has_a_meaning_in_words() -> None:
    assert all(len(letter) == 1 and variable.help for letter, variable in placeholders.MAGIC.items())
