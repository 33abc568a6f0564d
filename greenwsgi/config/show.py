"""The effective configuration as text, for --show-config."""

from __future__ import annotations

from collections.abc import Iterator

from greenwsgi.config.settings import Assignment, Settings
from greenwsgi.errors import Origin
from greenwsgi.options.catalog import OPTIONS, Entry


def show(settings: Settings) -> str:
    """An ini section: what was written and still counts, in that order, then the defaults, each below its origin."""
    lines = ["[uwsgi]"]
    last: Origin | None = None
    for key, text, origin in (*_written(settings.assignments), *_defaults(settings.assignments)):
        if origin != last:
            lines.append(f"; {origin}")
        lines.append(f"{key} = {text}".rstrip())
        last = origin
    return "\n".join(lines) + "\n"


def _written(assignments: tuple[Assignment, ...]) -> Iterator[tuple[str, str, Origin]]:
    winners = {OPTIONS.find(one.key) or one.key: one for one in assignments}
    for one in assignments:
        entry = OPTIONS.find(one.key)
        if entry is None:
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
