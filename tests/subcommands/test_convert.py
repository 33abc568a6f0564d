"""A converted configuration means the same, and says what it left out."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, reject

from greenwsgi.cli import main
from greenwsgi.config.load import LoadedConfiguration, ReadConfiguration, load
from greenwsgi.config.settings import Assignment, Settings
from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.option_spec import Status
from greenwsgi.subcommands.convert import WRITERS, lines
from tests.config.test_settings import CONFIGURATIONS

OLD = """[uwsgi]
base = /srv/app
master = true
workers = 4 ; four of them
processes = 2
http-socket = :8080
socket = %(base)/app.sock
env = A=100%%d
env = B="two"
die-on-term = yes
gevent = 500
harakari = 30
wsgi-file = app.py
limit-post = 8m
"""

ORDERED = """[uwsgi]
strict = true
set-ph = folder=/srv
fallback-config = other.ini
print = hello
force-cwd = %(folder)
https-socket = :8443,c,k
harakiri = 5
http-socket = :8080
pp = a
https-socket = :8444,c,k
map-socket = 1:1
env = A=1
unenv = A
env = A=2
env = B=1
unenv = B
pythonpath = b
module = app
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(text: str | bytes) -> Path:
        (tmp_path / "old.ini").write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "old.ini"

    return write


@pytest.fixture
def old(write: Callable[[str], Path]) -> Path:
    return write(OLD)


def converted(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["convert", str(file), *more]) == 0
    return capsys.readouterr().out


def read_again(text: str, to: str = "ini") -> LoadedConfiguration:
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder, f"new.{to}")
        new.write_bytes(text.encode("utf-8", "surrogateescape"))
        return load([str(new)], {})


