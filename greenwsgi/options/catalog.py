"""All options, found by any of their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import SequenceMatcher
from typing import Any

from greenwsgi.options.option_spec import Option, Status
from greenwsgi.options.table import Sections
from greenwsgi.options.uwsgi_only import FOREIGN, TITLES

_WORKING = (Status.WORKS, Status.PARTIAL)
_CUTOFF = 0.7
_HANDICAP = 0.95
"""A name that works is the nearer one, if it is nearly as near."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An option, and the section and field that hold its value. `field` is "" for one without a value."""

    section: str
    field: str
    option: Option


class Catalog:
    """All options, found by any of their names; no two may share one, but a name in the table hides one outside it.

    Iterating gives those that have a value in Settings, in the table's order; `foreign` are uWSGI's others.
    """

    def __init__(self, table: type[Any], foreign: Mapping[str, Sequence[Option]], titles: Mapping[str, str]) -> None:
        self.titles: dict[str, str] = {}
        self._by_name: dict[str, Entry] = {}
        self._by_short: dict[str, Entry] = {}
        self._entries: list[Entry] = []
        self.foreign: list[Entry] = []
        for section in fields(table):
            made_by: Any = section.default_factory
            self.titles[section.name] = made_by.__doc__.strip()
            for item in fields(made_by):
                self._entries.append(self._add(Entry(section.name, item.name, item.metadata["option"])))
        for name, options in foreign.items():
            self.titles.setdefault(name, titles.get(name, ""))
            own = (
                replace(option, names=tuple(n for n in option.names if n not in self._by_name)) for option in options
            )
            self.foreign += [self._add(Entry(name, "", option)) for option in own if option.names]

    def _add(self, entry: Entry) -> Entry:
        for index, names in ((self._by_name, entry.option.names), (self._by_short, entry.option.short)):
            for name in names:
                if name in index:
                    raise ValueError(f"two options are named {name}")
                index[name] = entry
        return entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def every(self) -> Iterator[Entry]:
        """Those with a value, then those without."""
        yield from self._entries
        yield from self.foreign

    def section(self, name: str) -> list[Entry]:
        return [entry for entry in self.every() if entry.section == name]

    def find(self, name: str) -> Entry | None:
        """The option of exactly that name, without dashes; `_` is not `-`."""
        return self._by_name.get(name)

    def find_short(self, letter: str) -> Entry | None:
        return self._by_short.get(letter)

    def begin_with(self, prefix: str) -> dict[str, Entry]:
        """The options that have a name which begins so, each once, by the first such name."""
        found: dict[Entry, str] = {}
        for name, entry in self._by_name.items():
            if name.startswith(prefix):
                found.setdefault(entry, name)
        return {name: entry for entry, name in found.items()}

    def near(self, name: str) -> str:
        """The name that was probably meant, or ""; one that works rather than one that does not."""
        plain = name[:64].replace("_", "-").lower()
        best, nearest = "", 0.0
        matcher = SequenceMatcher(b=plain)
        for candidate, entry in self._by_name.items():
            weight = 1 if entry.option.status in _WORKING else _HANDICAP
            matcher.set_seq1(candidate)
            if matcher.real_quick_ratio() >= _CUTOFF and matcher.quick_ratio() >= _CUTOFF:
                ratio = matcher.ratio()
                if ratio >= _CUTOFF and ratio * weight > nearest:
                    best, nearest = candidate, ratio * weight
        return best


OPTIONS = Catalog(Sections, FOREIGN, TITLES)
