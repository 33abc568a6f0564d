"""How long a process that dies again and again waits until it is started again."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.process.supervision.child_roles import ChildRole

QUICK = 0.5
"""A worker that dies before it is READY, or within this many seconds after, died quickly: only that slows respawns.
So did a zygote that died as soon after it had loaded."""


@dataclass(slots=True)
class RestartBackoff:
    """When a process that died may be started again: at once the first time."""

    deaths: int = 0
    """How often in a row it died quickly."""
    not_before: float = 0.0
    """Monotonic seconds until which it is not started."""
    unready: int = 0
    """How many of these deaths in a row came before it was READY."""
    crashed: bool = False
    """The last worker of this number that had been READY died without being told to leave: probation for the next."""

    def died(self, role: ChildRole, quickly: bool, now: float, *, was_ready: bool = False) -> None:
        self.deaths = self.deaths + 1 if quickly else 0
        self.unready = self.unready + 1 if quickly and not was_ready else 0
        self.crashed |= was_ready
        deaths, longest = (self.deaths, role.longest_after_ready) if was_ready else (self.unready, role.longest_backoff)
        self.not_before = now + backoff(deaths, longest)


def backoff(deaths: int, longest: float) -> float:
    """Seconds to wait after so many quick deaths in a row: 0, 0, 0.25, 0.5, 1 and so on, until `longest`."""
    return 0.0 if deaths < 2 else min(longest, 0.25 * 2.0 ** (deaths - 2))
