"""`greenwsgi convert FILE`: the configuration written again, clean and short."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from greenwsgi.config import show_config
from greenwsgi.config.load import ReadConfiguration, read
from greenwsgi.config.settings import Assignment, silent
from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.option_spec import Status
from greenwsgi.options.value_kinds import FLAG, ValueKind
from greenwsgi.options.value_types import Address
from greenwsgi.subcommands.argument_parser import Arguments

_DONE = show_config.DONE | {"allow-remote-config"}
"""Where the text came from, which is all in here now."""


@dataclass(frozen=True, slots=True)
class Line:
    """One `name = text` of a section, and where it was written.

    lost: why it has no effect, and then it is only a comment. listens: it is about a socket, and sockets are numbered.
    """

    section: str
    name: str
    text: str
    origin: Origin
    kind: ValueKind[Any] | None = None
    lost: str = ""
    listens: bool = False

    @property
    def group(self) -> str:
        """What stands together, in the order in which it was written."""
        return "" if self.listens else self.name


def run(arguments: Sequence[str]) -> int:
    """Print it. Raises UsageError for a configuration that greenwsgi would not start with, and for an unsayable one."""
    parser = Arguments("convert", "What has no effect here is kept as a comment that says why.")
    parser.add_argument("file", metavar="FILE", help="a configuration of uWSGI's or ours, in any format")
    parser.add_argument("--to", choices=WRITERS, default="ini", help="the format to write (ini)")
    given = parser.parse_args(arguments)
    reading = read([given.file], os.environ, silent)
    reading.build(silent)
    _print("\n".join(WRITERS[given.to](lines(reading))))
    return 0


def lines(reading: ReadConfiguration) -> list[Line]:
    """What was written and still counts, by section in the table's order; each option by the name it was given last.

    What others mention as %(name) is not there: it stands in their texts.
    """
    last = {_subject(one): one for one in reading.assignments}
    names = {OPTIONS.find(one.key): one.key for one in reading.assignments}
    passed_over = _DONE | reading.used | reading.placeholders
    found: list[Line] = []
    for one in reading.assignments:
        entry = OPTIONS.find(one.key)
        if last[_subject(one)] is not one or one.key in (passed_over if entry is None else _DONE):
            continue
        found += _lines(one, names[entry])
    sections, groups = [*OPTIONS.titles, ""], list(dict.fromkeys(line.group for line in found))
    return sorted(found, key=lambda line: (sections.index(line.section), groups.index(line.group)))


def _subject(one: Assignment) -> object:
    """What it is about: of several about the same the last one counts."""
    if one.key in ("env", "unenv"):
        return one.text.partition("=")[0]
    entry = OPTIONS.find(one.key)
    return id(one) if entry is None or entry.option.kind.many else entry


def _lines(one: Assignment, name: str) -> Iterator[Line]:
    entry = OPTIONS.find(one.key)
    if entry is None:
        yield Line("", one.key, one.text, one.origin, lost="no option of that name")
        return
    value = entry.option.read(one.text).value
    status, note = entry.option.verdict(one.text)
    lost = note if status in (Status.ACCEPTED, Status.LATER) else ""
    listens = isinstance(value, tuple) and any(isinstance(part, Address) for part in value)
    section = "sockets" if listens else entry.section
    for text in entry.option.kind.texts(value):
        yield Line(section, name, text, one.origin, entry.option.kind, lost, listens)


def _print(text: str) -> None:
    """Each byte as it was read; on a terminal without what that would obey."""
    if sys.stdout.isatty():
        print(show_config.printable(text))
        return
    sys.stdout.buffer.write(f"{text}\n".encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


def _in_sections(converted: list[Line], sign: str, write: Callable[[list[Line]], Iterator[str]]) -> Iterator[str]:
    """sign: what a comment begins with. write: the text of successive lines with one name and one reason."""
    yield "[uwsgi]"
    for section, members in groupby(converted, key=lambda line: line.section):
        yield f"\n{sign} {_title(section)}"
        for (_, lost), same in groupby(members, key=lambda line: (line.name, line.lost)):
            if lost:
                yield f"{sign} {lost}"
            yield from write(list(same))


def _title(section: str) -> str:
    return OPTIONS.titles[section] if section else "Not an option of greenwsgi's, and not used by any other line"


# INI


def _ini(converted: list[Line]) -> Iterator[str]:
    return _in_sections(converted, ";", _ini_lines)


def _ini_lines(same: list[Line]) -> Iterator[str]:
    for line in same:
        if not line.lost and not show_config.is_plain(line.name, line.text):
            other = "; --to toml can" if _fits_toml(line.text) else ""
            raise UsageError(f"{line.name}: no line of ini can say {line.text[:60]!r}{other}", line.origin)
        yield show_config.line(line.name, line.text, comment=bool(line.lost))


# TOML


def _toml(converted: list[Line]) -> Iterator[str]:
    there: set[str] = set()

    def write(same: list[Line]) -> Iterator[str]:
        name, lost = same[0].name, same[0].lost
        if not lost and name in there:
            raise UsageError(
                f"{name}: TOML has each name once, so it cannot keep the order of the sockets", same[0].origin
            )
        there.add(name)
        values = [_toml_value(line) for line in same]
        value = values[0] if len(values) == 1 else f"[{', '.join(values)}]"
        yield f"{'# ' if lost else ''}{_toml_key(name)} = {value}"

    return _in_sections(converted, "#", write)


def _toml_key(name: str) -> str:
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else _quoted(name)


def _toml_value(line: Line) -> str:
    if line.kind is FLAG:
        return line.text
    if line.kind is not None and line.kind.measured and line.text.isdecimal():
        return line.text
    if not line.lost and not _fits_toml(line.text):
        raise UsageError(f"{line.name}: TOML cannot say {line.text[:60]!r}", line.origin)
    return _quoted(show_config.escaped(line.text))


def _fits_toml(text: str) -> bool:
    """Is it text, which our reader would not strip?"""
    return text == text.strip() and not any("\ud800" <= char <= "\udfff" for char in text)


def _quoted(text: str) -> str:
    return '"' + "".join(map(_toml_character, text)) + '"'


def _toml_character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else f"\\U{ord(char):08x}"


WRITERS: dict[str, Callable[[list[Line]], Iterator[str]]] = {"ini": _ini, "toml": _toml}
