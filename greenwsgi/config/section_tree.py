"""What the readers of yaml, json, toml and xml have in common: a section is names with texts, or lists of texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from greenwsgi.config.settings import Assignment, Warn
from greenwsgi.errors import Origin, UsageError

MAX_DEPTH = 100
"""How deep a file may be nested, whatever its format; readers give up there, before it costs anything."""


def too_deep(origin: Origin) -> UsageError:
    """The error for what is nested deeper."""
    return UsageError("this is not a configuration: it is nested too deep", origin)


def assignments(key: object, value: object, origin: Origin) -> Iterator[Assignment]:
    """`key: text`, or one assignment for each text of a list. Raises UsageError for anything else."""
    if not isinstance(key, str) or not key.strip():
        raise UsageError(f"found {str(key)[:60]!r}, wanted the name of an option", origin)
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, str):
            found = "a list in a list" if isinstance(one, list) else "names and values"
            raise UsageError(f"{key[:60]}: found {found}, wanted a text, a number, true, false, or a list", origin)
        yield Assignment(key.strip(), one.strip(), origin)


def say_missing(section: str, there: Iterable[str], file: str, warn: Warn) -> None:
    """The file has no such section."""
    names = ", ".join(f"[{name[:40]}]" for name in list(there)[:5]) or "no section at all"
    warn(f"{file}: there is no section [{section[:40]}]; the file has {names}")
