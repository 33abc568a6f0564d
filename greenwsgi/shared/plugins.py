"""What other distributions add to greenwsgi: rows of its tables, found by their entry points.

Groups: `greenwsgi.pipeline` (worker/pipeline.py), `greenwsgi.log_sinks` (worker/log_sinks.py) and
`greenwsgi.subcommands` (subcommands/). docs/plugins.md shows how to write one.

A server without plugins does not import importlib.metadata, which takes 35 ms. Instead it looks for the name of the
group in the files entry_points.txt on sys.path, which takes 1 ms for 50 distributions. It does not trust its own look
where a part of sys.path is no folder (a zip file), or where another finder than Python's own knows distributions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, TypeVar

from greenwsgi.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


def find(group: str, name: str, kind: type[T]) -> T | None:
    """The plugin of that name, None if there is none. Raises UsageError if it cannot be loaded."""
    for point in _entry_points(group, name):
        return _load(point, kind)
    return None


def load(group: str, kind: type[T]) -> Iterator[T]:
    """All plugins of a group, by their names. Raises UsageError for one that cannot be loaded."""
    for point in _entry_points(group):
        yield _load(point, kind)


def _entry_points(group: str, name: str = "") -> list[EntryPoint]:
    """Those of the group, or of one name, in the order of their names."""
    if not _may_exist(group):
        return []
    from importlib.metadata import entry_points

    found = entry_points(group=group, name=name) if name else entry_points(group=group)
    return sorted(found, key=lambda one: one.name)


def _may_exist(group: str) -> bool:
    """May importlib.metadata know an entry point of that group?"""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return True
    header = f"[{group}]".encode()
    return any(_may_name(path or ".", header) for path in sys.path)


def _may_name(path: str, header: bytes) -> bool:
    """The same for one entry of sys.path."""
    try:
        names = os.listdir(path)
    except NotADirectoryError:
        return True
    except OSError:  # it does not exist or cannot be read, by importlib.metadata neither
        return False
    for name in names:
        if name.endswith((".dist-info", ".egg-info", ".egg")):
            inner = ("EGG-INFO", "entry_points.txt") if name.endswith(".egg") else ("entry_points.txt",)
            try:
                with open(os.path.join(path, name, *inner), "rb") as file:
                    if header in file.read():
                        return True
            except OSError:  # it has none
                continue
    return False


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
