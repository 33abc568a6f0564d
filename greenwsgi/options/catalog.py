"""All options, found by any of their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from greenwsgi.options.spec import Option
from greenwsgi.options.table import Sections


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An option, and the section and field that hold its value."""

    section: str
    field: str
    option: Option


class Catalog:
    """The options of all sections of a table, in the table's order. No two may share a name."""

    def __init__(self, table: type[Any]) -> None:
        self.titles: dict[str, str] = {}
        self._by_name: dict[str, Entry] = {}
        self._by_short: dict[str, Entry] = {}
        self._entries: list[Entry] = []
        for section in fields(table):
            made_by: Any = section.default_factory
            self.titles[section.name] = made_by.__doc__.strip()
            for item in fields(made_by):
                self._add(Entry(section.name, item.name, item.metadata["option"]))

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        short = [entry.option.short] if entry.option.short else []
        for index, names in ((self._by_name, entry.option.names), (self._by_short, short)):
            for name in names:
                if name in index:
                    raise ValueError(f"two options are named {name}")
                index[name] = entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def section(self, name: str) -> list[Entry]:
        return [entry for entry in self if entry.section == name]

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
        """The name that was probably meant, or ""."""
        found = difflib.get_close_matches(name[:64].replace("_", "-").lower(), self._by_name, n=1, cutoff=0.7)
        return found[0] if found else ""


OPTIONS = Catalog(Sections)
