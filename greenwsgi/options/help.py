"""The option table on a terminal: --help, --help-all, --help SECTION, and what is told of single options."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping

from greenwsgi.options.catalog import OPTIONS, Entry
from greenwsgi.options.option_spec import MEANINGS, Option, Status
from greenwsgi.options.value_kinds import Argument

_WIDTH = 100
_INDENT = 33

_USAGE = """\
usage: greenwsgi [OPTION ...] [FILE.ini | FILE.ini:SECTION | APP.py | PACKAGE.MODULE:NAME]
       greenwsgi SUBCOMMAND [ARGUMENT ...]

  greenwsgi --wsgi-file app.py --processes 4     serves app.py on http://127.0.0.1:8000
  greenwsgi uwsgi.ini                            takes its options from [uwsgi] in that file
"""

_MORE = """
More: greenwsgi --help-all, greenwsgi --help SECTION, greenwsgi --help OPTION; the sections are
"""

COMMON = (
    *("module", "wsgi-file", "callable", "chdir", "virtualenv", "pythonpath", "env"),
    *("http-socket", "uwsgi-socket", "socket", "chmod-socket", "listen"),
    *("processes", "async", "max-requests", "lazy-apps", "uid", "gid", "pidfile"),
    *("trusted-proxy",),
    *("harakiri", "buffer-size", "limit-post"),
    *("logto", "disable-logging"),
    *("ini", "strict", "show-config", "version"),
)
"""What --help shows: the options that most files are made of."""


def help_text(subcommands: Mapping[str, str]) -> str:
    """What --help prints: the subcommands, the options that are needed most, and where the others are told."""
    parts = [_USAGE]
    if subcommands:
        parts.append("\nSubcommands, as the first argument\n")
        parts += [_row(f"  {name}", help) for name, help in subcommands.items()]
    for section in OPTIONS.titles:
        parts += _section(section, [one for one in _working(section) if one.name in COMMON])
    return "".join(parts) + _MORE + _listed(OPTIONS.titles)


def help_all() -> str:
    """What --help-all prints: every option that does something, by section."""
    return _USAGE + "".join(text for section in OPTIONS.titles for text in _section(section, _working(section)))


def help_on(topic: str) -> str:
    """What --help SECTION and --help OPTION print. Raises LookupError, with the near miss or "", when it is neither."""
    name = topic.lstrip("-")
    if name in OPTIONS.titles:
        return "".join(_section(name, _working(name))).lstrip() + _others(name)
    return describe(topic)


def describe(written: str) -> str:
    """All that the table says of one option. Raises LookupError, with the near miss or "", when there is none."""
    name = written.lstrip("-")
    entry = OPTIONS.find(name) or (OPTIONS.find_short(name) if len(name) == 1 else None)
    if entry is None:
        raise LookupError(OPTIONS.near(name))
    option = entry.option
    names = ", ".join([*(f"--{one}" for one in option.names), *(f"-{letter}" for letter in option.short)])
    lines = [names + _argument(option), "", option.help]
    lines += [f"Wanted: {option.wanted}."] if entry.field and option.metavar else []
    if default := ", ".join(option.kind.texts(option.default)):
        lines.append(f"Default: {default}.")
    status = f"Status: {option.status.value}: {MEANINGS[option.status]}."
    lines.append(status[:-1] + "; some values have another." if option.judge else status)
    lines += [option.note] if option.note else []
    wrapped = [textwrap.fill(line, _WIDTH, break_on_hyphens=False, subsequent_indent="  ") for line in lines]
    return "\n".join([wrapped[0], *wrapped[1:2], *(f"  {line}" for line in wrapped[2:])]) + "\n"


def listing(statuses: Iterable[Status]) -> str:
    """One line for each option of these statuses: its status, its names, its note."""
    wanted = set(statuses)
    found = [entry.option for entry in OPTIONS.every() if entry.option.status in wanted]
    return "".join(f"{one.status.value:9} {', '.join(one.names)}{_noted(one)}\n" for one in found)


def summary() -> str:
    """How many names there are of each status."""
    counts = Counter(entry.option.status for entry in OPTIONS.every() for _ in entry.option.names)
    rows = [(status.value, counts[status], MEANINGS[status]) for status in Status]
    rows.append(("all", counts.total(), "names; those of uWSGI 2.0.31 are among them"))
    return "".join(f"{name:9} {count:5}  {meaning}\n" for name, count, meaning in rows)


def working(entry: Entry) -> bool:
    """Does the option do something?"""
    return entry.option.status in (Status.WORKS, Status.PARTIAL)


def _working(section: str) -> list[Option]:
    return [entry.option for entry in OPTIONS.section(section) if working(entry)]


def _section(name: str, options: list[Option]) -> list[str]:
    return [f"\n{OPTIONS.titles[name]}\n", *map(_entry, options)] if options else []


def _others(section: str) -> str:
    """The section's options without effect, told after those with one."""
    parts = []
    for status in (Status.ACCEPTED, Status.LATER, Status.REFUSED):
        names = [entry.option.name for entry in OPTIONS.section(section) if entry.option.status is status]
        if names:
            parts.append(f"\n{status.value.capitalize()}: {MEANINGS[status]}\n{_listed(names)}")
    return "".join(parts)


def _listed(names: Iterable[str]) -> str:
    text = ", ".join(names)
    return textwrap.fill(text, _WIDTH, break_on_hyphens=False, initial_indent="  ", subsequent_indent="  ") + "\n"


def _noted(option: Option) -> str:
    return f": {option.note}" if option.note else ""


def _entry(option: Option) -> str:
    left = f"  -{option.short}, " if option.short else "      "
    left += f"--{option.name}{_argument(option)}"
    default = ", ".join(option.kind.texts(option.default)) if option.default is not False else ""
    return _row(left, option.help + (f" [{default}]" if default else ""))


def _row(left: str, help: str) -> str:
    lines = textwrap.wrap(help, _WIDTH - _INDENT)
    margin = " " * _INDENT
    first = left.ljust(_INDENT) if len(left) < _INDENT else f"{left}\n{margin}"
    return first + f"\n{margin}".join(lines) + "\n"


def _argument(option: Option) -> str:
    if not option.metavar:
        return ""
    optional = option.kind.argument is Argument.OPTIONAL
    return f"[={option.metavar}]" if optional else f" {option.metavar}"
