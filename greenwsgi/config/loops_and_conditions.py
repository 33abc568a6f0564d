"""Loops and conditions: what stands between `for = a b`, or `if-env = NAME`, and the next end.

As in uWSGI: a loop repeats each line by itself, a condition is evaluated for each line, `%(_)` is the item or what
was tested, and there is no nesting.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from greenwsgi.config.settings import Assignment
from greenwsgi.errors import UsageError
from greenwsgi.options.value_kinds import regex

ENDS = frozenset({"end", "endif", "end-if", "endfor", "end-for"})
PLUGINS = frozenset({"python", "python3", "cgi", "gevent", "http", "corerouter", "logfile", "syslog", "rsyslog"})
"""The plugins of uWSGI whose work is done here without one."""

MAX_ITEMS = 10_000
ITEM = "%(_)"


@dataclass(frozen=True, slots=True)
class World:
    """What conditions ask. first: the text that a name was first given, None for none."""

    environ: Mapping[str, str]
    hostname: str
    reload: bool
    first: Callable[[str], str | None]
    plugins: Callable[[], Iterable[str]]


Items = Sequence[str | None]
"""What `%(_)` is, one for each time a line counts; None where it stays as it is."""

Rule = Callable[[str, World], Items]


def _condition(test: Callable[[str, World], bool]) -> Rule:
    def rule(text: str, world: World) -> Items:
        return [text] if test(text, world) else []

    return rule


def _valued(value: Callable[[str, World], str | None]) -> tuple[Rule, Rule]:
    """NAME is there, or NAME=TEXT is what it says; and the opposite."""

    def holds(text: str, world: World) -> tuple[bool, str | None]:
        name, equals, wanted = text.partition("=")
        found = value(name, world)
        return found is not None and (not equals or found == wanted), found

    def positive(text: str, world: World) -> Items:
        good, found = holds(text, world)
        return [found] if good else []

    def negative(text: str, world: World) -> Items:
        good, found = holds(text, world)
        return [] if good else [found]

    return positive, negative


def _not(test: Callable[[str, World], bool]) -> Callable[[str, World], bool]:
    return lambda text, world: not test(text, world)


def _matches(text: str, world: World) -> bool:
    try:
        return regex(text).search(world.hostname) is not None
    except ValueError as error:
        raise ValueError(f"a regular expression ({error})") from None


def _glob(text: str, world: World) -> Items:
    found = sorted(glob.iglob(text))[: MAX_ITEMS + 1]
    return [path + "/" if os.path.isdir(path) and not path.endswith("/") else path for path in found] or [text]


def _times(text: str, world: World) -> Items:
    number = re.match(r"\s*[0-9]{1,9}", text)
    return [str(index + 1) for index in range(min(int(number[0]), MAX_ITEMS + 1))] if number else []


def _lines(text: str, world: World) -> Items:
    try:
        with open(text, encoding="utf-8", errors="surrogateescape") as file:
            return [line.rstrip("\n") for line, _ in zip(file, range(MAX_ITEMS + 1), strict=False)]
    except OSError as error:
        raise ValueError(f"a file that can be read ({error.strerror})") from None


_if_env, _if_not_env = _valued(lambda name, world: world.environ.get(name))
_if_opt, _if_not_opt = _valued(lambda name, world: world.first(name))
_TESTS: dict[str, Callable[[str, World], bool]] = {
    "exists": lambda text, world: os.path.exists(text),
    "file": lambda text, world: os.path.isfile(text),
    "dir": lambda text, world: os.path.isdir(text),
    "hostname": lambda text, world: text == world.hostname,
    "hostname-match": _matches,
    "plugin": lambda text, world: text in PLUGINS or text in world.plugins(),
}

RULES: dict[str, Rule] = {
    "for": lambda text, world: [word for word in text.split(" ") if word],
    "for-glob": _glob,
    "for-times": _times,
    "for-readline": _lines,
    "if-env": _if_env,
    "ifenv": _if_env,
    "if-not-env": _if_not_env,
    "if-opt": _if_opt,
    "if-not-opt": _if_not_opt,
    "if-reload": lambda text, world: [None] if world.reload else [],
    "if-not-reload": lambda text, world: [] if world.reload else [None],
    **{f"if-{name}": _condition(test) for name, test in _TESTS.items()},
    **{f"if-not-{name}": _condition(_not(test)) for name, test in _TESTS.items()},
    "ifexists": _condition(_TESTS["exists"]),
    "ifplugin": _condition(_TESTS["plugin"]),
    "ifdir": _condition(_TESTS["dir"]),
    "if-directory": _condition(_TESTS["dir"]),
}
"""The options that open a block."""


@dataclass(frozen=True, slots=True)
class Block:
    """An open loop or condition."""

    opener: Assignment

    def items(self, world: World) -> Items:
        """What the next line counts for. Raises UsageError."""
        key, text = self.opener.key, self.opener.text
        try:
            found = RULES[key](text, world)
        except (ValueError, OSError) as error:  # ValueError also of os.path, for a NUL
            raise UsageError(f"{key}: found {text[:60]!r}, wanted {error}", self.opener.origin) from None
        if len(found) > MAX_ITEMS:
            raise UsageError(f"{key}: more than {MAX_ITEMS} times is too often", self.opener.origin)
        return found
