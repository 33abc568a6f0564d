"""The limits of a worker: requests, age, memory. At a limit it asks for a successor; the master decides when it leaves.

The limits of worker N are higher by N-1 deltas, so that not all workers reach them at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from greenwsgi.options.table.processes import ProcessesOptions
from greenwsgi.shared.process_memory import MB, Memory, of


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """The limits of one worker; infinite for none."""

    requests: float = inf
    """The number of requests (max-requests)."""
    lifetime: float = inf
    """Seconds (max-worker-lifetime)."""
    space: float = inf
    """Bytes of address space (reload-on-as)."""
    resident: float = inf
    """Bytes of resident memory (reload-on-rss)."""
    patience: float = 0.0
    """Seconds before which neither requests nor memory count (min-worker-lifetime), so that a limit that is too low
    does not make the server replace its workers all the time."""

    @classmethod
    def of_worker(cls, number: int, options: ProcessesOptions) -> WorkerLimits:
        """The limits that the options set for worker `number`."""
        more = number - 1
        return cls(
            requests=_limit(options.max_requests, more * options.max_requests_delta),
            lifetime=_limit(options.max_worker_lifetime, more * options.max_worker_lifetime_delta),
            space=_limit(options.reload_on_as) * MB,
            resident=_limit(options.reload_on_rss) * MB,
            patience=options.min_worker_lifetime,
        )

    @property
    def any(self) -> bool:
        return min(self.requests, self.lifetime, self.space, self.resident) < inf

    def reached(self, requests: int, age: float, measure: Callable[[], Memory]) -> str:
        """A text that names the limit that is reached, "" for none. Memory is measured only if it has a limit."""
        if age >= self.lifetime:
            return f"max-worker-lifetime {self.lifetime:g}"
        if age < self.patience:
            return ""
        if requests >= self.requests:
            return f"max-requests {self.requests:g}"
        if min(self.space, self.resident) == inf:
            return ""
        memory = measure()
        if memory.space > self.space:
            return f"reload-on-as {self.space / MB:g}: it has {memory.space / MB:.0f} MB"
        if memory.resident > self.resident:
            return f"reload-on-rss {self.resident / MB:g}: it has {memory.resident / MB:.0f} MB"
        return ""


def measure() -> Memory:
    """The memory of this process."""
    return of(os.getpid())


def _limit(value: float, more: float = 0) -> float:
    return value + more if value else inf
