"""Greenlets that carry connections, one at a time, and may carry another when nothing tells them from new ones.

A greenlet is dear to make and to end: Python 3.11 and later map and unmap memory for its frames, which with the page
faults costs 25 to 35 us on the machine that this was measured on, a third of a whole uwsgi request (122 us with a new
greenlet for each connection, 86 us with this).

But a greenlet is also a place where applications leave things, and none of them may reach another client. The next
request of a kept connection is another client's too, when the peer is a proxy. So at the end of each request its
greenlet is looked at (`is_clean`). If there is anything at all that a new one would not have, it ends at once, and what
is left of its connection goes on in another one. Whatever waits for its end, or wants to kill it, is told so then.
An idle one, to which nothing else refers, is only asked for its references again: the way to it is through gc.

What can be left on a greenlet, and what finds it. tests/serve/test_greenlet_pool.py leaves each of these:

- The count of references: a greenlet in a container, closure, frame, Group or Pool, as a lock's owner or another's
  parent; its `switch`, `throw` or `kill` in a callback, timer or watcher of the loop, in an Event's waiters, in a
  signal handler; a Timeout that was not cancelled; a kill or throw that is on its way.
- The count of weak references: WeakKeyDictionary, WeakSet, finalize, proxy, WeakMethod; `minimal_ident` and `name`;
  what it spawned, under GEVENT_TRACK_GREENLET_TREE.
- `has_links`: `link`, `rawlink`, `join`, `get`, `gevent.wait`; threading.local and gevent.local; the thread object of
  threading.current_thread(), which each record of `logging` asks for (see `_forget_thread`).
- `__dict__`: attributes, `name`, the keys of locals. It must still have `_run`, which a call of `kill`, `killall` or
  `gevent.kill` removes, also when what was raised has been caught.
- `kwargs`: its entries. `args`, `value`, `exc_info` and `__class__` cannot be written.
- `spawn_tree_locals`, `parent`: the attributes themselves.
- `dead`: somebody killed it while it was idle.
- `gr_context`: context variables, such as those of decimal and structlog. It is replaced at the end of each request,
  twice, since a destructor may have set some again.

Not on the greenlet, so a new one has the same: sys.settrace, sys.setprofile, greenlet.settrace, hooks for asynchronous
generators and the running asyncio loop belong to the native thread. What an application keeps by id(greenlet), which is
what threading.get_ident() returns, has no owner: CPython gives a new greenlet the address of one that has ended.

The count of references is compared with that of a greenlet that has run no application. It must be exact, so what
refers to a carrier is the same at each look: its connection, and what the hub has woken it by; no local variable. If
somebody looks at a greenlet from outside at that moment, it is not taken again, which only costs time.
"""

from __future__ import annotations

from collections import deque
from sys import getrefcount
from typing import Any, Protocol
from weakref import getweakrefcount

import gevent.threading  # type: ignore[import-not-found]  # the stubs do not know it
from gevent import Greenlet
from gevent.hub import get_hub

MOST_IDLE = 256

_has_links = Greenlet.has_links
_end_thread: Any = getattr(gevent.threading, "_cleanup", None)
"""The link by which gevent takes the thread object of a greenlet out of threading's list. It has no public name;
without it, those greenlets end like all others that have links."""


class Carried(Protocol):
    """What a greenlet of the pool runs. Connection is one."""

    greenlet: Any
    """The greenlet that runs it; None when that is to end."""

    def run(self) -> bool:
        """Run until it ends or needs another greenlet; False if its greenlet has not been looked at since then."""

    def drop(self) -> None:
        """End at once: there is no greenlet for it."""


