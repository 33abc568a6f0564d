"""What an nginx configuration says of the way to us: its directives, read no further than a question needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from greenwsgi.errors import Origin, UsageError

_TOKEN = re.compile(
    r"""
    \s+ | \#[^\n]*
    | (?P<mark> [;{}])
    | "(?P<double> (?:\\.|[^"\\])*)"
    | '(?P<single> (?:\\.|[^'\\])*)'
    | (?P<word> (?:\\.|\$\{|[^\s;{}"'\\]) (?:\\.|\$\{|[^\s;{\\])*)
    """,
    re.VERBOSE | re.DOTALL,
)
_TIME = re.compile(r"(\d+)(ms|s|m|h|d|w|M|y)?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}
_SIZE = re.compile(r"(\d+)([kKmMgG]?)")
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True)
class Directive:
    """`name arguments;` or `name arguments { ... }`. inside: the names of the blocks around it, outermost first."""

    name: str
    arguments: tuple[str, ...]
    inside: tuple[str, ...]
    origin: Origin


def read(text: str, file: str) -> Iterator[Directive]:
    """All directives in their order. Raises UsageError for what nginx would not read either."""
    words: list[str] = []
    blocks: list[str] = []
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise UsageError("a quoted text, or a backslash, without its end", Origin(file, line))
        kind, start = found.lastgroup, line
        line += found[0].count("\n")
        at = found.end()
        if kind == "mark":
            mark = found["mark"]
            if words:
                yield Directive(words[0], tuple(words[1:]), tuple(blocks), Origin(file, start))
            if mark == "{":
                blocks.append(words[0] if words else "")
            elif mark == "}":
                if not blocks:
                    raise UsageError("a } without its {", Origin(file, start))
                blocks.pop()
            words = []
        elif kind:
            words.append(found[kind])
    if blocks:
        raise UsageError(f"the block {blocks[-1]!r} is not closed", Origin(file, line))


def seconds(text: str) -> float:
    """nginx's times: `60`, `60s`, `1m30s`. Raises ValueError."""
    total, at = 0.0, 0
    while at < len(text) and (found := _TIME.match(text, at)):
        total += int(found[1]) * _SECONDS[found[2] or "s"]
        at = found.end()
    if not text or at < len(text):
        raise ValueError(text)
    return total


def size(text: str) -> int:
    """nginx's sizes: `8k`, `64m`. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(text)
    return int(found[1]) * _BYTES[found[2].lower()]
