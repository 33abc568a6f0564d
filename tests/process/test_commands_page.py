"""docs/operating.md has every command and every exit status."""

from __future__ import annotations

import re

from greenwsgi.errors import (
    EXIT_APP_FAILED,
    EXIT_HARAKIRI,
    EXIT_ORPHAN,
    INTERRUPTED_STATUS,
    PIPE_STATUS,
    USAGE_STATUS,
    BootError,
)
from greenwsgi.process.control.commands_page import table
from tests.live.server import ROOT

PAGE = ROOT / "docs/operating.md"


def test_the_table_is_up_to_date() -> None:
    """If not: python -m greenwsgi.process.control.commands_page, in the place of the old table"""
    assert f"\n\n{table()}\n" in PAGE.read_text("utf-8")


def test_every_exit_status_is_told() -> None:
    told = PAGE.read_text("utf-8").partition("## Exit statuses\n")[2].partition("\n## ")[0]
    rows = {int(status) for status in re.findall(r"^\| (\d+) \|", told, re.MULTILINE)}
    assert rows == {0, BootError("").exit_code, USAGE_STATUS, EXIT_APP_FAILED, INTERRUPTED_STATUS, PIPE_STATUS}
    assert f"{EXIT_HARAKIRI} harakiri" in told
    assert f"{EXIT_ORPHAN} it" in told