def test_ini(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = converted(old, capsys)
    lines = text.splitlines()
    assert "processes = 2" in lines
    assert "gevent = 500" in lines  # by the name it was given
    assert "limit-post = 8388608" in lines
    at = lines.index("; master = true")
    assert lines[at - 1].startswith("; It always is so here.")
    assert not any(line.startswith(("workers", "master", "harakari", "base")) for line in lines)
    assert "; no option of that name" in lines
    assert lines.index("; Application") < lines.index("; Processes")
    assert "base" not in text.replace("database", "")  # another line used it, and has its text now


def test_it_means_the_same_and_converting_again_changes_nothing(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = converted(old, capsys)
    new = old.with_name("new.ini")
    new.write_text(text)
    before, after = load([str(old)], {}).settings, load([str(new)], {}).settings
    assert after.listeners == before.listeners
    assert after.processes == replace(before.processes, die_on_term=False)  # which has no effect, and became a comment
    assert (after.limits, after.python) == (before.limits, before.python)
    assert load([str(new)], {}).warnings == ()
    again = converted(new, capsys)
    assert [line for line in text.splitlines() if line[:1] not in (";", "")] == [
        line for line in again.splitlines() if line[:1] not in (";", "")
    ]


def test_toml(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = converted(old, capsys, "--to", "toml")
    read = tomllib.loads(text)["uwsgi"]
    assert read["processes"] == 2
    assert read["http-socket"] == ":8080"
    assert "master" not in read
    assert "harakari" not in read
    assert read_again(text, "toml").settings.python.env == ("A=100%d", 'B="two"')


def test_what_has_an_effect_stays_and_its_order(
    write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(ORDERED)
    text = converted(file, capsys)
    before, after = load([str(file)], {}), read_again(text)
    assert [one.text for one in after.settings.listeners] == [":8443", ":8080", ":8444"]
    assert after.settings.listeners == before.settings.listeners
    assert after.settings.environment == before.settings.environment == {"A": "2", "B": None}
    assert after.settings.python.pythonpath == ("a", "b")
    assert after.settings.config.strict
    assert after.fallback == before.fallback == "other.ini"
    assert "\n; print = hello\n" in text
    assert "\n; force-cwd = /srv\n" in text
    assert text.count("; Not yet.") == 1
    assert after.warnings == ()


def test_toml_has_no_order_of_sockets(write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(write(ORDERED)), "--to", "toml"]) == 2
    assert "old.ini:11: https-socket: TOML has each name once" in capsys.readouterr().err


def test_what_no_line_of_ini_can_say(
    write: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line comes out of a text that nobody wrote as one."""
    (tmp_path / "cert.pem").write_text("BEGIN\nprocesses = 7\nEND\n")
    file = write(f"[uwsgi]\nenv = CERT=@({tmp_path}/cert.pem)\nmodule = app\n")
    assert main(["convert", str(file)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "old.ini:2: env: no line of ini can say 'CERT=BEGIN\\nprocesses = 7\\nEND'; --to toml can" in said.err
    after = read_again(converted(file, capsys, "--to", "toml"), "toml").settings
    assert after.environment == {"CERT": "BEGIN\nprocesses = 7\nEND"}
    assert after.processes.processes == 1


def test_what_is_lost_anyway_is_one_line(
    write: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("a\nprocesses = 7")
    text = converted(write(f"[uwsgi]\nprint = @({tmp_path}/text)\nnone = @({tmp_path}/text)\n"), capsys)
    assert "; 'print' = 'a\\nprocesses = 7' (no line of ini can say this)" in text
    assert read_again(text).settings.processes.processes == 1


def test_blanks_around_a_text_can_be_said_by_nobody(
    monkeypatch: pytest.MonkeyPatch, write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BLANK", "x ")
    file = write("[uwsgi]\nenv = A=$(BLANK)\nmodule = app\n")
    for to, said in (("ini", "env: no line of ini can say 'A=x '\n"), ("toml", "env: TOML cannot say 'A=x '\n")):
        assert main(["convert", str(file), "--to", to]) == 2
        assert capsys.readouterr().err.endswith(said)


def test_a_byte_that_is_no_utf_8(write: Callable[[bytes], Path], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = write(b"[uwsgi]\nchdir = /srv/caf\xe9\n; a comment\nnobody = \xe9\n")
    assert main(["convert", str(file)]) == 0
    text = capfdbinary.readouterr().out
    assert b"\nchdir = /srv/caf\xe9\n" in text
    assert b"\n; nobody = \xe9\n" in text
    assert main(["convert", str(file), "--to", "toml"]) == 2
    assert b"old.ini:2: chdir: TOML cannot say '/srv/caf\\udce9'" in capfdbinary.readouterr().err


def test_a_terminal_gets_nothing_that_it_would_obey(
    write: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(b"[uwsgi]\nchdir = /srv/\x07\xe9\n")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "\nchdir = /srv/\\x07\\udce9\n" in converted(file, capsys)


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.ini").write_text("[uwsgi]\nprocesses = many\n")
    assert main(["convert", str(tmp_path / "x.ini")]) == 2
    assert "x.ini:2: processes: found 'many'" in capsys.readouterr().err


def with_effect(settings: Settings) -> dict[str, object]:
    """The values of all options that do something; of variables what becomes of them."""
    found = {
        entry.option.name: getattr(getattr(settings, entry.section), entry.field)
        for entry in OPTIONS
        if entry.option.status not in (Status.ACCEPTED, Status.LATER)
    }
    return found | {"env": settings.environment, "unenv": (), "listeners": settings.listeners}


@pytest.mark.parametrize("to", WRITERS)
@given(written=CONFIGURATIONS)
def test_whatever_is_written_means_the_same(to: str, written: list[tuple[str, str]]) -> None:
    assignments = tuple(Assignment(key, text, Origin("x")) for key, text in written if key != "allow-remote-config")
    reading = ReadConfiguration(assignments, (), frozenset(), frozenset(), {})
    try:
        text = "\n".join(WRITERS[to](lines(reading)))
    except UsageError:  # TOML cannot keep the order of these sockets
        reject()
    before, after = reading.build(lambda _: None), read_again(text, to).settings
    assert with_effect(after) == with_effect(before)
