"""What greenwsgi makes of a configuration, name by name: the judgement that `greenwsgi check` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from greenwsgi.config import option_rules
from greenwsgi.config.load import ReadConfiguration, read
from greenwsgi.config.settings import Assignment, Settings
from greenwsgi.errors import UsageError
from greenwsgi.options.catalog import OPTIONS, Entry
from greenwsgi.options.option_spec import Status

STARTS, DOES_NOT_START = "starts", "does not start"

PLACEHOLDER, UNKNOWN = "placeholder", "unknown"
"""What a name is that no option has: used by another line as %(name), or by none."""


NOT_IN_FORCE = "Not in force"


class StartOutcome(IntEnum):
    """The verdict as an exit status."""

    STARTS = 0
    STARTS_BUT = 1
    DOES_NOT_START = 2


@dataclass(frozen=True, slots=True)
class Item:
    """One name of the configuration, as it was written and what becomes of it."""

    option: str
    value: str
    """As written, with variables and placeholders replaced."""
    status: str
    """A Status's value, PLACEHOLDER or UNKNOWN."""
    file: str
    line: int
    """0 in a place without lines, such as the command line."""
    note: str
    """What to know about it, or ""."""
    in_force: bool = True
    """False if a condition leaves it out."""

    @property
    def origin(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class ConfigurationReport:
    """All items in the order of writing; what was read with leniency; what gevent changes; and what comes of it."""

    items: tuple[Item, ...]
    warnings: tuple[str, ...]
    changes: tuple[str, ...]
    outcome: StartOutcome
    verdict: str


def report(
    arguments: Sequence[str], environ: Mapping[str, str], passed_over: Collection[str] = ()
) -> ConfigurationReport:
    """The judgement on a command line and the files it names, in that environment; never raises UsageError.

    passed_over: the sources whose own assignments are not worth a word, such as a command line that only names a file.
    """
    warnings: list[str] = []
    mistakes: list[UsageError] = []
    reading = read(arguments, environ, warnings.append, mistakes)
    items = [item for item in _items(reading) if item.file not in passed_over]
    outcome, verdict, settings = _verdict(reading, items, warnings, mistakes)
    changes = tuple(_changes(settings, {one.key for one in reading.assignments})) if settings else ()
    return ConfigurationReport(tuple(items), tuple(dict.fromkeys(warnings)), changes, outcome, verdict)


def _items(reading: ReadConfiguration) -> Iterator[Item]:
    last = {OPTIONS.find(one.key) or one.key: one for one in reading.assignments}
    for one in reading.assignments:
        entry = OPTIONS.find(one.key)
        item = _known(entry, one) if entry else _no_option(one, reading.used | reading.placeholders)
        if entry and not entry.option.kind.many and last[entry] is not one:
            item = _noted(item, f"Replaced at {last[entry].origin}.")
        yield item
    for one, why in reading.dropped:
        entry = OPTIONS.find(one.key)
        item = _known(entry, one) if entry else _no_option(one, reading.used | reading.placeholders)
        yield replace(item, note=f"{NOT_IN_FORCE}: {why}.", in_force=False)


def _known(entry: Entry, one: Assignment) -> Item:
    option, origin = entry.option, one.origin
    status, note = option.verdict(one.text)
    try:
        found = option.read(one.text)
    except ValueError:
        wanted = (
            f"Found {one.text!r}, wanted {option.wanted}." if one.text else f"Found nothing, wanted {option.wanted}."
        )
        return Item(one.key, one.text, Status.REFUSED.value, origin.source, origin.line, wanted)
    item = Item(one.key, one.text, status.value, origin.source, origin.line, note)
    became = ", ".join(option.kind.texts(found.value))
    if found.lenient:
        item = _noted(item, f"Taken as {became or 'nothing'}.")
    return item if one.key == option.name else _noted(item, f"Another name of {option.name}.")


def _no_option(one: Assignment, used: Collection[str]) -> Item:
    status, near = PLACEHOLDER, ""
    if one.key not in used:
        status, near = UNKNOWN, OPTIONS.near(one.key)
    meant = (
        f"There is no such option; did you mean {near}?" if near else "There is no such option, and no line uses it."
    )
    return Item(one.key, one.text, status, one.origin.source, one.origin.line, meant if status == UNKNOWN else "")


def _noted(item: Item, more: str) -> Item:
    return replace(item, note=f"{item.note} {more}".strip())


def _verdict(
    reading: ReadConfiguration, items: list[Item], warnings: list[str], mistakes: list[UsageError]
) -> tuple[StartOutcome, str, Settings | None]:
    try:
        if mistakes:
            warnings += [str(error) for error in mistakes[1:]]
            raise mistakes[0]
        settings = reading.build(warnings.append)
        option_rules.check(settings, warnings.append)
    except UsageError as error:
        return StartOutcome.DOES_NOT_START, f"{DOES_NOT_START}: {error}", None
    count = Counter(item.status for item in items if item.in_force)
    later, unknown = count[Status.LATER.value], count[UNKNOWN]
    lost = []
    if later:
        lost.append(f"{later} of its options {'has' if later == 1 else 'have'} no effect yet")
    if unknown:
        lost.append(f"{unknown} of its names {'is' if unknown == 1 else 'are'} no option")
    if lost:
        return StartOutcome.STARTS_BUT, f"{STARTS}; {' and '.join(lost)}", settings
    return StartOutcome.STARTS, STARTS, settings


# What running on gevent changes

Applies = Callable[[Settings, Collection[str]], bool]
"""Whether a change is worth a word, from the settings and the names that were written."""


def _was_not_async(settings: Settings, names: Collection[str]) -> bool:
    return not {"gevent", "async"} & set(names)


MANY_AT_ONCE = (
    "A worker runs many requests at the same time (async {0.processes.async_}), each in a greenlet, where uWSGI without"
    " gevent ran one in each process or thread: what requests share, such as globals or one database connection, must"
    " bear that."
)
GREEN = (
    "Python's blocking calls (sockets, ssl, sleep, subprocess, threading) let other requests run meanwhile; native"
    " drivers that block do not, and are named in the log when they are imported."
)
THREADS = "Threads are greenlets: threads = N asks for nothing, async says how many requests run at once."
HARAKIRI = "harakiri ends one request with 504, and leaves its worker and the others alone."
PRELOAD = (
    "The application is imported once, before the workers are forked: threads and connections that its import opens are"
    " named in the log (lazy-apps imports it in each worker)."
)
SIGTERM = "SIGTERM stops the server, as docker and systemd mean it; uWSGI reloads (sigterm-reloads)."
NO_ROUTER = "The workers speak HTTP themselves, with keep-alive; there is no router process in between."

CHANGES: tuple[tuple[Applies, str], ...] = (
    (_was_not_async, MANY_AT_ONCE),
    (_was_not_async, GREEN),
    (lambda settings, names: bool({"threads", "enable-threads"} & set(names)), THREADS),
    (lambda settings, names: bool(settings.limits.harakiri), HARAKIRI),
    (lambda settings, names: not settings.processes.lazy_apps, PRELOAD),
    (lambda settings, names: not {"die-on-term", "sigterm-reloads"} & set(names), SIGTERM),
    (lambda settings, names: bool({"http", "https"} & set(names)), NO_ROUTER),
)
"""What a uWSGI user's application meets here that it did not meet there."""


def _changes(settings: Settings, names: Collection[str]) -> Iterator[str]:
    for applies, text in CHANGES:
        if applies(settings, names):
            yield text.format(settings)
