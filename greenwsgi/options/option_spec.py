"""What an option is. One `option()` in a section's dataclass is its default, its type and its declaration at once.

The command line, the readers of files, near misses, --help, docs/options.md and error texts are derived from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from greenwsgi.options.value_kinds import FLAG, ParsedValue, ValueKind

T = TypeVar("T")

INT_MAX = 2**31 - 1


class Status(Enum):
    """What greenwsgi does with an option. All but WORKS need a note."""

    WORKS = "works"
    PARTIAL = "partial"  # the note says what differs from uWSGI
    ACCEPTED = "accepted"  # it changes nothing here, and nothing is lost, for one of the reasons below
    LATER = "later"  # not yet: one warning, and the server starts
    REFUSED = "refused"  # to start would be wrong or unsafe; the note says what to use instead


MEANINGS = {
    Status.WORKS: "it does what it says",
    Status.PARTIAL: "it differs from uWSGI as noted",
    Status.ACCEPTED: "it changes nothing here, and nothing is lost, for the reason noted",
    Status.LATER: "it has no effect yet: a warning, and the server starts",
    Status.REFUSED: "the server does not start with it; the note says what to use",
}


class Reason(Enum):
    """Why nothing is lost when an option has no effect: the closed list. There is no other excuse."""

    ALWAYS = "It always is so here."
    GEVENT = "gevent does it already."
    PLUGIN = "There are no plugins: what is served needs none."
    NO_ROUTER = "There is no router process: the workers speak HTTP themselves."
    DESIGN = "There is no such choice in this design."
    KERNEL = "What the kernel does is right."
    SAFER = "The safer way is the only one."
    TUNES = "It only tunes another option, and has no effect without it."


class Verdict(NamedTuple):
    """What becomes of one value of an option."""

    status: Status
    note: str


Judge = Callable[[str], Verdict | None]
"""Tells by the value's text; None where the option's own status holds."""


class ChangeNeeds(Enum):
    """What it takes to change the option's value in a running server."""

    LIVE = "live"
    WORKERS = "workers"  # a reload: the new workers have it
    RESTART = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option. `names` without dashes, the main one first; `short` is one letter; the bounds are for numbers.

    reason: why nothing is lost, when the status is ACCEPTED; `note` begins with it.
    judge: for an option whose status depends on its value.
    """

    names: tuple[str, ...]
    short: str
    kind: ValueKind[Any]
    metavar: str
    default: Any
    help: str
    status: Status
    note: str
    reload: ChangeNeeds
    reason: Reason | None = None
    judge: Judge | None = None
    least: float = 0
    most: float = INT_MAX

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def wanted(self) -> str:
        """What a value must be, as the end of an error message."""
        return f"{self.kind.wanted} from {self.least} to {self.most}" if self.kind.measured else self.kind.wanted

    def verdict(self, text: str) -> Verdict:
        """What becomes of this value. A flag that is off asks for nothing."""
        if self.kind is FLAG and self.status in (Status.LATER, Status.REFUSED) and not FLAG.read(text).value:
            return Verdict(Status.ACCEPTED, "It is off.")
        return (self.judge(text) if self.judge else None) or Verdict(self.status, self.note)

    def read(self, text: str) -> ParsedValue[Any]:
        """The value that `text` means; raises ValueError when there is none, or when it is out of bounds."""
        reading = self.kind.read(text)
        if self.kind.measured and not self.least <= reading.value <= self.most:
            raise ValueError(text)
        return reading


def option(
    *names: str,
    kind: ValueKind[T],
    default: T,
    help: str,
    short: str = "",
    metavar: str = "",
    status: Status = Status.WORKS,
    note: str = "",
    reload: ChangeNeeds = ChangeNeeds.WORKERS,
    reason: Reason | None = None,
    judge: Judge | None = None,
    least: float = 0,
    most: float = INT_MAX,
) -> T:
    """A field of a section's dataclass that is an option; see Option for the arguments."""
    declared = Option(
        names=names,
        short=short,
        kind=kind,
        metavar=metavar or kind.metavar,
        default=default,
        help=help,
        status=Status.ACCEPTED if reason else status,
        note=f"{reason.value} {note}".rstrip() if reason else note,
        reload=reload,
        reason=reason,
        judge=judge,
        least=least,
        most=most,
    )
    return field(default=default, metadata={"option": declared})
