"""The option table as docs/options.md; `python -m greenwsgi.options.options_page` prints it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.option_spec import MEANINGS, ChangeNeeds, Option

_PAGE_HEAD = """\
# Options

<!-- Made from the option table (options/table): python -m greenwsgi.options.options_page > docs/options.md -->

Every option can be given on the command line (`--processes 4`, `--processes=4`, `-p 4`) and in a file
(`processes = 4`). On the command line any beginning of a name will do that fits one option only; in a file names are
exact. A flag needs no value, and is true for every value but `false`, `off`, `no` and `0`. Of a number the digits in
front count, as in uWSGI (`60 ; seconds` is 60), with a warning.

The last value wins; where an option may be repeated, values add up. The options of a file count from where it is named.

"""

_RELOADS = {
    ChangeNeeds.LIVE: "a reload changes it in the running workers",
    ChangeNeeds.WORKERS: "a reload changes it, with its new workers",
    ChangeNeeds.RESTART: "the server must be restarted to change it",
}


def options_page() -> str:
    """The text of docs/options.md."""
    parts = [_PAGE_HEAD, _legend("Status", MEANINGS.items()), "\n", _legend("Reload", _RELOADS.items())]
    for section, title in OPTIONS.titles.items():
        parts.append(f"\n## {title}\n")
        if own := [entry.option for entry in OPTIONS if entry.section == section]:
            parts.append(f"\n| option | kind | default | status | reload | meaning |\n{'|---' * 6}|\n")
            parts += map(_page_row, own)
        if foreign := [entry.option for entry in OPTIONS.foreign if entry.section == section]:
            parts.append(f"\n| of uWSGI | what it is for there | status | here |\n{'|---' * 4}|\n")
            parts += map(_foreign_row, foreign)
    return "".join(parts)


def _legend(what: str, meanings: Iterable[tuple[Enum, str]]) -> str:
    return f"{what}:\n\n" + "".join(f"- *{member.value}*: {text}\n" for member, text in meanings)


def _page_row(option: Option) -> str:
    default = [f"`{text}`" for text in option.kind.texts(option.default)]
    kind = option.kind.wanted if option.kind.name == "choice" else option.kind.name
    meaning = f"{option.help} {option.note}".strip()
    return _row(_names(option), kind, ", ".join(default), option.status.value, option.reload.value, meaning)


def _foreign_row(option: Option) -> str:
    status = option.status.value + (", by its value" if option.judge else "")
    return _row(_names(option), option.help, status, option.note)


def _names(option: Option) -> str:
    return ", ".join([*(f"`{name}`" for name in option.names), *(f"`-{letter}`" for letter in option.short)])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    print(options_page(), end="")
