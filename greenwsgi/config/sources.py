"""All that configures a server, as one list of assignments: variables, the command line, files, files in files.

The way of each is uWSGI's. Where it is named a file is read, with %x replaced; loops, conditions and what else works on
lines (`set`, `declare-option`, ...) is done at once. When all is there, `finish` replaces $(name), then @(file), then
%(name) in all texts, so that these may refer to what stands further below.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from greenwsgi.config import (
    external_sources,
    loops_and_conditions,
    placeholders,
    read_ini,
    read_json,
    read_toml,
    read_xml,
    read_yaml,
)
from greenwsgi.config.settings import Assignment, Warn
from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.value_kinds import FLAG

Reader = Callable[[str, str, str, Warn], list[Assignment]]

FORMATS: dict[str, Reader] = {
    "ini": read_ini.read,
    **dict.fromkeys(("yaml", "yml"), read_yaml.read),
    **dict.fromkeys(("json", "js"), read_json.read),
    **dict.fromkeys(("xml", "xmlconfig"), read_xml.read),
    "toml": read_toml.read,
}
"""The options that name a file of one format, and what reads its text: (text, file, section, warn) -> assignments.

Each but `xmlconfig` is a file's extension too.
"""

BY_EXTENSION = ("include", "config")
"""The options that name a file of any format; `inherit` too, but its time is the end."""

MAX_ASSIGNMENTS = 20_000
MAX_SIZE = 8 << 20
MAX_NAME = 255
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Source:
    """One section of one file; `file` as it was written, `named` the section if one was."""

    file: str
    named: str = ""

    @property
    def section(self) -> str:
        return self.named or "uwsgi"

    @property
    def label(self) -> str:
        return "stdin" if self.file == "-" else self.file

    @property
    def identity(self) -> tuple[str, str]:
        """Raises OSError for a name in a folder that was deleted."""
        return (self.file if external_sources.is_address(self.file) else os.path.realpath(self.file), self.section)

    def __str__(self) -> str:
        return f"{self.label}:{self.named}" if self.named else self.label


Inside = tuple[Source, ...]
"""The files that are being read, the one that names the next at the end."""


class Sources:
    """Takes assignments and follows what they name. All errors are UsageErrors that say where.

    assignments: what counts. dropped: what loops and conditions left out, each with its opener.
    declared: the options that declare-option made, and their templates. placeholders: the names that were set as such.
    used, used_variables: the names that other texts refer to. fallback: the last fallback-config.
    place: where %x was replaced last.
    mistakes: a list that takes the UsageErrors, each with what goes on without it; without one, the first is raised.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        machine: placeholders.HostFacts,
        warn: Warn,
        reload: bool = False,
        mistakes: list[UsageError] | None = None,
    ) -> None:
        self.assignments: list[Assignment] = []
        self.dropped: list[tuple[Assignment, Assignment]] = []
        self.declared: dict[str, str] = {}
        self.placeholders: set[str] = set()
        self.used: set[str] = set()
        self.used_variables: set[str] = set()
        self.fallback = ""
        self.place = placeholders.Place("", "", "", machine)
        self._environ = dict(environ)
        self._warn = warn
        self._mistakes = mistakes
        self._first: dict[str, int] = {}
        self._literal: set[int] = set()
        self._inherits: list[tuple[int, Inside]] = []
        self._remote = False
        self._size = 0
        self._lines = 0
        self._top: placeholders.Place | None = None
        self._world = loops_and_conditions.World(self._environ, machine.hostname, reload, self._text_of, self._plugins)

    def take(self, assignments: Iterable[Assignment], inside: Inside = ()) -> None:
        """Take them in their order. A loop or condition must end among them."""
        block: loops_and_conditions.Block | None = None
        for one in assignments:
            if one.key in loops_and_conditions.ENDS:
                if block is None:
                    self._warn(f"{one.origin}: {one.key} ends nothing")
                block = None
                self._put(one, inside)
            elif block is not None:
                self._take_guarded(one, block, inside)
            else:
                self._put(one, inside)
                block = loops_and_conditions.Block(one) if one.key in loops_and_conditions.RULES else None
        if block is not None:
            end = "endfor" if block.opener.key.startswith("for") else "endif"
            text = f"{block.opener.key} {block.opener.text[:60]}: {end} is missing"
            self.wrong(UsageError(text, block.opener.origin))

    def _take_guarded(self, one: Assignment, block: loops_and_conditions.Block, inside: Inside) -> None:
        opener = block.opener
        items: loops_and_conditions.Items = []
        try:
            items = block.items(self._world)
        except UsageError as error:
            self.wrong(error)
        if one.key in loops_and_conditions.RULES:
            text = f"{one.key} inside {opener.key}: there is no nesting"
            if items:
                self.wrong(UsageError(text, one.origin))
            else:
                self._warn(f"{one.origin}: {text}, so the next end is the end of {opener.key}")
        if not items:
            self.dropped.append((one, opener))
        if opener.key.endswith("env"):
            self.used_variables.add(opener.text.partition("=")[0])
        for item in items:
            self._put(
                one if item is None else replace(one, text=one.text.replace(loops_and_conditions.ITEM, item)), inside
            )

    def _put(self, one: Assignment, inside: Inside, depth: int = 0) -> None:
        """Add one that counts, and do what it asks for now."""
        self._bound(one)
        try:
            if one.key in _AT_ONCE:
                one = self._named(one)
            _measure(one)
        except UsageError as error:
            self.wrong(error)
            return
        index = len(self.assignments)
        self.assignments.append(one)
        self._first.setdefault(one.key, index)
        try:
            self._act(one, inside, index, depth)
        except UsageError as error:
            self.wrong(error)

    def _act(self, one: Assignment, inside: Inside, index: int, depth: int) -> None:
        """What it asks for now, beside being there."""
        if one.key in self.declared and OPTIONS.find(one.key) is None:
            self._apply_declared(one, inside, depth + 1)
        elif one.key in FORMATS or one.key in BY_EXTENSION:
            self._literal.add(index)
            self._read(one, inside)
        elif one.key == "inherit":
            self._inherits.append((index, inside))
        elif one.key in _DIRECTIVES:
            self._literal.add(index)
            _DIRECTIVES[one.key](self, one, inside)
        elif one.key in loops_and_conditions.RULES or one.key in loops_and_conditions.ENDS:
            self._literal.add(index)
        elif one.key == "allow-remote-config":
            self._remote = FLAG.read(one.text).value

    def wrong(self, error: UsageError) -> None:
        """Raise it, or take it down where somebody wants to know all mistakes."""
        if self._mistakes is None:
            raise error
        if [str(error)] != [str(other) for other in self._mistakes[-1:]]:  # of a loop, for each line in it
            self._mistakes.append(error)

    def _bound(self, one: Assignment) -> None:
        """Raise UsageError for more than a configuration has; nothing can go on behind that."""
        self._lines += 1
        self._size += len(one.key) + len(one.text)
        if self._lines > MAX_ASSIGNMENTS or self._size > MAX_SIZE:
            raise UsageError(
                f"{one.key[:40]}: this is more than a configuration: {self._lines} lines,"
                f" {self._size >> 10} KiB (at most {MAX_ASSIGNMENTS}, {MAX_SIZE >> 10})",
                one.origin,
            )

    # What conditions ask

    def _text_of(self, name: str) -> str | None:
        """The text that a name was given first."""
        index = self._first.get(name)
        return None if index is None else self.assignments[index].text

    def _plugins(self) -> Iterator[str]:
        for one in self.assignments:
            if one.key in ("plugin", "plugins", "need-plugin", "need-plugins"):
                yield from (name.strip() for name in one.text.split(","))

    # Files

    def _named(self, one: Assignment) -> Assignment:
        """With $(name) and %(name) of what stands above; uWSGI would look for a file that is called so."""
        return self._replaced(self._replaced(one, "$", self._variable), "%", self._placeholder)

    def _read(self, one: Assignment, inside: Inside) -> None:
        source = self._source(one, inside)
        reader = FORMATS.get(one.key) or _reader_of(source.file, one)
        data = self._fetch(source.file, one)
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        self.place = self._place(source, "" if one.text.startswith(":") else source.file)
        found = reader(text, source.label, source.section, self._warn)
        place = self.place
        self.take((self._without_percent(one, place) for one in found), (*inside, source))

    def _fetch(self, name: str, one: Assignment) -> bytes:
        try:
            data = external_sources.read(name, self._environ, self.place.machine.binary, self._remote)
        except OSError as error:
            raise UsageError(f"cannot read {name[:200]!r}: {error.strerror or error}", one.origin) from None
        except ValueError:  # a NUL in the name
            raise UsageError(f"cannot read {name[:200]!r}: this is no file's name", one.origin) from None
        if b"\0" in data:
            raise UsageError(f"cannot read {name[:200]!r}: it is not a text file", one.origin)
        return data

    def _source(self, one: Assignment, inside: Inside) -> Source:
        """What `FILE`, `FILE:SECTION`, or `:SECTION` of the same file names. Raises UsageError if it is being read."""
        text = one.text
        start = text.rfind("/") + 1 if external_sources.is_address(text) else 0
        at = text.find(":", start) if text.startswith(":") else text.rfind(":", start)
        source = Source(text, "") if at < 0 else Source(text[:at], text[at + 1 :])
        if text and not source.file and inside:
            source = replace(source, file=inside[-1].file)
        if not source.file:
            raise UsageError(f"{one.key}: found {text[:60]!r}, wanted FILE or FILE:SECTION", one.origin)
        try:
            known = source.identity in [other.identity for other in inside]
        except OSError as error:
            why = f"{error.strerror} (the current folder)"
            raise UsageError(f"cannot read {source.file[:200]!r}: {why}", one.origin) from None
        if len(inside) > MAX_DEPTH or known:
            way = " -> ".join(str(other) for other in (*inside[-5:], source))
            raise UsageError(f"{one.key}: files name each other in a loop: {way}", one.origin)
        return source

    def _place(self, source: Source, given: str) -> placeholders.Place:
        machine = self.place.machine
        if source.file == "-" or external_sources.is_address(source.file):
            return placeholders.Place("", given, source.named, machine, "", self._top)
        linked = os.path.islink(source.file)
        path = os.path.join(machine.folder, source.file) if linked else os.path.realpath(source.file)
        inode = ""
        with suppress(OSError):
            inode = str(os.lstat(path).st_ino)
        place = placeholders.Place(path, given, source.named, machine, inode, self._top)
        self._top = self._top or place
        return place

    def _without_percent(self, one: Assignment, place: placeholders.Place) -> Assignment:
        """The assignment with %x replaced, in its name and its text."""
        if "%" not in one.text and "%" not in one.key:
            return one
        (key, unknown), (text, others) = placeholders.percent(one.key, place), placeholders.percent(one.text, place)
        for name in (*unknown, *others):
            self._warn(f"{one.origin}: {one.key}: {name} means nothing and is left out; %% is a percent sign")
        return replace(one, key=key.strip(), text=text.strip())  # stripped last, as in uWSGI

    # What works on lines

    def _set(self, one: Assignment, inside: Inside) -> None:
        name, text = _pair(one, "NAME=TEXT")
        self._put(Assignment(name, text, one.origin), inside)

    def _set_placeholder(self, one: Assignment, inside: Inside) -> None:
        name, text = _pair(one, "NAME=TEXT")
        if OPTIONS.find(name):
            raise UsageError(f"{one.key}: {name} is an option, so it cannot be a placeholder", one.origin)
        self.placeholders.add(name)
        self._put(Assignment(name, text, one.origin), inside)

    def _resolve(self, one: Assignment, inside: Inside) -> None:
        name, host = _pair(one, "NAME=HOST")
        try:
            address = external_sources.address_of(host)
        except (OSError, UnicodeError) as error:
            raise UsageError(f"{one.key}: cannot find the address of {host[:200]!r}: {error}", one.origin) from None
        self._set_placeholder(replace(one, text=f"{name}={address}"), inside)

    def _declare(self, one: Assignment, inside: Inside) -> None:
        name, template = _pair(one, "NAME=OPTION=TEXT;OPTION=TEXT...")
        self.declared[name] = template
        self.placeholders.add(name)

    def _apply_declared(self, one: Assignment, inside: Inside, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise UsageError(f"{one.key}: options that were declared name each other in a loop", one.origin)
        words = one.text.split(" ") if one.text else [""]
        for part in filter(None, self.declared[one.key].split(";")):
            for number, word in enumerate((word for word in words if word or not one.text), 1):
                part = part.replace(f"${number}", word)
                if len(part) > placeholders.MAX_TEXT:
                    raise UsageError(f"{one.key}: what it stands for is too long", one.origin)
            key, equals, text = part.partition("=")
            if not equals:
                self._warn(f"{one.origin}: {one.key}: found {part[:60]!r}, wanted OPTION=TEXT; it has no effect")
                break
            self._put(Assignment(key.strip(), text, one.origin), inside, depth)

    def _envdir(self, one: Assignment, inside: Inside) -> None:
        """A folder with a file for each variable; an empty file removes it."""
        try:
            names = sorted(name for name in os.listdir(one.text) if not name.startswith("."))
        except OSError as error:
            raise UsageError(f"{one.key}: cannot read {one.text!r}: {error.strerror}", one.origin) from None
        for name in names:
            path = os.path.join(one.text, name)
            if not os.path.isfile(path):
                continue
            text = self._fetch(path, one).decode("utf-8", "surrogateescape").removesuffix("\n")
            self._literal.add(len(self.assignments))
            if os.path.getsize(path):
                self._environ[name] = text
                self._put(Assignment("env", f"{name}={text}", Origin(path)), inside)
            else:
                self._environ.pop(name, None)
                self._put(Assignment("unenv", name, Origin(path)), inside)

    def _fall_back(self, one: Assignment, inside: Inside) -> None:
        self.fallback = one.text

    # When all is there

    def finish(self) -> None:
        """Replace what stands for something else, in all texts; then read what is inherited, and the envdirs."""
        done = 0
        while done < len(self.assignments):
            batch = [index for index in range(done, len(self.assignments)) if index not in self._literal]
            done = len(self.assignments)
            for symbol, lookup in (("$", self._variable), ("@", self._content), ("%", self._placeholder)):
                for index in batch:
                    try:
                        self.assignments[index] = self._replaced(self.assignments[index], symbol, lookup)
                    except UsageError as error:
                        self.wrong(error)
            inherits, self._inherits = self._inherits, []
            for index, inside in inherits:
                self._act_at_the_end(self._read, self.assignments[index], inside)
        for one in [one for one in self.assignments if one.key == "envdir"]:
            self._act_at_the_end(self._envdir, one, ())

    def _act_at_the_end(self, act: Callable[[Assignment, Inside], None], one: Assignment, inside: Inside) -> None:
        try:
            act(one, inside)
        except UsageError as error:
            self.wrong(error)

    def _replaced(self, one: Assignment, symbol: str, lookup: Callable[[str, Assignment], str | None]) -> Assignment:
        if symbol + "(" not in one.text:
            return one
        try:
            text = placeholders.references(one.text, symbol, lambda name: lookup(name, one))
        except placeholders.Endless:
            raise UsageError(f"{one.key}: what {one.text[:60]!r} stands for has no end", one.origin) from None
        self._size += len(text) - len(one.text)
        if self._size > MAX_SIZE:
            raise UsageError(f"{one.key}: all texts together are longer than {MAX_SIZE >> 20} MiB", one.origin)
        return replace(one, text=text)

    def _variable(self, name: str, one: Assignment) -> str | None:
        self.used_variables.add(name)
        if name not in self._environ:
            self._warn(f"{one.origin}: {one.key}: the environment variable {name[:60]} is not set")
        return self._environ.get(name)

    def _content(self, name: str, one: Assignment) -> str:
        text = self._fetch(name, one).decode("utf-8", "surrogateescape")
        return text[:-1] if text.endswith(("\n", "\r")) else text

    def _placeholder(self, name: str, one: Assignment) -> str | None:
        def text_of(word: str) -> str | None:
            self.used.add(word)
            return self._text_of(word)

        found = placeholders.compute(name, text_of)
        if found is None and _is_plain(one.key):
            self._warn(f"{one.origin}: {one.key}: nothing is called {name[:60]}, so %({name[:60]}) stays as it is")
        return found


_DIRECTIVES: dict[str, Callable[[Sources, Assignment, Inside], None]] = {
    "set": Sources._set,
    "set-placeholder": Sources._set_placeholder,
    "set-ph": Sources._set_placeholder,
    "resolve": Sources._resolve,
    "declare-option": Sources._declare,
    "declare-option2": Sources._declare,
    "early-envdir": Sources._envdir,
    "fallback-config": Sources._fall_back,
}

DIRECTIVES = frozenset(
    {
        *FORMATS,
        *BY_EXTENSION,
        "inherit",
        "envdir",
        *_DIRECTIVES,
        *loops_and_conditions.RULES,
        *loops_and_conditions.ENDS,
    }
)
"""The options that have done their work when all is read."""


_AT_ONCE = frozenset({*FORMATS, *BY_EXTENSION, "early-envdir"})
"""Those that name what is read now."""


def _measure(one: Assignment) -> None:
    """Raise UsageError for what no option can be."""
    if len(one.key) > MAX_NAME:
        raise UsageError(f"found a name of {len(one.key)} characters, {one.key[:40]!r}...", one.origin)
    if len(one.text) > placeholders.MAX_TEXT:
        raise UsageError(
            f"{one.key}: a text of {len(one.text)} characters is too long, at most {placeholders.MAX_TEXT}", one.origin
        )
    if "\0" in one.key or "\0" in one.text:
        raise UsageError(f"{one.key}: found a NUL, wanted a text", one.origin)
    try:
        (one.key + one.text).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UsageError(f"{one.key}: found half a surrogate pair, which is no character", one.origin) from None


def _pair(one: Assignment, wanted: str) -> tuple[str, str]:
    name, equals, text = one.text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{one.key}: found {one.text[:60]!r}, wanted {wanted}", one.origin)
    return name.strip(), text


def _reader_of(file: str, one: Assignment) -> Reader:
    extension = file.rpartition(".")[2]
    if extension not in FORMATS or extension == "xmlconfig":
        wanted = ", ".join(f".{name}" for name in FORMATS if name != "xmlconfig")
        raise UsageError(f"{one.key}: what is {file[:200]!r}? wanted a name that ends in {wanted}", one.origin)
    return FORMATS[extension]


def _is_plain(key: str) -> bool:
    """Is it an option without a language of its own? Log formats and routes have names in %( ) that are not ours."""
    return OPTIONS.find(key) is not None and not any(word in key for word in ("log", "route", "metric"))
