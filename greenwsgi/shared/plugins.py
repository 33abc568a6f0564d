"""What other distributions add to greenwsgi: rows of its tables, found by their entry points.

Groups: `greenwsgi.pipeline` (worker/pipeline.py) and `greenwsgi.subcommands` (subcommands/). docs/plugins.md shows how
to write one. Nothing is imported before it is needed: looking for entry points takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from greenwsgi.errors import UsageError

T = TypeVar("T")


def names(group: str) -> list[str]:
    """The names of all plugins of a group."""
    return sorted({point.name for point in entry_points(group=group)})


def find(group: str, name: str, kind: type[T]) -> T | None:
    """The plugin of that name, None if there is none. Raises UsageError if it cannot be loaded."""
    for point in entry_points(group=group, name=name):
        return _load(point, kind)
    return None


def load(group: str, kind: type[T]) -> Iterator[T]:
    """All plugins of a group, by their names. Raises UsageError for one that cannot be loaded."""
    for point in sorted(entry_points(group=group), key=lambda one: one.name):
        yield _load(point, kind)


def _load(point: EntryPoint, kind: type[T]) -> T:
    distribution = point.dist.name if point.dist else "unknown"
    where = f"plugin {point.name!r} ({point.group}) of the distribution {distribution}"
    try:
        plugin = point.load()
    except Exception as error:  # a border: its import may raise anything
        raise UsageError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(plugin, kind):
        raise UsageError(f"{where} is a {type(plugin).__name__}, wanted a {kind.__name__}")
    return plugin
