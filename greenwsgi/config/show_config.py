"""The effective configuration as text, for --show-config and --get."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from greenwsgi.config.settings import Assignment, Settings
from greenwsgi.config.sources import DIRECTIVES
from greenwsgi.errors import Origin
from greenwsgi.options.catalog import OPTIONS, Entry

DONE = DIRECTIVES - {"fallback-config"}
"""The options that have done their work when all is read, and say nothing to the server."""


def show(settings: Settings) -> str:
    """An ini section: what was written and still counts, in that order, then the defaults, each below its origin.

    Read again it means the same, except that it serves. So what has done its work, such as the names of files and
    conditions, is a comment only, and so is what asked for this text, what an ini file cannot hold, and under `strict`
    what is no option.
    """
    lines = ["[uwsgi]"]
    last: Origin | None = None
    for key, text, origin in (*_written(settings.assignments), *_defaults(settings.assignments)):
        if origin != last:
            lines.append(f"; {origin}")
        done = key in DONE or key in ("show-config", "get") or (settings.config.strict and not OPTIONS.find(key))
        lines.append(line(key, text, comment=done))
        last = origin
    return "\n".join(lines) + "\n"


def first_texts(settings: Settings, names: Iterable[str]) -> Iterator[str]:
    """For each name the text that it was given first, as uWSGI's --get has it; nothing for one that was not given."""
    for name in names:
        yield from [one.text for one in settings.assignments if one.key == name][:1]


def line(key: str, text: str, *, comment: bool = False) -> str:
    """The line of an ini file; a comment too if there can be no such line."""
    if not is_plain(key, text):
        return f"; {key!r} = {text!r} (no line of ini can say this)"
    written = f"{escaped(key)} = {escaped(text)}".rstrip()
    return f"; {written}" if comment else written


def is_plain(key: str, text: str) -> bool:
    """Can a line of an ini file say this?"""
    return bool(re.fullmatch(r"[^\s=\[#;]([^=\n]*[^\s=])?", key)) and text == text.strip() and "\n" not in text


def escaped(text: str) -> str:
    """With %% where %x would be replaced in a file."""
    return re.sub(r"%(?!\()", "%%", text).replace("\033", "%[")


def _written(assignments: tuple[Assignment, ...]) -> Iterator[tuple[str, str, Origin]]:
    winners = {OPTIONS.find(one.key) or one.key: one for one in assignments}
    for one in assignments:
        entry = OPTIONS.find(one.key)
        if entry is None or one.key in DONE:
            yield one.key, one.text, one.origin
        elif entry.option.kind.many or winners[entry] is one:
            for text in entry.option.kind.texts(entry.option.read(one.text).value):
                yield entry.option.name, text, one.origin


def _defaults(assignments: tuple[Assignment, ...]) -> Iterator[tuple[str, str, Origin]]:
    written: set[Entry | None] = {OPTIONS.find(one.key) for one in assignments}
    for entry in OPTIONS:
        if entry not in written:
            for text in entry.option.kind.texts(entry.option.default):
                yield entry.option.name, text, Origin("default")


def printable(text: str) -> str:
    """The text without anything that a terminal would obey or an encoding refuse."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
