"""A child of the server that is neither a zygote nor a worker: what the master knows of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from signal import Signals

from greenwsgi.process.supervision.child_roles import WantedChild
from greenwsgi.process.supervision.restart_backoff import QUICK, RestartBackoff


@dataclass(slots=True)
class ChildState:
    """A child of the server, as the master sees it; also one that waits to be started again, or that has ended."""

    wanted: WantedChild
    pid: int = 0
    """0 if no process runs."""
    since: float = 0.0
    """When that was started."""
    generation: int = 0
    """The generation that served then, 0 for none."""
    ended: bool = False
    """It has ended, and its role has it started once."""
    backoff: RestartBackoff = field(default_factory=RestartBackoff)
    told: Signals | None = None
    """The last signal that asked it to go."""
    kill_at: float = inf
    """When it gets SIGKILL if it has not gone."""
    outdated: str = ""
    """Why it has to leave although it is wanted, "" if it may stay."""

    def started(self, pid: int, now: float, generation: int) -> None:
        self.pid, self.since, self.generation = pid, now, generation
        self.told, self.kill_at, self.outdated = None, inf, ""

    def gone(self, now: float) -> None:
        """No process runs any more, or none could be started."""
        role, asked = self.wanted.role, self.told is not None
        self.backoff.died(role, quickly=not asked and now - self.since < QUICK, now=now)
        self.ended = not asked and not role.restarts
        self.pid, self.told, self.kill_at = 0, None, inf

    def __str__(self) -> str:
        return f"{self.wanted} (pid {self.pid})" if self.pid else str(self.wanted)
