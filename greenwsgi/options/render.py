"""The option table as text: --help, and docs/options.md, which `python -m greenwsgi.options.render` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from enum import Enum

from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.kinds import Argument
from greenwsgi.options.spec import Option, Reload, Status

_WIDTH = 100
_INDENT = 33

_USAGE = """\
usage: greenwsgi [OPTION ...] [FILE.ini | FILE.ini:SECTION | APP.py | PACKAGE.MODULE:NAME]
       greenwsgi SUBCOMMAND [ARGUMENT ...]

  greenwsgi --wsgi-file app.py --processes 4     serves app.py on http://127.0.0.1:8000
  greenwsgi uwsgi.ini                            takes its options from [uwsgi] in that file
"""

_PAGE_HEAD = """\
# Options

<!-- Made from the option table (greenwsgi/options/table): python -m greenwsgi.options.render > docs/options.md -->

Every option can be given on the command line (`--processes 4`, `--processes=4`, `-p 4`) and in a file
(`processes = 4`). On the command line any beginning of a name will do that fits one option only; in a file names are
exact. A flag needs no value, and is true for every value but `false`, `off`, `no` and `0`. Of a number the digits in
front count, as in uWSGI (`60 ; seconds` is 60), with a warning.

The last value wins; where an option may be repeated, values add up. The options of a file count from where it is named.

"""

_STATUSES = {
    Status.WORKS: "it does what it says",
    Status.PARTIAL: "it differs from uWSGI as noted",
    Status.ACCEPTED: "it changes nothing here, for the reason noted",
    Status.LATER: "not yet: a warning, and the server starts",
    Status.REFUSED: "the server does not start with it; the note says what to use",
}
_RELOADS = {
    Reload.LIVE: "a reload changes it in the running workers",
    Reload.WORKERS: "a reload changes it, with its new workers",
    Reload.RESTART: "the server must be restarted to change it",
}


def help_text(subcommands: Mapping[str, str]) -> str:
    """What --help prints: the subcommands, then the main names of the options that do something, by section."""
    parts = [_USAGE]
    if subcommands:
        parts.append("\nSubcommands, as the first argument\n")
        parts += [_entry(f"  {name}", help) for name, help in subcommands.items()]
    for section, title in OPTIONS.titles.items():
        options = [one for one in _own(section) if one.status in (Status.WORKS, Status.PARTIAL)]
        if options:
            parts.append(f"\n{title}\n")
            parts += map(_help_entry, options)
    return "".join(parts)


def _own(section: str) -> list[Option]:
    """The section's options that have a value."""
    return [entry.option for entry in OPTIONS.section(section) if entry.field]


def _foreign(section: str) -> list[Option]:
    """The section's options of uWSGI that have none here."""
    return [entry.option for entry in OPTIONS.foreign if entry.section == section]


def _help_entry(option: Option) -> str:
    left = f"  -{option.short}, " if option.short else "      "
    left += f"--{option.name}{_argument(option)}"
    default = ", ".join(option.kind.texts(option.default)) if option.default is not False else ""
    return _entry(left, option.help + (f" [{default}]" if default else ""))


def _entry(left: str, help: str) -> str:
    lines = textwrap.wrap(help, _WIDTH - _INDENT)
    first = left.ljust(_INDENT) + lines[0]
    return "\n".join([first, *(" " * _INDENT + line for line in lines[1:])]) + "\n"


def _argument(option: Option) -> str:
    if not option.metavar:
        return ""
    optional = option.kind.argument is Argument.OPTIONAL
    return f"[={option.metavar}]" if optional else f" {option.metavar}"


def options_page() -> str:
    """The text of docs/options.md."""
    parts = [_PAGE_HEAD, _legend("Status", _STATUSES.items()), "\n", _legend("Reload", _RELOADS.items())]
    for section, title in OPTIONS.titles.items():
        parts.append(f"\n## {title}\n")
        if own := _own(section):
            parts.append(f"\n| option | kind | default | status | reload | meaning |\n{'|---' * 6}|\n")
            parts += map(_page_row, own)
        if foreign := _foreign(section):
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
