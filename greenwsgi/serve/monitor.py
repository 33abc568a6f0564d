"""The monitor: a native thread that watches the loop from outside, for harakiri's second level.

When the loop itself is blocked, no greenlet can help. Threads do not survive a fork, so each worker starts its own,
with original, unpatched primitives. It needs the GIL for an instant each round: Python code that never waits hands it
over every 5 ms; C code that keeps it is the master's business (SIGABRT makes faulthandler write the stack).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from gevent import monkey

from greenwsgi.clock import Clock
from greenwsgi.log.server import ServerLog
from greenwsgi.shared.scoreboard import RunningRequest, Seat

ROUND = 0.25
BLOCKED = 1.0
"""A loop that has not turned for this long, in seconds, is blocked: the watchdog beats four times as often."""
GRACE = 1.0
"""Seconds past its deadline that a request gets, for harakiri's first level to end it if the loop turns again."""
EXIT_HARAKIRI = 70
EXIT_ORPHAN = 71

_poll = monkey.get_original("select", "poll")
_sleep = monkey.get_original("time", "sleep")
_start_thread = monkey.get_original("_thread", "start_new_thread")
_ident = monkey.get_original("_thread", "get_ident")


class Monitor:
    """Watches the worker of one seat; `leave` ends the process.

    The lifeline's end says that the master is gone; the worker drains by itself then, but a blocked loop cannot, so the
    monitor ends the process `mercy` seconds later at the latest.
    """

    def __init__(
        self,
        seat: Seat,
        lifeline: int,
        mercy: float,
        log: ServerLog,
        clock: Clock,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._seat = seat
        self._lifeline = lifeline
        self._mercy = mercy
        self._log = log
        self._clock = clock
        self._leave = leave
        self._main = _ident()

    def start(self) -> None:
        """Start the thread. To be called in the thread of the loop."""
        _start_thread(self._run, ())

    def _run(self) -> None:
        poll = _poll()
        poll.register(self._lifeline, 0)  # its end is told without asking
        while not poll.poll(ROUND * 1000):
            self.look()
        deadline = self._clock.monotonic() + self._mercy
        while self._clock.monotonic() < deadline:
            _sleep(ROUND)
            self.look()
        self._leave(EXIT_ORPHAN)

    def look(self) -> None:
        """One round: end the process if the loop is blocked and a request is too far past its deadline."""
        now = self._clock.monotonic()
        blocked = now - self._seat.heartbeat()
        if blocked < BLOCKED:
            return
        late = [one for one in self._seat.running() if one.deadline + GRACE <= now]
        if late:
            self._log.error(self._report(blocked, late))
            self._leave(EXIT_HARAKIRI)

    def _report(self, blocked: float, late: list[RunningRequest]) -> str:
        frame = sys._current_frames().get(self._main)
        stack = "".join(traceback.format_stack(frame)) if frame else "  (no Python frame)\n"
        requests = "; ".join(f"{one.method} {one.uri} from {one.addr} on core {one.core}" for one in late)
        return (
            f"harakiri: worker {self._seat.number} has been blocked for {blocked:.1f} s and is replaced;"
            f" past their deadline: {requests}; the loop is here:\n{stack}"
        )
