"""What an option is. One `option()` in a section's dataclass is its default, its type and its declaration at once.

The command line, the readers of files, near misses, --help, docs/options.md and error texts are derived from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from greenwsgi.options.kinds import Kind, Reading

T = TypeVar("T")

INT_MAX = 2**31 - 1


class Status(Enum):
    """What greenwsgi does with an option. All but WORKS need a note."""

    WORKS = "works"
    PARTIAL = "partial"  # the note says what differs from uWSGI
    ACCEPTED = "accepted"  # it changes nothing here; the note says why nothing is lost
    LATER = "later"  # not yet: one warning, and the server starts
    REFUSED = "refused"  # to start would be wrong or unsafe; the note says what to use instead


class Reload(Enum):
    """What it takes to change the option's value in a running server."""

    LIVE = "live"
    WORKERS = "workers"  # a reload: the new workers have it
    RESTART = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option. `names` without dashes, the main one first; `short` is one letter; the bounds are for numbers."""

    names: tuple[str, ...]
    short: str
    kind: Kind[Any]
    metavar: str
    default: Any
    help: str
    status: Status
    note: str
    reload: Reload
    least: float
    most: float

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def wanted(self) -> str:
        """What a value must be, as the end of an error message."""
        return f"{self.kind.wanted} from {self.least} to {self.most}" if self.kind.measured else self.kind.wanted

    def read(self, text: str) -> Reading[Any]:
        """The value that `text` means; raises ValueError when there is none, or when it is out of bounds."""
        reading = self.kind.read(text)
        if self.kind.measured and not self.least <= reading.value <= self.most:
            raise ValueError(text)
        return reading


def option(
    *names: str,
    kind: Kind[T],
    default: T,
    help: str,
    short: str = "",
    metavar: str = "",
    status: Status = Status.WORKS,
    note: str = "",
    reload: Reload = Reload.WORKERS,
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
        status=status,
        note=note,
        reload=reload,
        least=least,
        most=most,
    )
    return field(default=default, metadata={"option": declared})