class GreenletPool:
    """The greenlets of one worker's connections. All methods are to be called in the hub, except those that say so.

    made: how many greenlets there were.
    references: what `is_clean` is to find in one that runs and that nothing else refers to; 0 before that was counted.
    """

    def __init__(self) -> None:
        self.made = 0
        self._hub = hub = get_hub()
        self._loop = hub.loop
        self._switch_to_hub = hub.switch
        self._idle: list[Any] = []
        self._least_idle = 0
        self.waiting: deque[Any] = deque()
        """Connections whose greenlet has been spawned and not run yet. As its arguments they would never be freed."""
        self._run = self._live
        self._attributes = {"_run": self._run}
        self._references_idle = self.references = 0

    def carry(self, connection: Carried) -> None:
        """Give a connection a greenlet, in which it runs from now on."""
        idle = self._idle
        while idle:
            connection.greenlet = idle.pop()
            if getrefcount(connection.greenlet) == self._references_idle and not connection.greenlet.dead:
                connection.greenlet.switch(connection)
                break
            _end(connection.greenlet)
        else:
            if not self.references:
                self._count()
            connection.greenlet = Greenlet.spawn(self._run)
            if connection.greenlet.spawn_tree_locals is not None:  # GEVENT_TRACK_GREENLET_TREE: not all the same ones
                connection.greenlet.spawn_tree_locals = {}
            self.waiting.append(connection)
            self.made += 1
        if len(idle) < self._least_idle:
            self._least_idle = len(idle)

    def is_clean(self, carrier: Any) -> bool:
        """In a carrier: does nothing tell it from a new one, now that its context is replaced?"""
        if carrier.gr_context is not None:
            carrier.gr_context = None
            carrier.gr_context = None  # a destructor of what was in the context has perhaps begun another one
        return (
            getrefcount(carrier) == self.references
            and not getweakrefcount(carrier)
            and not _has_links(carrier)
            and carrier.__dict__ == self._attributes
            and not carrier.kwargs
            and carrier.spawn_tree_locals is None
            and carrier.parent is self._hub
        )

    def is_spent(self, connection: Carried) -> bool:
        """In a carrier that is not clean, at the end of a request: is it to end?

        Not if it only has a thread object, or has a reference too many because of what the hub has woken it by. That
        refers to it once at least. So if there are more, this waits for a turn of the hub (0.5 us) and looks again.
        """
        if _has_links(connection.greenlet):
            _forget_thread(connection.greenlet)
        if self.is_clean(connection.greenlet):
            return False
        if not _has_links(connection.greenlet):
            try:
                self._turn(connection.greenlet.switch)
            except BaseException:  # thrown at a request that has ended: its connection and the next one go on
                return True
        return not self.is_clean(connection.greenlet)

    def move(self, connection: Carried) -> None:
        """In a carrier, which is to end now: let its connection go on in another one after that.

        In two steps, since what waits for the end of this greenlet is told of it between them.
        """
        self._loop.run_callback(self._loop.run_callback, self._carry_on, connection)

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

    def _turn(self, switch: Any) -> None:
        """In a carrier, whose `switch` that is: let the hub wake it by that and by nothing else."""
        callback = self._loop.run_callback(switch)
        del switch
        try:
            self._switch_to_hub()
        finally:
            callback.stop()

    def _carry_on(self, connection: Carried) -> None:
        try:
            self.carry(connection)
        except BaseException:  # there is no memory for a greenlet
            connection.drop()
            raise

    def _live(self) -> None:
        """A carrier's life. It must not refer to itself while it waits: its references are counted."""
        connection: Carried | None = self.waiting.popleft()
        while connection is not None:
            looked = connection.run()
            if connection.greenlet is None or len(self._idle) >= MOST_IDLE:
                break
            if not looked and not self.is_clean(connection.greenlet) and self.is_spent(connection):
                break
            self._idle.append(connection.greenlet)
            connection.greenlet = None
            connection = None  # it may go while this waits
            connection = self._switch_to_hub()

    def _count(self) -> None:
        """Count the references of a greenlet that nothing else refers to: it is not started in gevent's way, so that
        spawn callbacks do not see it. One in the hub's frame stands for what wakes a carrier otherwise."""
        pattern: Any = _Pattern(self)
        pattern.greenlet = Greenlet(self._run)
        self.waiting.append(pattern)
        switch = pattern.greenlet.switch
        switch()
        del switch
        self._references_idle = -1  # if not even this one is clean, as under GEVENT_TRACK_GREENLET_TREE
        if self._idle:
            pattern.greenlet = self._idle.pop()
            self._references_idle = getrefcount(pattern.greenlet)
            _end(pattern.greenlet)

    def _references(self, carrier: Any) -> int:
        """As `is_clean` counts them."""
        return getrefcount(carrier)


class _Pattern:
    """Stands for a connection, and counts what refers to its greenlet while that runs."""

    greenlet: Any = None

    def __init__(self, pool: GreenletPool) -> None:
        self._pool = pool

    def run(self) -> bool:
        self._pool.references = self._pool._references(self.greenlet)
        return False


def _forget_thread(carrier: Any) -> None:
    """Do now what the end of a carrier does to its thread object. Otherwise each request that logs would need a new
    greenlet, which costs more than its record does."""
    if _end_thread is not None:
        carrier.unlink(_end_thread)
        _end_thread(carrier)


def _end(carrier: Any) -> None:
    if not carrier.dead:
        carrier.switch(None)
