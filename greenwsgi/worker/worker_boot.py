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
from greenwsgi.shared.messages import BoundListener
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
    listeners: tuple[BoundListener, ...]
    lifeline: int
    """A descriptor whose end means that the master is gone."""
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
    commands: int = -1
    """The reading end of its command pipe, -1 for none."""
    reopen_log: Callable[[], object] = bool
    """What ReopenLog asks for."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that the worker cannot do without."""
        commands = (self.commands,) if self.commands >= 0 else ()
        return (self.lifeline, self.report.fd, *commands, *(one.fd for one in self.listeners))
