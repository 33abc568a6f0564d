"""The `async` slots of a worker: how many requests run at once.

A request takes a slot when its head is complete and gives it back when its answer has ended, so idle and half-sent
connections take none.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from gevent.hub import get_hub
from greenlet import getcurrent

from greenwsgi.serve.deadlines import NEVER, Deadlines


class _Ticket:
    """A place in the queue; `core` is set by whoever gives its slot to it."""

    __slots__ = ("core", "greenlet")

    def __init__(self, greenlet: Any) -> None:
        self.greenlet = greenlet
        self.core = -1


class Slots:
    """Slots are numbered from 0; the highest free one is taken first, as uWSGI does with its cores.

    `free` may be popped directly when it is not empty (that is `take` without the call).
    """

    def __init__(self, count: int, deadlines: Deadlines) -> None:
        self.count = count
        self.free = list(range(count))
        self.queue: deque[_Ticket] = deque()
        self._deadlines = deadlines

    def take(self, until: float = NEVER) -> int:
        """A slot; waits in line for one, and raises PeerStalled when none came until `until`."""
        if self.free:
            return self.free.pop()
        ticket = _Ticket(getcurrent())
        self.queue.append(ticket)
        try:
            while ticket.core < 0:
                self._deadlines.pause(until)
        except BaseException:
            if ticket.core >= 0:  # it came while we were being ended
                self.give(ticket.core)
            else:
                self.queue.remove(ticket)
            raise
        finally:
            ticket.greenlet = None  # a wake that is still under way must not hit what this greenlet does next
        return ticket.core

    def give(self, core: int) -> None:
        """Give a slot back, or on to the request that has waited longest."""
        if self.queue:
            ticket = self.queue.popleft()
            ticket.core = core
            get_hub().loop.run_callback(_wake, ticket)
        else:
            self.free.append(core)


def _wake(ticket: _Ticket) -> None:
    if ticket.greenlet is not None:
        ticket.greenlet.switch()
