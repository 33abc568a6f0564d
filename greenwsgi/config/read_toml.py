"""TOML: the table [uwsgi], or [tool.greenwsgi] as in pyproject.toml; a list repeats its key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

from greenwsgi.config import section_tree
from greenwsgi.config.settings import Assignment, Warn, silent
from greenwsgi.errors import Origin, UsageError

TABLES = ("uwsgi", "tool.greenwsgi")


def read(text: str, file: str, section: str = "uwsgi", warn: Warn = silent) -> list[Assignment]:
    """The assignments in one table of the text of `file`; for `uwsgi` also in [tool.greenwsgi]. Raises UsageError.

    A number is the text it was written as, but without `0o`: a mode of 0o660 is 660, which is octal in uWSGI.
    """
    try:
        top = tomllib.loads(_TOKENS.sub(_octal_as_text, text), parse_float=str)
    except tomllib.TOMLDecodeError as error:
        problem, _, line = str(error).partition(" (at line ")
        number = int(re.match("[0-9]*", line)[0] or 0)  # type: ignore[index] # it matches nothing at least
        raise UsageError(f"this is not TOML: {problem}", Origin(file, number)) from None
    except ValueError:  # int() takes thousands of digits, and no more
        raise UsageError("this is not TOML: found a number that is too large", Origin(file)) from None
    except RecursionError:
        raise section_tree.too_deep(Origin(file)) from None
    tables = {name: _table(top, name) for name in (TABLES if section == "uwsgi" else (section,))}
    there = [name for name, table in tables.items() if table is not None]
    if not there:
        section_tree.say_missing(section, (name for name, value in top.items() if isinstance(value, dict)), file, warn)
        return []
    if len(there) > 1:
        warn(f"{file}: [{there[0]}] is read, and [{there[1]}] is not")
    lines = _Lines(text, there[0])
    found: list[Assignment] = []
    for key, value in (tables[there[0]] or {}).items():
        try:
            found += section_tree.assignments(key, _plain(value), Origin(file, lines.of(key)))
        except ValueError:  # nor does str(), of what was written as 0x...
            raise UsageError(f"{key[:60]}: found a number that is too large", Origin(file, lines.of(key))) from None
    return found


def _table(top: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    found: object = top
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [one if isinstance(one, list) else _plain(one) for one in value]
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str | dict) else str(value)


_TOKENS = re.compile(
    r'''"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*|(?<![\w.+-])0o([0-7_]+)'''
)
"""Strings and comments, which stay as they are, and octal numbers."""


def _octal_as_text(token: re.Match[str]) -> str:
    return f'"{token[1].replace("_", "")}"' if token[1] else token[0]


class _Lines:
    """Where the keys of a table stand, as far as a look at the lines can tell."""

    def __init__(self, text: str, table: str) -> None:
        self._found: dict[str, int] = {}
        inside, self._first = False, 0
        for number, line in enumerate(text.split("\n"), 1):
            header = re.fullmatch(r"\s*\[\s*([^][]+?)\s*\]\s*(#.*)?", line)
            if header:
                inside = re.sub(r"[\s\"']", "", header[1]) == table
                self._first = self._first or (number if inside else 0)
            elif inside and (key := re.match(r"""\s*(["']?)([^"'=]+?)\1\s*=""", line)):
                self._found.setdefault(key[2], number)

    def of(self, key: str) -> int:
        return self._found.get(key, self._first)
