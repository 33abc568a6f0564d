"""docs/migrating-from-uwsgi.md shows configurations and says what becomes of them: is that so?

The configurations are files of tests/config/families; tests/live/test_families.py starts them.
"""

from __future__ import annotations

import os
import re

import pytest

from greenwsgi.subcommands.configuration_report import ConfigurationReport, report
from tests.live.server import ROOT

FAMILIES = ROOT / "tests/config/families"
PAGE = (ROOT / "docs/migrating-from-uwsgi.md").read_text("utf-8")
BLOCKS = re.findall(r"```ini\n(; .*?)```\n(.*?)(?=```ini|\Z)", PAGE, re.DOTALL)
SHOWN = {text.split()[1]: (text, after) for text, after in BLOCKS}
"""By the name in its first line: each configuration, and what the page says up to the next one."""

OF_SEARXNG = {"BIND_ADDRESS": ":8080", "UWSGI_WORKERS": "4", "UWSGI_THREADS": "4"}
"""What its container sets."""


def judged(name: str) -> ConfigurationReport:
    environ = {key: value for key, value in os.environ.items() if "WSGI" not in key}
    return report([str(FAMILIES / name)], environ | (OF_SEARXNG if name == "searxng.ini" else {}))


def test_each_is_shown_whole() -> None:
    assert {name: text for name, (text, _) in SHOWN.items()} == {
        path.name: path.read_text("utf-8") for path in FAMILIES.iterdir()
    }
    assert PAGE.count("```ini") == len(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_the_verdict_is_the_one_shown(name: str) -> None:
    """If an option works now that did not: say so on the page."""
    after = SHOWN[name][1]
    assert re.findall(r"^Verdict: it (.*)\.$", after, re.MULTILINE) == [judged(name).verdict]


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_lost_is_told(name: str) -> None:
    """The table `not yet` below a configuration has each option that does nothing yet and each name that is none."""
    lost = {one.option for one in judged(name).items if one.status in ("later", "unknown")}
    table = re.search(r"\| not yet \| meanwhile \|\n\|---\|---\|\n((?:\|.*\n)+)", SHOWN[name][1])
    rows = [line.split("|")[1] for line in table[1].splitlines()] if table else []
    assert set(re.findall(r"`([\w-]+)`", " ".join(rows))) == lost


def test_what_is_missed_most_is_missed() -> None:
    """The last table of the page names options that do nothing yet, and no others."""
    table = PAGE.rpartition("| | meanwhile |\n|---|---|\n")[2]
    named = {one for row in table.splitlines() for one in re.findall(r"`([\w-]+)`", row.split("|")[1])} - {"uwsgi"}
    stands_for = {"route": "route-run = donotlog:"}
    for name in named:
        line = stands_for.get(name, f"{name} = x")
        key, _, text = line.partition(" = ")
        items = report(["--wsgi-file", "app.py", f"--{key}", text], {}).items
        assert [one.status for one in items if one.option == name or one.option == key] == ["later"], name


def test_without_its_variables_searxng_says_what_it_wants() -> None:
    found = report([str(FAMILIES / "searxng.ini")], {})
    assert re.search(r"searxng\.ini:\d+: \w+: found '\$\(\w+\)', wanted ", found.verdict)
