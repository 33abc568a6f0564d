"""Plugins of other distributions, in real servers: a pipeline row, a log sink and a subcommand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.ps import wait_until
from tests.live.server import ROOT, Server

PLUGINS = ROOT / "tests/plugins"


def path_with(name: str) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(PLUGINS / name)])}


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "greenwsgi", *arguments]
    return subprocess.run(command, env={**os.environ, **path_with(name)}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)])
def test_a_pipeline_row_answers_before_the_application(tmp_path: Path, lazy: tuple[str, ...]) -> None:
    file = tmp_path / "maintenance"
    with Server(*lazy, env={**path_with("example"), "MAINTENANCE_FILE": str(file)}) as server:
        assert server.get("/").status == 200
        file.touch()
        answer = server.get("/")
        assert (answer.status, answer.body) == (503, b"back in a minute\n")
        file.unlink()
        assert server.get("/").status == 200


def test_a_log_sink_gets_a_record_of_each_request(tmp_path: Path) -> None:
    file = tmp_path / "counts"
    with Server("--disable-logging", env={**path_with("example"), "COUNTS_FILE": str(file)}) as server:
        for _ in range(3):
            assert server.get("/").status == 200
        wait_until(lambda: file.exists() and file.read_text() == '{"ok": 3}', "three records")


def test_a_row_that_cannot_be_loaded_fails_the_start() -> None:
    done = run("broken", "--http-socket", "127.0.0.1:0", "--module", "wsgiref.simple_server:demo_app")
    assert done.returncode == 2
    assert "plugin 'missing' (greenwsgi.pipeline) of the distribution greenwsgi-broken cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_subcommand() -> None:
    done = run("example", "greet", "reader")
    assert (done.returncode, done.stdout) == (0, "Hello, reader\n")


def test_a_subcommand_of_the_wrong_type_is_one_line() -> None:
    done = run("broken", "not-a-function")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "of the distribution greenwsgi-broken is a int, wanted a function" in done.stderr
