"""Greenlets that carry connections, one at a time, and may carry another when nothing tells them from new ones.

A greenlet is dear to make and to end: Python 3.11 and later map and unmap memory for its frames, which with the page
faults costs 25 to 35 us on the machine that this was measured on, a third of a whole uwsgi request (122 us with a new
greenlet for each connection, 86 us with this).

But a greenlet is also a place where applications leave things: thread-locals, a Timeout that was never cancelled,
links, a reference by which somebody may kill it. None of that may reach another client. So a greenlet is taken again
only if it has no greenlet-local state, no links, and exactly as many references as one that has never run an
application; its context (contextvars) is replaced by an empty one. Any other ends, as if it had never been to stay.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gevent import Greenlet
from gevent.hub import get_hub

if TYPE_CHECKING:
    from greenwsgi.serve.connection import Connection

MOST_IDLE = 256


class Carriers:
    """The greenlets of one worker's connections. All methods are to be called in the hub."""

    def __init__(self) -> None:
        self._switch_to_hub = get_hub().switch
        self._idle: list[Any] = []
        self._least_idle = 0
        self._new: deque[Connection] = deque()
        """Connections whose greenlet has been spawned and not run yet. As its arguments they would never be freed."""
        self._pattern: Any = Greenlet.spawn(self._wait)
        """It only waits, as an idle carrier does, and has run nobody's code; it ends when it was counted."""
        self._references = self._attributes = 0
        """How many of each a carrier has that nobody else knows; 0 before that was counted."""

    def carry(self, connection: Connection) -> None:
        """Give a connection a greenlet, in which it runs from now on."""
        idle = self._idle
        while idle:
            carrier = idle.pop()
            if (
                sys.getrefcount(carrier) == self._references
                and len(carrier.__dict__) == self._attributes
                and not carrier.has_links()
            ):
                connection.greenlet = carrier
                carrier.gr_context = None
                carrier.switch(connection)
                break
            _end(carrier)
        else:
            connection.greenlet = Greenlet.spawn(self._live)
            self._new.append(connection)
            if not self._references:
                self._count()
        if len(idle) < self._least_idle:
            self._least_idle = len(idle)

    @property
    def waiting(self) -> Iterable[Connection]:
        """Connections whose greenlet has not run yet."""
        return self._new

    def shrink(self) -> None:
        """End those that were not needed since the last call."""
        unneeded, self._idle[: self._least_idle] = self._idle[: self._least_idle], []
        for carrier in unneeded:
            _end(carrier)
        self._least_idle = len(self._idle)

    def close(self) -> None:
        """End all that are idle."""
        self._least_idle = len(self._idle)
        self.shrink()

    def _count(self) -> None:
        if self._pattern.gr_frame is not None:  # it has begun to wait
            carrier, self._pattern = self._pattern, None
            self._references = sys.getrefcount(carrier)
            self._attributes = len(carrier.__dict__)
            _end(carrier)

    def _wait(self) -> None:
        self._switch_to_hub()

    def _live(self) -> None:
        """A carrier's life. It must not refer to itself while it waits: its references are counted."""
        connection: Connection | None = self._new.popleft()
        while connection is not None:
            connection.run()
            if len(self._idle) >= MOST_IDLE:
                break
            self._idle.append(connection.greenlet)
            connection.greenlet = None
            connection = None  # it may go while this waits
            connection = self._switch_to_hub()


def _end(carrier: Any) -> None:
    if not carrier.dead:
        carrier.switch(None)
