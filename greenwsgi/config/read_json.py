"""JSON: an object a section. Repeated keys are kept, a list repeats its key, a number is the text it was written as."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from greenwsgi.config import section_tree
from greenwsgi.config.settings import Assignment, Warn, silent
from greenwsgi.errors import Origin, UsageError


class _Object(NamedTuple):
    pairs: list[tuple[str, object]]


def read(text: str, file: str, section: str = "uwsgi", warn: Warn = silent) -> list[Assignment]:
    """The assignments in one section of the text of `file`; true is "1", false and null are "0", as in uWSGI.

    Raises UsageError. A name's line is where it first stands behind the one before it.
    """
    try:
        top = json.loads(text, object_pairs_hook=_Object, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise UsageError(f"this is not JSON: {error.msg}", Origin(file, error.lineno)) from None
    except RecursionError:
        raise section_tree.too_deep(Origin(file)) from None
    if not isinstance(top, _Object):
        raise UsageError(f'wanted {{"{section}": {{...}}}}', Origin(file, 1))
    lines = _Lines(text)
    found: list[Assignment] = []
    for name, value in top.pairs:
        origin = Origin(file, lines.of(name))
        if name != section:
            continue
        if not isinstance(value, _Object):
            raise UsageError(f"{section}: wanted an object, {{...}}", origin)
        for key, one in value.pairs:
            found += section_tree.assignments(key, _plain(one), Origin(file, lines.of(key)))
    if section not in dict(top.pairs):
        section_tree.say_missing(section, dict(top.pairs), file, warn)
    return found


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [one if isinstance(one, list) else _plain(one) for one in value]
    return {True: "1", False: "0", None: "0"}[value] if value is None or isinstance(value, bool) else value


class _Lines:
    """The lines of names, asked for in their order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at, self._line = 0, 1

    def of(self, name: str) -> int:
        written = "|".join(re.escape(json.dumps(name, ensure_ascii=plain)) for plain in (True, False))
        found = re.compile(rf"(?:{written})\s*:").search(self._text, self._at)
        if found:
            self._line += self._text.count("\n", self._at, found.start())
            found_at, self._at = found.start(), found.end()
            line = self._line
            self._line += self._text.count("\n", found_at, self._at)
            return line
        return self._line
