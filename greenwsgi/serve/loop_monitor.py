"""The monitor: a native thread that watches the loop from outside, for harakiri's second level and for reports of code
that blocks the loop.

When the loop is blocked, no greenlet can run. Threads do not survive a fork, so each worker starts its own, with
original, unpatched primitives. It needs the GIL for a moment in each round. Python code that never waits releases it
every 5 ms; if C code keeps it, the master ends the worker (SIGABRT makes faulthandler write the stack).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from math import inf
from types import FrameType

from gevent import monkey

from greenwsgi.clock import Clock
from greenwsgi.errors import EXIT_HARAKIRI, EXIT_ORPHAN
from greenwsgi.log.server_log import LAST_WORDS, ServerLog
from greenwsgi.serve.service import RunningExchange
from greenwsgi.shared.metrics import BLOCKED_LOOPS
from greenwsgi.shared.run_command import end_groups
from greenwsgi.shared.scoreboard import RunningRequest, Seat
from greenwsgi.wsgi.run_application import run

_ANCHOR = run.__code__
"""The frame by which a request is found on the stack of a blocked loop."""

ROUND = 0.25
"""Seconds between two looks."""
BLOCKED = 1.0
"""A loop that has not run for this many seconds is blocked. The watchdog's interval is a quarter."""
GRACE = 1.0
"""Seconds past its deadline that a request gets, in which harakiri's first level can end it if the loop runs again."""
STUCK = 0.5
"""Seconds for which one greenlet must have run before the process is ended for it. A loop that is late because many
greenlets have much work is busy, not blocked."""
LEAST_WARNING = 0.5
"""The smallest value of blocked-loop-warning: a shorter one would report loops that run."""

_poll = monkey.get_original("select", "poll")
_sleep = monkey.get_original("time", "sleep")
_start_thread = monkey.get_original("_thread", "start_new_thread")
_ident = monkey.get_original("_thread", "get_ident")


