"""YAML in which every scalar is the text it was written as: `umask: 022`, `on` and `12:30` are what uWSGI sees.

Repeated keys are kept in their order, and a list repeats its key. An alias stands for one text or one list of texts, so
nothing can multiply. What is no YAML but has a `name: value` on each line is read by lines, because uWSGI does that.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import yaml
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from greenwsgi.config import section_tree
from greenwsgi.config.settings import Assignment, Warn, silent
from greenwsgi.errors import Origin, UsageError


class _Pair(NamedTuple):
    key: object
    value: object
    line: int


class _Events(Reader, Scanner, Parser):
    """PyYAML up to its events; a plain scalar may begin with % or @, as `%(name)` and `@(file)` do."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)

    def check_plain(self) -> bool:
        return self.peek() in ("%", "@") or bool(super().check_plain())


def read(text: str, file: str, section: str = "uwsgi", warn: Warn = silent) -> list[Assignment]:
    """The assignments in one section of the text of `file`. Raises UsageError."""
    try:
        pairs = _pairs(text, file)
    except yaml.YAMLError as error:
        origin, problem = _where(error, file)
        return _read_lines(text, UsageError(f"this is not YAML: {problem}", origin), section, warn)
    found: list[Assignment] = []
    sections = {str(pair.key): pair.value for pair in pairs if not isinstance(pair.value, str)}
    for pair in pairs:
        if pair.key == section:
            if isinstance(pair.value, str) and not pair.value:
                sections[section] = ""  # an empty one
                continue
            if not isinstance(pair.value, tuple):
                raise UsageError(f"{section}: wanted options below it", Origin(file, pair.line))
            for one in pair.value[0]:
                found += section_tree.assignments(one.key, one.value, Origin(file, one.line))
    if section not in sections:
        section_tree.say_missing(section, sections, file, warn)
    return found


def _where(error: yaml.YAMLError, file: str) -> tuple[Origin, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return Origin(file, mark.line + 1 if mark else 0), str(problem)


class _Tree:
    """What the events build, without recursion: texts are str, lists list, mappings a tuple of a list of pairs."""

    def __init__(self, file: str) -> None:
        self.top: list[object] = []
        self._file = file
        self._open: list[tuple[list[object], bool, list[int]]] = [(self.top, False, [])]  # members, a mapping?, lines
        self._anchors: dict[str, object] = {}

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.CollectionEndEvent):
            members, is_mapping, lines = self._open.pop()
            if is_mapping:
                members[:] = map(_Pair, members[::2], members[1::2], lines[::2])
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) > section_tree.MAX_DEPTH:
                raise section_tree.too_deep(Origin(self._file, line))
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            inside: list[object] = []
            self._add((inside,) if is_mapping else inside, line, event.anchor)
            self._open.append((inside, is_mapping, []))
        elif isinstance(event, yaml.ScalarEvent):
            self._add(event.value, line, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise UsageError(f"*{event.anchor} is no anchor", Origin(self._file, line))
            self._add(self._anchors[event.anchor], line, None)

    def _add(self, node: object, line: int, anchor: str | None) -> None:
        members, _, lines = self._open[-1]
        members.append(node)
        lines.append(line)
        if anchor:
            self._anchors[anchor] = node


def _pairs(text: str, file: str) -> list[_Pair]:
    """The names and values at the top of all documents."""
    found = _Tree(file)
    events = _Events(text)
    try:
        while event := events.get_event():  # type: ignore[no-untyped-call] # so says types-PyYAML
            found.take(event)
    except (ValueError, OverflowError):  # of an escape such as \UFFFFFFFF, a version of thousands of digits
        raise yaml.MarkedYAMLError(problem="found a number that is too large", problem_mark=events.get_mark()) from None
    return [pair for document in found.top if isinstance(document, tuple) for pair in document[0]]


_LINE = re.compile(r"(\s*)([^\s:#][^:]*?)\s*:(?:\s+(.*?))?\s*")


def _read_lines(text: str, error: UsageError, section: str, warn: Warn) -> list[Assignment]:
    """By lines: those further in than `section:`. Raises the error if there is no such thing, and when one is odd.

    As in uWSGI the odd line ends it when some lines were read before; and then it is told.
    """
    origin = error.origin or Origin("")
    found: list[Assignment] = []
    depth: int | None = None
    for number, line in enumerate(text.split("\n"), 1):
        parts = _LINE.fullmatch(re.sub(r"(^|\s)#.*", "", line))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if parts and depth is None:
            depth = len(parts[1]) if parts[2] == section and not parts[3] else None
        elif parts and depth is not None and len(parts[1]) > depth:
            found.append(Assignment(parts[2], _unquoted(parts[3] or ""), Origin(origin.source, number)))
        elif depth is not None and found and len(line) - len(line.lstrip()) > depth:
            text = f"found {line.strip()[:60]!r}, wanted `name: value`; as in uWSGI nothing is read from here on"
            warn(f"{origin.source}:{number}: {text}")
            break
        elif depth is not None:
            break
    if not found:
        raise error
    warn(f"{error}; it is read line by line, as uWSGI does")
    return found


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
