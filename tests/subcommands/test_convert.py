"""A converted configuration means the same, and says what it left out."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from greenwsgi.cli import main
from greenwsgi.config.load import load

OLD = """[uwsgi]
base = /srv/app
master = true
workers = 4 ; four of them
processes = 2
http-socket = :8080
socket = %(base)/app.sock
env = A=100%%
env = B="two"
die-on-term = yes
gevent = 500
harakari = 30
wsgi-file = app.py
limit-post = 8m
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "old.ini").write_text(OLD)
    return tmp_path / "old.ini"


def converted(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["convert", str(file), *more]) == 0
    return capsys.readouterr().out


def test_ini(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = converted(old, capsys)
    lines = text.splitlines()
    assert "processes = 2" in lines
    assert "async = 500" in lines  # by its main name
    assert "limit-post = 8388608" in lines
    at = lines.index("; master = true")
    assert lines[at - 1].startswith("; It always is so here.")
    assert not any(line.startswith(("workers", "master", "harakari", "base")) for line in lines)
    assert "; no option of that name" in lines
    assert lines.index("; Application") < lines.index("; Processes")


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
    read = tomllib.loads(converted(old, capsys, "--to", "toml"))["uwsgi"]
    assert read["processes"] == 2
    assert read["env"] == ["A=100%", 'B="two"']
    assert read["http-socket"] == ":8080"
    assert "master" not in read
    assert "harakari" not in read


def test_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.ini").write_text("[uwsgi]\nprocesses = many\n")
    assert main(["convert", str(tmp_path / "x.ini")]) == 2
    assert "x.ini:2: processes: found 'many'" in capsys.readouterr().err
