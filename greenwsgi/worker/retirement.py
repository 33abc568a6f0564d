"""A worker that reached a limit or lost a descriptor asks for a successor. The master decides when it leaves."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from gevent.hub import get_hub

from greenwsgi.clock import Clock
from greenwsgi.serve.service import Service
from greenwsgi.shared import descriptor_numbers
from greenwsgi.worker.worker_boot import WorkerBoot
from greenwsgi.worker.worker_limits import WorkerLimits, measure

LIMITS_LOOK = 1.0
"""Seconds between two checks of the worker's age and memory."""

DESCRIPTORS_LOOK = 1.0
"""Seconds between two checks of its descriptors."""


class Retirement:
    """Watches the limits and the descriptors of one worker, and asks for a successor once."""

    def __init__(self, boot: WorkerBoot, clock: Clock) -> None:
        self._boot = boot
        self._clock = clock
        self._born = clock.monotonic()
        self._limits = WorkerLimits.of_worker(boot.number, boot.settings.processes)
        self._service: Service | None = None
        self._asked = False
        self._timers: list[Any] = []

    @property
    def request_ended(self) -> Callable[[], None] | None:
        """To be called after every request; None without a limit of requests."""
        return self._look_at_requests if self._limits.requests < inf else None

    def start(self, service: Service, lost: Callable[[list[int]], None]) -> None:
        """Start the timers. lost: called with the descriptors of the server that the application has closed."""
        self._service = service
        if self._limits.any:
            self._every(LIMITS_LOOK, self._look_at_limits)
        self._every(DESCRIPTORS_LOOK, lambda: self._look_at_descriptors(lost))

    def ask(self, reason: str) -> None:
        """Ask for a successor, once."""
        if not self._asked:
            self._asked = True
            self._boot.report.retire(reason)

    def _every(self, seconds: float, look: Callable[[], None]) -> None:
        timer = get_hub().loop.timer(seconds, seconds)
        timer.start(look)
        self._timers.append(timer)

    def _look_at_requests(self) -> None:
        """A request has ended. Hot path: only the count is compared here."""
        assert self._service is not None
        if self._service.counts.requests >= self._limits.requests and not self._asked:
            self._look_at_limits()

    def _look_at_limits(self) -> None:
        assert self._service is not None
        age = self._clock.monotonic() - self._born
        if reason := self._limits.reached(self._service.counts.requests, age, measure):
            self.ask(reason)

    def _look_at_descriptors(self, report: Callable[[list[int]], None]) -> None:
        """Ask for a successor if the application, which has the same descriptors, has closed one of the server.

        Without its listeners the worker could not accept, without the pipes it would outlive the master.
        """
        assert self._service is not None
        descriptor_numbers.open_standard()
        lost = self._service.descriptor_owners.lost()
        if not lost:
            return
        self._timers.pop().stop()  # the timer of this look
        report(lost)
        what = f"the application has closed descriptors of the server: {', '.join(map(str, lost))}"
        self._boot.log.error(what)
        self.ask(what)
