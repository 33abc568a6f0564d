"""The `async` slots of a worker: the number of requests that run at once.

A request takes a slot when its head is complete and gives it back when its answer has ended. So idle connections and
incomplete heads take none.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from gevent.hub import get_hub
from greenlet import getcurrent

from greenwsgi.errors import GreenwsgiError
from greenwsgi.serve.deadlines import NEVER, Deadlines, PeerStalled


class Overloaded(GreenwsgiError):
    """No slot is free, and the queue is full or the wait took longer than queue-timeout."""


class _Ticket:
    """A place in the queue."""

    __slots__ = ("core", "greenlet")

    def __init__(self, greenlet: Any) -> None:
        self.greenlet = greenlet
        """The greenlet that waits; None when it no longer does."""
        self.core = -1
        """The slot, set by `RequestSlots.give`; -1 before."""


class RequestSlots:
    """The slots of one worker, numbered from 0. The highest free one is taken first, as uWSGI does with its cores.

    Arguments:

    - count: the number of slots.
    - deadlines: the worker's, for waiting.
    - most_waiting: the number of requests that may wait in the queue; negative for `count`.

    Attributes:

    - count, most_waiting: see the arguments.
    - free: the free slots. It may be popped directly when it is not empty, which is `take` without the call.
    - queue: the requests that wait, the oldest first.
    """

    def __init__(self, count: int, deadlines: Deadlines, most_waiting: int = -1) -> None:
        self.count = count
        self.most_waiting = count if most_waiting < 0 else most_waiting
        self.free = list(range(count))
        self.queue: deque[_Ticket] = deque()
        self._deadlines = deadlines

    def take(self, until: float = NEVER) -> int:
        """Take a slot, or wait for one. Raises Overloaded when the queue is full, or at the deadline `until`."""
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
            if ticket.core >= 0:  # a slot was given in the moment in which this greenlet was ended
                self.give(ticket.core)
            else:
                self.queue.remove(ticket)
            if isinstance(error, PeerStalled):
                raise Overloaded("no slot came free in time (async, queue-timeout)") from None
            raise
        finally:
            ticket.greenlet = None  # a pending `_wake` must not switch to this greenlet later
        return ticket.core

    def give(self, core: int) -> None:
        """Give a slot back, or to the request that has waited longest."""
        if self.queue:
            ticket = self.queue.popleft()
            ticket.core = core
            get_hub().loop.run_callback(_wake, ticket)
        else:
            self.free.append(core)


def _wake(ticket: _Ticket) -> None:
    if ticket.greenlet is not None:
        ticket.greenlet.switch()