class LoopMonitor:
    """Watches the loop of one worker.

    When the lifeline ends, the master is gone. The worker drains then, which a blocked loop cannot do, so the monitor
    ends the process `mercy` seconds later at the latest.

    Arguments:

    - seat: the worker's place on the scoreboard, with its heartbeat and its running requests.
    - lifeline: the descriptor of the lifeline.
    - mercy: see above.
    - log: the server log; the monitor writes to its descriptor without waiting.
    - clock: the time source.
    - leave: ends the process with an exit status.
    - warning: seconds for which the loop may be blocked before it is reported; 0 disables reports.
    """

    def __init__(
        self,
        seat: Seat,
        lifeline: int,
        mercy: float,
        log: ServerLog,
        clock: Clock,
        leave: Callable[[int], object] = os._exit,
        warning: float = 0,
    ) -> None:
        self._seat = seat
        self._lifeline = lifeline
        self._mercy = mercy
        self._log = log
        self._own_log = ServerLog.of_thread(log.fd, _poll)
        """A log that never waits: while the thread waited for a full log, nothing could end this process."""
        self._clock = clock
        self._leave = leave
        self._warning = max(warning, LEAST_WARNING) if warning > 0 else inf
        self._looked = clock.monotonic()
        self._woke = 0.0
        """When the process ran again after it was stopped or had no CPU time, so that the monitor did not run."""
        self._reported = 0.0
        """The last heartbeat before the last reported blockage."""
        self._main = _ident()
        self._suspect = 0
        """The id of the outermost frame of the greenlet that was running at the last look; `_suspected`: since when."""
        self._suspected = 0.0

    def lose_log(self) -> None:
        """The log's descriptor now belongs to another file: write nothing more."""
        self._own_log.lose()

    def start(self) -> None:
        """Start the thread. To be called in the thread of the loop."""
        _start_thread(self._run, ())

    def _run(self) -> None:
        poll = _poll()
        poll.register(self._lifeline, 0)  # its end is reported without a flag
        while not poll.poll(ROUND * 1000):
            self.look()
        deadline = self._clock.monotonic() + self._mercy
        while self._clock.monotonic() < deadline:
            _sleep(ROUND)
            self.look()
        self._end(EXIT_ORPHAN)

    def look(self) -> None:
        """One round: report a blocked loop, and end the process if a request is too far past its deadline."""
        self._own_log.flush()
        now = self._clock.monotonic()
        if now - self._looked >= BLOCKED:  # nor could the loop: count from now on
            self._woke = now
        self._looked = now
        self._seat.beat_monitor(now)
        beat = self._seat.heartbeat()
        blocked = now - max(beat, self._woke)
        if beat and blocked >= self._warning and beat != self._reported:
            self._reported = beat
            self._seat.counters[BLOCKED_LOOPS] += 1
            frame = sys._current_frames().get(self._main)
            self._own_log.warning(
                f"worker {self._seat.number}'s loop is blocked, for {blocked:.1f} s so far, by {_culprit(frame)};"
                f" requests that wait or block: {len(self._seat.running())}; it is here:\n{_stack(frame)}"
            )
        if blocked < ROUND:
            self._suspect = 0
            return
        frame = sys._current_frames().get(self._main)
        if self._stuck(frame, now) and blocked >= BLOCKED and (late := self._late(_exchange(frame), now)):
            self._own_log.error(self._report(frame, blocked, late))
            self._own_log.flush(LAST_WORDS)
            self._end(EXIT_HARAKIRI)

    def _end(self, status: int) -> None:
        """End the process, and the CGI programs that it runs: there may be no master to do that."""
        end_groups(self._seat.programs())
        self._leave(status)

    def _stuck(self, frame: FrameType | None, now: float) -> bool:
        """Whether one greenlet has run for STUCK seconds, identified by its outermost frame or its request's frame."""
        while frame is not None and frame.f_code is not _ANCHOR and frame.f_back is not None:
            frame = frame.f_back
        if id(frame) != self._suspect:
            self._suspect, self._suspected = id(frame), now
        return now - self._suspected >= STUCK

    def _late(self, guilty: RunningExchange | None, now: float) -> list[RunningRequest]:
        """The requests past their deadline for which the process must be ended.

        guilty: the request that blocks the loop, None for code outside of requests. It may run until its own deadline;
        other requests that are late meanwhile only wait for it. Code outside of requests, and a request without a
        deadline, may run until the first of the others is late.
        """
        running = self._seat.running()
        if guilty is not None and guilty.deadline < inf:
            running = [one for one in running if one.core == guilty.core]
        return [one for one in running if one.deadline + GRACE <= now]

    def turned(self, last: float, now: float) -> None:
        """Called at each tick with the times of the previous tick and of this one. Logs a blockage that is over."""
        blocked = now - last
        if not last or blocked < self._warning:
            return
        number = self._seat.number
        if self._reported == last:
            self._log.warning(f"worker {number}'s loop turns again after {blocked:.1f} s")
            return
        self._seat.counters[BLOCKED_LOOPS] += 1
        self._log.warning(
            f"worker {number}'s loop was blocked for {blocked:.1f} s by native code that kept the GIL, or the whole"
            " process was stopped; there is no stack of it"
        )

    def _report(self, frame: FrameType | None, blocked: float, late: list[RunningRequest]) -> str:
        requests = "; ".join(f"{one.method} {one.uri} from {one.addr} on core {one.core}" for one in late)
        return (
            f"harakiri: worker {self._seat.number} has been blocked for {blocked:.1f} s and is replaced;"
            f" past their deadline: {requests}; the loop is here:\n{_stack(frame)}"
        )


def _stack(frame: FrameType | None) -> str:
    return "".join(traceback.format_stack(frame)) if frame else "  (no Python frame)\n"


def _exchange(frame: FrameType | None) -> RunningExchange | None:
    """The request to which the stack belongs: each request has one anchor frame, on its own greenlet's stack."""
    while frame is not None:
        if frame.f_code is _ANCHOR:
            request: RunningExchange | None = frame.f_locals["request"]
            return request
        frame = frame.f_back
    return None


def _culprit(frame: FrameType | None) -> str:
    """A description of the code that blocks the loop, for the log."""
    exchange = _exchange(frame)
    if exchange is not None:
        return f"{exchange.what} on core {exchange.core}"
    if frame is None:
        return "native code"
    while frame.f_back is not None:
        frame = frame.f_back
    code = frame.f_code
    return f"a greenlet of no request, {code.co_qualname} ({code.co_filename}:{code.co_firstlineno})"
