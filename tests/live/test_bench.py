"""`make bench` runs; what it measures is not judged here."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.live.server import ROOT


def test_every_scenario_gives_a_row_without_failures() -> None:
    command = [sys.executable, "-m", "tests.bench", "--seconds", "0.2", "--rounds", "1", "--polls", "50"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for scenario in ("http", "http-close", "uwsgi"):
        assert re.search(rf"^{scenario} +\d+\.\d +\d+\.\d +\d+\.\d\d +0$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^longpoll +50 held .* 50 woken", done.stdout, re.MULTILINE), done.stdout


def test_an_unknown_scenario_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "htp"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no such scenario: htp" in done.stderr
