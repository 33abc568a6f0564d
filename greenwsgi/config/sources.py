"""Configuration files: read where they are named, so that the order of all assignments is the order of writing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from greenwsgi.config import magic, read_ini
from greenwsgi.config.settings import Assignment, Warn
from greenwsgi.errors import UsageError

READERS = {"ini": read_ini.read}
"""The options that name a file, and what reads its text: (text, file, section, warn) -> assignments."""


@dataclass(frozen=True, slots=True)
class Source:
    """One section of one file; `file` as it was written, `named` the section if one was."""

    file: str
    named: str = ""

    @property
    def section(self) -> str:
        return self.named or "uwsgi"

    def __str__(self) -> str:
        return f"{self.file}:{self.named}" if self.named else self.file


@dataclass(frozen=True, slots=True)
class Sources:
    """What reading files takes: the environment, the machine that %-variables tell of, and where warnings go."""

    environ: Mapping[str, str]
    machine: magic.Machine
    warn: Warn

    def expand(self, assignments: Iterable[Assignment], inside: tuple[Source, ...] = ()) -> Iterator[Assignment]:
        """The assignments, each that names a file followed by the file's own. `inside` are the files being read."""
        for assignment in assignments:
            resolved = self._resolve(assignment, inside)
            yield resolved
            if resolved.key in READERS and resolved.text:
                source = _source(resolved, inside)
                yield from self.expand(self._read(source, resolved), (*inside, source))

    def _resolve(self, assignment: Assignment, inside: tuple[Source, ...]) -> Assignment:
        """The assignment with %x, in files only, and $(NAME) replaced."""
        text, where = assignment.text, f"{assignment.origin}: {assignment.key}"
        if inside and "%" in text:
            source = inside[-1]
            place = magic.Place(os.path.abspath(source.file), source.file, source.named, self.machine)
            text, unknown = magic.percent(text, place)
            for name in unknown:
                self.warn(f"{where}: {name} means nothing and is left out; %% is a percent sign")
        text, unset = magic.environment(text, self.environ)
        for name in unset:
            self.warn(f"{where}: the environment variable {name} is not set")
        return replace(assignment, text=text)

    def _read(self, source: Source, assignment: Assignment) -> list[Assignment]:
        try:
            with open(source.file, "rb") as file:
                data = file.read()
        except OSError as error:
            raise UsageError(f"cannot read {source.file!r}: {error.strerror}", assignment.origin) from None
        if b"\0" in data:
            raise UsageError(f"cannot read {source.file!r}: it is not a text file", assignment.origin)
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        return READERS[assignment.key](text, source.file, source.section, self.warn)


def _source(assignment: Assignment, inside: tuple[Source, ...]) -> Source:
    """What `FILE`, `FILE:SECTION`, or `:SECTION` of the same file names. Raises UsageError if it is being read."""
    file, _, section = assignment.text.rpartition(":") if ":" in assignment.text else (assignment.text, "", "")
    if not file and not inside:
        raise UsageError(f"{assignment.key}: found {assignment.text!r}, wanted FILE:SECTION", assignment.origin)
    source = Source(file or inside[-1].file, section)
    for other in inside:
        if (os.path.realpath(other.file), other.section) == (os.path.realpath(source.file), source.section):
            way = " -> ".join(str(one) for one in (*inside, source))
            raise UsageError(f"{assignment.key}: files name each other in a loop: {way}", assignment.origin)
    return source
