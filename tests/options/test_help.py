"""--help in its three sizes, and what is told of single options."""

from __future__ import annotations

import pytest

from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.help import COMMON, describe, help_all, help_on, help_text, listing, summary
from greenwsgi.options.option_spec import Status

WORKING = (Status.WORKS, Status.PARTIAL)


def shown(text: str) -> set[tuple[str, str]]:
    """Title and name of each option in a help text."""
    titles = set(OPTIONS.titles.values())
    title, found = "", set()
    for line in text.splitlines():
        if line in titles:
            title = line
        elif title and line.lstrip().startswith("-"):
            found.add((title, line.split("--")[1].split()[0].split("[")[0]))
    return found


def titled(*names: str) -> set[tuple[str, str]]:
    entries = [entry for entry in map(OPTIONS.find, names) if entry]
    return {(OPTIONS.titles[entry.section], entry.option.name) for entry in entries}


def test_help_fits_a_terminal() -> None:
    pages = [help_text({}), help_all(), summary(), *map(help_on, OPTIONS.titles)]
    assert max(len(line) for page in pages for line in page.splitlines()) <= 100


def test_help_is_short_and_has_what_is_needed_most() -> None:
    assert shown(help_text({})) == titled(*COMMON)
    assert len(shown(help_text({}))) == len(COMMON)
    assert len(help_text({}).splitlines()) < 75


def test_help_all_has_every_option_that_does_something_under_its_title() -> None:
    assert shown(help_all()) == titled(*(one.option.name for one in OPTIONS.every() if one.option.status in WORKING))


def test_help_on_a_section_names_every_option_of_it() -> None:
    page = help_on("processes")
    missing = [entry.option.name for entry in OPTIONS.section("processes") if entry.option.name not in page]
    assert missing == []
    assert page.startswith("Processes\n")
    assert help_on("clusters").startswith("\nAccepted: it changes nothing here")


def test_help_says_how_an_option_is_written_and_its_default() -> None:
    lines = [line.split("  ") for line in help_text({}).splitlines()]
    found = {parts[1]: parts[-1].strip() for parts in lines if len(parts) > 2 and parts[0] == ""}
    assert found["-p, --processes N"] == "Run this many worker processes; auto: one per usable CPU. [1]"
    assert found["-C, --chmod-socket[=MODE]"] == "The mode of socket files; 666 if no mode is given."


def test_help_begins_with_the_subcommands() -> None:
    lines = help_text({"reload": "Load the application anew."}).splitlines()
    assert "  reload                         Load the application anew." in lines


def test_an_option_is_told_by_any_of_its_names() -> None:
    assert describe("workers") == describe("--processes") == describe("-p") == help_on("p")
    assert describe("p") == (
        "--processes, --workers, -p N\n\n"
        "  Run this many worker processes; auto: one per usable CPU.\n"
        "  Wanted: a whole number from 1 to 10000.\n"
        "  Default: 1.\n"
        "  Status: works: it does what it says.\n"
    )
    assert "Status: refused: the server does not start with it" in describe("emperor")
    assert "some values have another" in " ".join(describe("route").split())


@pytest.mark.parametrize(("written", "near"), [("harakari", "harakiri"), ("--vaccum", "vacuum"), ("xyzzy", "")])
def test_what_is_no_option_has_a_near_miss(written: str, near: str) -> None:
    with pytest.raises(LookupError) as caught:
        describe(written)
    assert caught.value.args == (near,)


def test_the_summary_counts_names() -> None:
    counts = {words[0]: int(words[1]) for words in (line.split() for line in summary().splitlines())}
    assert counts.pop("all") == sum(counts.values()) > 1015
    assert list(counts) == [status.value for status in Status]


def test_a_list_of_options_by_status() -> None:
    lines = listing([Status.REFUSED]).splitlines()
    assert all(line.startswith("refused   ") for line in lines)
    assert len(lines) == len([entry for entry in OPTIONS.every() if entry.option.status is Status.REFUSED])
    assert "refused   emperor: There is no Emperor" in listing(Status)
