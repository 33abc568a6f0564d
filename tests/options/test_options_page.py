"""docs/options.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.options_page import options_page

ROOT = Path(__file__).resolve().parents[2]


def test_page_has_every_name() -> None:
    page = options_page()
    assert [name for entry in OPTIONS.every() for name in entry.option.names if f"`{name}`" not in page] == []


def test_page_is_up_to_date() -> None:
    """If not: python -m greenwsgi.options.options_page > docs/options.md"""
    command = [sys.executable, "-m", "greenwsgi.options.options_page"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert (ROOT / "docs/options.md").read_text("utf-8") == printed == options_page()
