"""The data with which a worker starts: from its zygote, and from the master's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from greenwsgi.config.settings import Settings
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve.fork_hook import ForkHook
from greenwsgi.serve.tls_contexts import ServerTls
from greenwsgi.shared.hooks import Hooks
from greenwsgi.shared.message_pipes import ReportPipe
from greenwsgi.shared.resources import LIFELINE, READER, BoundListener, Resources, worker_commands
from greenwsgi.shared.scoreboard import Scoreboard, Seat
from greenwsgi.wsgi.types import Application


@dataclass(frozen=True, slots=True)
class WorkerBoot:
    """The start data of one worker."""

    settings: Settings
    number: int
    """1..N. A worker's successor has the same number."""
    generation: int
    """The number of its generation."""
    board: Scoreboard
    """The scoreboard of its generation."""
    seat: Seat
    """Its place on the scoreboard."""
    resources: Resources
    """All that is open for it: its own, its generation's and the server's."""
    report: ReportPipe
    """The pipe to the master."""
    application: Application | None
    """None under lazy-apps: then the worker imports it."""
    log: ServerLog
    hooks: Hooks
    """Performs the configured hooks."""
    forks: ForkHook
    """The at-fork hook. It is given every descriptor that a process forked by the application must not have."""
    tls: Mapping[str, ServerTls] = field(default_factory=dict)
    """The TLS settings of the listeners that use TLS, by address."""
    paused: bool = False
    """Accept nothing until Resume."""
    probation: bool = False
    """Its predecessor crashed, see serve/crash_probation.py."""
    reopen_log: Callable[[], object] = bool
    """Called for the command ReopenLog."""

    @property
    def listeners(self) -> tuple[BoundListener, ...]:
        return self.resources.listeners

    @property
    def lifeline(self) -> int:
        """A descriptor that has an end of file when the master is gone."""
        return self.resources.fd(LIFELINE)

    @property
    def commands(self) -> int:
        """The reading end of its command pipe, -1 for none."""
        return self.resources.fd(worker_commands(self.seat.index, READER))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that the worker needs."""
        commands = (self.commands,) if self.commands >= 0 else ()
        return (self.lifeline, self.report.fd, *commands, *(one.fd for one in self.listeners))
