"""--help and docs/options.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.render import help_text, options_page
from greenwsgi.options.spec import Status

ROOT = Path(__file__).resolve().parents[2]


def test_help_fits_a_terminal() -> None:
    assert max(len(line) for line in help_text({}).splitlines()) <= 100


def test_help_has_every_option_that_does_something_under_its_title() -> None:
    titles = set(OPTIONS.titles.values())
    title, shown = "", set()
    for line in help_text({}).splitlines():
        if line in titles:
            title = line
        elif title and line.lstrip().startswith("-"):
            shown.add((title, line.split("--")[1].split()[0].split("[")[0]))
    assert shown == {
        (OPTIONS.titles[entry.section], entry.option.name)
        for entry in OPTIONS
        if entry.option.status in (Status.WORKS, Status.PARTIAL)
    }


def test_help_says_how_an_option_is_written_and_its_default() -> None:
    lines = [line.split("  ") for line in help_text({}).splitlines()]
    shown = {parts[1]: parts[-1].strip() for parts in lines if len(parts) > 2 and parts[0] == ""}
    assert shown["-p, --processes N"] == "Run this many worker processes. [1]"
    assert shown["-C, --chmod-socket[=MODE]"] == "The mode of socket files; 666 if no mode is given."


def test_help_begins_with_the_subcommands() -> None:
    lines = help_text({"reload": "Load the application anew."}).splitlines()
    assert "  reload                         Load the application anew." in lines


def test_page_has_every_name() -> None:
    page = options_page()
    assert [name for entry in OPTIONS.every() for name in entry.option.names if f"`{name}`" not in page] == []


def test_page_is_up_to_date() -> None:
    """If not: python -m greenwsgi.options.render > docs/options.md"""
    command = [sys.executable, "-m", "greenwsgi.options.render"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert (ROOT / "docs/options.md").read_text("utf-8") == printed == options_page()
