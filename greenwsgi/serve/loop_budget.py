"""Giving way: a greenlet that runs without waiting lets the loop poll at least every 10 ms.

The greenlet of a client whose data is always available never waits: pipelined requests, tiny chunks, a fast upload, a
fast download, the output of a program. Without a bound it would run until its data ends, and every other request of the
worker would wait. gevent.sleep(0) does not help: gevent resumes the greenlet in the same pass of the loop and looks at
the clock once in 50 callbacks only.

So every path that can run without waiting calls `check` between two pieces of its work. A piece is one request, one
piece of a body, one send: a millisecond at most where no code of the application runs. docs/architecture.md lists the
paths.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from gevent.hub import get_hub
from greenlet import getcurrent

from greenwsgi.clock import SystemClock

TURN = 0.01
"""Seconds of a pass of the loop that all greenlets together may use without waiting."""
SLICE = 0.0005
"""Seconds that one greenlet may use at least when it goes on; a turn is divided among those that wait for theirs."""
_SOON = 1e-9
"""A timer, however short, is not due before the loop has polled."""

_LAST = -2
"""libev's lowest priority."""

_now = SystemClock.monotonic


class LoopBudget:
    """The budget of one pass of the loop, shared by all greenlets of the worker.

    Greenlets that gave way are resumed after the loop has polled and what became ready has run: new connections before
    the others, each first come, first served, at least one of each a pass and at most for another TURN. So a new
    request waits for one turn of theirs, not for one of each of them.
    """

    __slots__ = ("_hub", "_loop", "_new", "_parked", "_pass", "_timer", "_until")

    def __init__(self) -> None:
        self._hub = get_hub()
        self._loop = self._hub.loop
        self._pass = -1
        """libev's number of the pass for which `_until` holds."""
        self._until = 0.0
        self._parked: deque[list[Any]] = deque()
        self._new: deque[list[Any]] = deque()
        """A list for each greenlet that gave way; it is empty when the greenlet is not to be resumed any more."""
        self._timer: Any = self._loop.timer(_SOON, priority=_LAST)
        """Its priority is the lowest: what became ready by the same poll runs first."""

    def over(self) -> bool:
        """Has this turn lasted TURN? It begins with the first call after the loop has polled."""
        now = _now()
        if self._loop.iteration == self._pass:
            return now >= self._until
        self._pass = self._loop.iteration
        self._until = now + TURN
        return False

    def check(self, *, new: bool = False) -> None:
        """Give way if this turn is over. What is thrown into the greenlet meanwhile passes."""
        if self.over():
            self.give_way(new=new)

    def give_way(self, *, new: bool = False) -> None:
        """Let the loop poll, and what is ready run, before this greenlet goes on. new: its connection is.

        It does nothing in the hub itself and in threads other than the worker's.
        """
        current = getcurrent()
        if current is self._hub or get_hub() is not self._hub:
            return
        ticket = [current]
        (self._new if new else self._parked).append(ticket)
        if not self._timer.active:
            self._timer.start(self._resume)
        try:
            while ticket:  # something else may switch to it
                self._hub.switch()
        finally:
            ticket.clear()

    def _resume(self) -> None:
        """In the hub, after a poll: those that gave way before it."""
        self._pass, end = self._loop.iteration, _now() + TURN
        share = max(SLICE, TURN / max(1, len(self._new) + len(self._parked)))
        try:
            self._resume_some(self._new, share, end)
            self._resume_some(self._parked, share, end)
        finally:
            self._until = end
            if self._parked or self._new:
                self._timer.start(self._resume)

    def _resume_some(self, parked: deque[list[Any]], share: float, end: float) -> None:
        for _ in range(len(parked)):  # one that gives way again waits for the next pass
            ticket = parked.popleft()
            if ticket:
                self._until = min(end, _now() + share)
                ticket.pop().switch()
                if _now() >= end:
                    return
