"""docs/operating.md has every command."""

from __future__ import annotations

from pathlib import Path

from greenwsgi.process.operating import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operating.md"


def test_the_table_is_up_to_date() -> None:
    """If not: python -m greenwsgi.process.operating, in the place of the old table"""
    assert f"\n\n{table()}\n" in PAGE.read_text("utf-8")
