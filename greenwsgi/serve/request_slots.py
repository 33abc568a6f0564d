"""The `async` slots of a worker: how many requests run at once.

A request takes a slot when its head is complete and gives it back when its answer has ended, so idle and half-sent
connections take none.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from gevent.hub import get_hub
from greenlet import getcurrent

from greenwsgi.errors import GreenwsgiError
from greenwsgi.serve.deadlines import NEVER, Deadlines, PeerStalled


class Overloaded(GreenwsgiError):
    """There is no slot for a request, and will not be soon."""


class _Ticket:
    """A place in the queue; `core` is set by whoever gives its slot to it."""

    __slots__ = ("core", "greenlet")

    def __init__(self, greenlet: Any) -> None:
        self.greenlet = greenlet
        self.core = -1


class RequestSlots:
    """Slots are numbered from 0; the highest free one is taken first, as uWSGI does with its cores.

    `free` may be popped directly when it is not empty (that is `take` without the call). At most `most_waiting`
    requests wait in line.
    """

    def __init__(self, count: int, deadlines: Deadlines, most_waiting: int = -1) -> None:
        self.count = count
        self.most_waiting = count if most_waiting < 0 else most_waiting
        self.free = list(range(count))
        self.queue: deque[_Ticket] = deque()
        self._deadlines = deadlines

    def take(self, until: float = NEVER) -> int:
        """A slot; waits in line for one. Raises Overloaded when the line is full, or when none came until `until`."""
        if self.free:
            return self.free.pop()
        if len(self.queue) >= self.most_waiting:
            raise Overloaded("all slots and all places in line are taken (async, queue-size)")
        ticket = _Ticket(getcurrent())
        self.queue.append(ticket)
        try:
            while ticket.core < 0:
                self._deadlines.pause(until)
        except BaseException as error:
            if ticket.core >= 0:  # it came while we were being ended
                self.give(ticket.core)
            else:
                self.queue.remove(ticket)
            if isinstance(error, PeerStalled):
                raise Overloaded("no slot came free in time (async, queue-timeout)") from None
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
