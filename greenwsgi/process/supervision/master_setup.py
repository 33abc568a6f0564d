"""What a master is made of: all that it needs is given to its constructor in one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from signal import Signals
from typing import Protocol

from greenwsgi.clock import Clock
from greenwsgi.config.settings import Settings
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.control.commands import BY_SIGNAL, Command
from greenwsgi.process.lifecycle.handover import Handover
from greenwsgi.process.supervision.child_roles import SERVER_CHILDREN, ServerChildren
from greenwsgi.process.supervision.event_inbox import Note
from greenwsgi.process.supervision.fleet import Errand, Fleet
from greenwsgi.process.supervision.generation_resources import System
from greenwsgi.process.supervision.shared_segments import SEGMENTS, Segment
from greenwsgi.process.supervision.system_probe import Probe
from greenwsgi.shared.resources import BoundListener
from greenwsgi.shared.scoreboard import RunningRequest


class Waiting(Protocol):
    """Where the master waits for notes; `event_inbox.EventInbox` is the real one."""

    reader: int
    report: int

    @property
    def rest(self) -> str: ...
    def wait(self, timeout: float) -> list[Note]: ...


class KilledLine(Protocol):
    """Writes the access line of a request that died with its worker."""

    def __call__(self, worker: int, pid: int, request: RunningRequest) -> None: ...


class Supervisor(Protocol):
    """What an errand may ask of the master that runs it; `master.Master` is the real one."""

    def open_log(self, path: str) -> None: ...
    def note_all(self) -> None: ...
    def hand_over(self) -> Handover: ...


RunErrand = Callable[[Supervisor], object]


def _do_nothing(*_: object) -> None:
    """Where no one has to hear of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterSetup:
    """All that a master gets. It supervises generations of workers on listeners that are bound already."""

    settings: Settings
    """Those of the first generation."""
    fleet: Fleet
    """A new one, or the one that was handed over."""
    listeners: Sequence[BoundListener]
    log: ServerLog
    log_file: str = ""
    """The path of the log's file, which its processes open again for reopen-log; "" if it goes to no file."""
    inbox: Waiting
    system: System
    clock: Clock
    probe: Probe
    killed_line: KilledLine
    reread: Callable[[Settings], Settings]
    """Gives the settings of each generation after the first, from those of the one that serves. Raises UsageError."""
    signals: Mapping[Signals, Command] = field(default_factory=lambda: BY_SIGNAL)
    """What each signal asks for."""
    handed: Handover | None = None
    """What the image of this process before a re-exec knew; the master goes on from there."""
    errands: Mapping[Errand, RunErrand] = field(default_factory=dict)
    """How errands are done that are not the master's own; one that is missing has nothing to do."""
    server_children: Sequence[ServerChildren] = SERVER_CHILDREN
    """The roles of the server's own children."""
    segments: Sequence[Segment] = SEGMENTS
    """The shared memory of the server as a whole."""
    ready: Callable[[], None] = _do_nothing
    """Called when the first generation serves."""
    refuse_connections: Callable[[bool], None] = _do_nothing
    """Called again and again while the server stops; with True when it stops at once."""
    other_child_died: Callable[[int, int], None] = _do_nothing
    """Called with pid and status of each dead child that was neither a zygote nor a worker."""
