"""Assignments, the currency of configuration, and the Settings that are built from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.catalog import OPTIONS, Entry
from greenwsgi.options.option_spec import Option, Status, Verdict
from greenwsgi.options.table import Sections
from greenwsgi.options.table.sockets import SocketsOptions
from greenwsgi.options.value_types import SHARED, Address

Warn = Callable[[str], None]

DEFAULT_LISTENER = Address("http", "127.0.0.1:8000")

MAX_TOLD = 50
"""Unknown names that are told each by itself."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """`key = text`, as it was written somewhere. A key without a text, such as a bare flag, has the text ""."""

    key: str
    text: str
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Settings(Sections):
    """The effective configuration, passed as an argument to whatever needs it.

    listeners: the addresses of all sockets in the order written, each with its protocol; never empty.
    assignments: what it was built from, and can be built from again. Two Settings of the same values are equal,
    wherever those were written. magic: the %-variables by letter, as in the file that was read last.
    """

    listeners: tuple[Address, ...] = (DEFAULT_LISTENER,)
    assignments: tuple[Assignment, ...] = field(default=(), compare=False)
    magic: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def environment(self) -> dict[str, str | None]:
        """The last word of `env` and `unenv` on each variable that they name; None removes it."""
        found: dict[str, str | None] = {}
        for one in self.assignments:
            if one.key == "env":
                name, _, value = one.text.partition("=")
                found[name] = value
            elif one.key == "unenv":
                found[one.text] = None
        return found

    def environment_over(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What a process that has the one gets of it."""
        wanted = {**environ, **self.environment}
        return {name: value for name, value in wanted.items() if value is not None}

    def origin(self, name: str) -> Origin:
        """Where the option of that name was given its value, for errors that show later; if nowhere, its name."""
        option = OPTIONS.find(name)
        found = [one.origin for one in self.assignments if OPTIONS.find(one.key) is option]
        return found[-1] if found else Origin(name)

    def origins(self, name: str) -> list[Origin]:
        """Where a repeatable option of that name was given each of its values; for options that take one at a time."""
        option = OPTIONS.find(name)
        return [one.origin for one in self.assignments if OPTIONS.find(one.key) is option]

    @property
    def listens_by_default(self) -> bool:
        """Was no address given?"""
        return self.listeners[0].origin == DEFAULT_LISTENER.origin


def silent(text: str) -> None:
    """For those who build again what others have built, and warned about, before."""


def build(
    assignments: Iterable[Assignment],
    warn: Warn = silent,
    *,
    placeholders: Collection[str] = (),
    used: Collection[str] = (),
    magic: Mapping[str, str] | None = None,
) -> Settings:
    """The Settings that the assignments give; the last one wins, and values of repeatable options add up.

    Raises UsageError for a value of the wrong kind and, under `strict`, for an unknown name; otherwise that is only
    warned about. `placeholders` are names that are no options on purpose, `used` those that others refer to: of them
    nothing is said, except of the latter under `strict`.
    """
    assignments = tuple(assignments)
    unknown: dict[str, Assignment] = {}
    values: dict[Entry, Any] = {}
    listeners: list[Address] = []
    told: set[tuple[str, Verdict]] = set()  # once is enough, however often an option without effect is repeated
    for assignment in assignments:
        entry = OPTIONS.find(assignment.key)
        if entry is None:
            if assignment.key not in placeholders:
                unknown.setdefault(assignment.key, assignment)
            continue
        if not entry.field:
            said = (assignment.key, entry.option.verdict(assignment.text))
            read(entry.option, assignment, silent if said in told else warn)
            told.add(said)
            continue
        value = read(entry.option, assignment, warn)
        if entry.option.kind.many:
            value = tuple(replace(one, origin=assignment.origin) if type(one) is Address else one for one in value)
            listeners += (one for one in value if type(one) is Address and one.protocol != SHARED)
            value = values.get(entry, ()) + value
        values[entry] = value
    sections = _sections(values)
    strict = sections.config.strict
    _judge_unknown([one for key, one in unknown.items() if strict or key not in used], strict, warn)
    return Settings(
        **vars(sections),
        listeners=tuple(_resolve(one, sections.sockets) for one in listeners) or (DEFAULT_LISTENER,),
        assignments=assignments,
        magic=magic or {},
    )


def read(option: Option, assignment: Assignment, warn: Warn = silent) -> Any:
    """The value that the assignment gives the option. Raises UsageError when it gives none, or must not be given."""
    key, text, origin = assignment.key, assignment.text, assignment.origin
    verdict = option.verdict(text)
    if verdict.status is Status.REFUSED:
        raise UsageError(f"{key} is refused: {verdict.note}", origin)
    if verdict.status is Status.LATER:
        warn(f"{origin}: {key} has no effect: {verdict.note}")
    try:
        reading = option.read(text)
    except ValueError:
        found = _quote(text) if text else "nothing"
        raise UsageError(f"{key}: found {found}, wanted {option.wanted}", origin) from None
    if reading.lenient:
        meant = ", ".join(option.kind.texts(reading.value)) or "nothing"
        warn(f"{origin}: {key}: {_quote(text)} is taken as {meant}")
    return reading.value


def _sections(values: dict[Entry, Any]) -> Sections:
    sections = Sections()
    for entry, value in values.items():
        section = replace(getattr(sections, entry.section), **{entry.field: value})
        sections = replace(sections, **{entry.section: section})
    return sections


def _resolve(address: Address, sockets: SocketsOptions) -> Address:
    """With its protocol, and with the shared socket's address for `=0`."""
    text = address.text
    if text.startswith("="):
        number, shared = text[1:], sockets.shared_socket
        if not (number.isascii() and number.isdecimal() and len(number) < 10 and int(number) < len(shared)):
            has = f"there are {len(shared)}, counted from 0" if shared else "there is none"
            raise UsageError(f"{text}: no such shared-socket; {has}", address.origin)
        text = shared[int(number)].text
    return replace(address, protocol=address.protocol or sockets.protocol, text=text)


def _judge_unknown(assignments: Sequence[Assignment], strict: bool, warn: Warn) -> None:
    for assignment in assignments[:MAX_TOLD]:
        near = OPTIONS.near(assignment.key)
        text = f"unknown option {_quote(assignment.key)}" + (f", did you mean {near}?" if near else "")
        if strict:
            raise UsageError(text, assignment.origin)
        warn(f"{assignment.origin}: {text} (kept as a placeholder)")
    if len(assignments) > MAX_TOLD:
        warn(f"{assignments[MAX_TOLD].origin}: and {len(assignments) - MAX_TOLD} more unknown options from here on")


def _quote(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


# The way to another process


def encode(settings: Settings) -> dict[str, Any]:
    """What the settings were built from, as plain data that JSON can carry."""
    assignments = [[one.key, one.text, one.origin.source, one.origin.line] for one in settings.assignments]
    return {"assignments": assignments, "magic": dict(settings.magic)}


def decode(data: Mapping[str, Any]) -> Settings:
    """The settings that `encode` made plain."""
    assignments = [Assignment(key, text, Origin(source, line)) for key, text, source, line in data["assignments"]]
    return build(assignments, placeholders={one.key for one in assignments}, magic=data["magic"])
