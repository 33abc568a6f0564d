"""All that a worker is born with: what its zygote knows and the master has asked for."""

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
    """One worker's."""

    settings: Settings
    number: int
    """1..N, the same through all its lives."""
    generation: int
    board: Scoreboard
    seat: Seat
    """Its place on the board."""
    resources: Resources
    """All that is open for it: its own, its generation's and the server's."""
    report: ReportPipe
    application: Application | None
    """None under lazy-apps: then the worker imports it."""
    log: ServerLog
    hooks: Hooks
    forks: ForkHook
    """The at-fork hook, which has to know of all that a child of the application must not have."""
    tls: Mapping[str, ServerTls] = field(default_factory=dict)
    """TLS of each address that speaks it."""
    paused: bool = False
    """It accepts nothing until it is resumed."""
    probation: bool = False
    """The worker before it crashed."""
    reopen_log: Callable[[], object] = bool
    """What ReopenLog asks for."""

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
        """The descriptors that the worker cannot do without."""
        commands = (self.commands,) if self.commands >= 0 else ()
        return (self.lifeline, self.report.fd, *commands, *(one.fd for one in self.listeners))
