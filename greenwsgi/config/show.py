"""The effective configuration as text, for --show-config and --get."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from greenwsgi.config.settings import Assignment, Settings
from greenwsgi.config.sources import DIRECTIVES
from greenwsgi.errors import Origin
from greenwsgi.options.catalog import OPTIONS, Entry


def show(settings: Settings) -> str:
    """An ini section: what was written and still counts, in that order, then the defaults, each below its origin.

    Read again it means the same. So what has done its work, such as the names of files and conditions, is a comment
    only, and so is what an ini file cannot hold.
    """
    lines = ["[uwsgi]"]
    last: Origin | None = None
    for key, text, origin in (*_written(settings.assignments), *_defaults(settings.assignments)):
        if origin != last:
            lines.append(f"; {origin}")
        lines.append(_line(key, text))
        last = origin
    return "\n".join(lines) + "\n"


def first_texts(settings: Settings, names: Iterable[str]) -> Iterator[str]:
    """For each name the text that it was given first, as uWSGI's --get has it; nothing for one that was not given."""
    for name in names:
        yield from [one.text for one in settings.assignments if one.key == name][:1]


def _line(key: str, text: str) -> str:
    if not _is_plain(key, text):
        return f"; {key!r} = {text!r} (no line of ini can say this)"
    line = f"{key} = {_escaped(text)}".rstrip()
    return f"; {line}" if key in DIRECTIVES else line


def _is_plain(key: str, text: str) -> bool:
    return bool(re.fullmatch(r"[^\s=\[#;]([^=\n]*[^\s=])?", key)) and text == text.strip() and "\n" not in text


def _escaped(text: str) -> str:
    """With %% where %x would be replaced in a file."""
    return re.sub(r"%(?!\()", "%%", text).replace("\033", "%[")


def _written(assignments: tuple[Assignment, ...]) -> Iterator[tuple[str, str, Origin]]:
    winners = {OPTIONS.find(one.key) or one.key: one for one in assignments}
    for one in assignments:
        entry = OPTIONS.find(one.key)
        if entry is None or one.key in DIRECTIVES:
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
