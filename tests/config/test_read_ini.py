"""uWSGI's ini."""

from __future__ import annotations

import pytest

from greenwsgi.config import read_ini
from greenwsgi.errors import UsageError

READ: list[tuple[str, str, list[tuple[str, str, int]]]] = [
    ("a plain line", "[uwsgi]\nprocesses = 4\n", [("processes", "4", 2)]),
    ("no spaces, no last newline", "[uwsgi]\nprocesses=4", [("processes", "4", 2)]),
    ("CRLF", "[uwsgi]\r\nprocesses = 4\r\n", [("processes", "4", 2)]),
    ("indentation", "  [uwsgi]\n\t processes =\t4  \n", [("processes", "4", 2)]),
    ("comments are whole lines", "# x\n[uwsgi]\n; y = 1\n  # z\n\nmaster = true", [("master", "true", 6)]),
    ("the rest of a line is value", "[uwsgi]\nharakiri = 60 ; s # t", [("harakiri", "60 ; s # t", 2)]),
    ("quotes are value", "[uwsgi]\nenv = A='b c'", [("env", "A='b c'", 2)]),
    ("the first = counts", "[uwsgi]\nenv = A=b=c", [("env", "A=b=c", 2)]),
    ("a key alone", "[uwsgi]\nmaster\nvacuum =", [("master", "", 2), ("vacuum", "", 3)]),
    ("repeated keys", "[uwsgi]\nenv=A=1\nenv=A=1", [("env", "A=1", 2), ("env", "A=1", 3)]),
    ("names as they are", "[uwsgi]\nMax_Requests = 5", [("Max_Requests", "5", 2)]),
    ("other sections", "a = 1\n[app]\nb = 2\n[uwsgi]\nc = 3\n[end]\nd = 4", [("c", "3", 5)]),
    ("a section in two parts", "[uwsgi]\na = 1\n[x]\nb = 2\n[uwsgi]\nc = 3", [("a", "1", 2), ("c", "3", 6)]),
    ("nonsense elsewhere", "[app]\n= nonsense\nx\n   [1, 2,\n[uwsgi]\na = 1", [("a", "1", 6)]),
    ("an empty section", "[uwsgi]\n", []),
]

REFUSED = [
    ("[uwsgi\nprocesses = 4", "x.ini:1: found '[uwsgi', wanted [section] and nothing after it"),
    ("[uwsgi] ; main\n", "x.ini:1: found '[uwsgi] ; main', wanted [section] and nothing after it"),
    ("[uwsgi]\n\n= 4\n", "x.ini:3: found '= 4', wanted a name before the ="),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_read(text: str, expected: list[tuple[str, str, int]]) -> None:
    warnings: list[str] = []
    found = read_ini.read(text, "x.ini", warn=warnings.append)
    assert [(one.key, one.text, one.origin.line) for one in found] == expected
    assert {one.origin.source for one in found} <= {"x.ini"}
    assert warnings == []


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_refused(text: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_ini.read(text, "x.ini")
    assert str(caught.value) == expected


def test_another_section() -> None:
    found = read_ini.read("[uwsgi]\na = 1\n[prod]\nb = 2\n", "x.ini", "prod")
    assert [(one.key, one.text) for one in found] == [("b", "2")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "x.ini: there is no section [uwsgi]; the file has no section at all"),
        ("a = 1\n", "x.ini: there is no section [uwsgi]; the file has no section at all"),
        ("[app:main]\n[base]\n", "x.ini: there is no section [uwsgi]; the file has [app:main], [base]"),
    ],
)
def test_a_missing_section_is_told(text: str, expected: str) -> None:
    warnings: list[str] = []
    assert read_ini.read(text, "x.ini", warn=warnings.append) == []
    assert warnings == [expected]
