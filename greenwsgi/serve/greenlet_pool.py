"""A pool of greenlets. Each runs one connection at a time, and is reused only if it cannot be distinguished from a new
greenlet.

To make and end a greenlet is expensive: Python 3.11 and later map and unmap memory for its frames. With the page faults
this took 25 to 35 us on the machine of the measurement, a third of a whole uwsgi request (122 us with a new greenlet
for each connection, 86 us with the pool).

But applications can leave state on a greenlet, and none of it may reach another client. The next request of a kept
connection may also be another client's, if the peer is a proxy. So the greenlet is checked at the end of each request
(`is_clean`). If it differs from a new one in anything, it ends at once, and its connection continues in another one.
Code that waits for the greenlet's end (`join`, `link`) is then notified, and a pending `kill` is over. An idle greenlet
is checked for its count of references only, because nothing but gc can find it.

What can be left on a greenlet, and what detects it. tests/serve/test_greenlet_pool.py has a case for each:

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
- `dead`: it was killed while it was idle.
- `gr_context`: context variables, such as those of decimal and structlog. It is replaced at the end of each request,
  twice, since a destructor may have set some again.

Not on the greenlet, so a new one has the same: sys.settrace, sys.setprofile, greenlet.settrace, hooks for asynchronous
generators and the running asyncio loop belong to the native thread. What an application keeps by id(greenlet), which is
what threading.get_ident() returns, cannot be detected: CPython gives a new greenlet the address of one that has ended.

The count of references is compared with that of a greenlet that has run no application. It must be exact, so what
refers to a pooled greenlet is the same at each check: its connection, and the object by which the hub has resumed it;
no local variable. If other code holds a reference at that moment, the greenlet is not reused, which only costs time.
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
"""The number of idle greenlets that are kept."""

_has_links = Greenlet.has_links
_end_thread: Any = getattr(gevent.threading, "_cleanup", None)
"""The link by which gevent takes the thread object of a greenlet out of threading's list. It has no public name;
without it, they end, as all greenlets with links do."""


class Carried(Protocol):
    """What a greenlet of the pool runs. Connection is one."""

    greenlet: Any
    """The greenlet that runs it; None if that greenlet must end."""

    def run(self) -> bool:
        """Run until it ends or needs another greenlet. False if its greenlet has not been checked since."""

    def drop(self) -> None:
        """End at once: no greenlet can be made for it."""


class GreenletPool:
    """The greenlets of one worker's connections. Methods must be called in the hub, unless they say otherwise.

    Attributes:

    - made: how many greenlets have been made.
    - references: the count of references that `is_clean` expects in a running greenlet without other references; 0
      before it has been measured.
    """

    def __init__(self) -> None:
        self.made = 0
        self._hub = hub = get_hub()
        self._loop = hub.loop
        self._switch_to_hub = hub.switch
        self._idle: list[Any] = []
        self._least_idle = 0
        self.waiting: deque[Any] = deque()
        """Connections whose greenlet is spawned and has not run yet. As its arguments they would not be freed."""
        self._run = self._live
        self._attributes = {"_run": self._run}
        self._references_idle = self.references = 0

    def carry(self, connection: Carried) -> None:
        """Run a connection in an idle greenlet, or in a new one."""
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
            if (
                connection.greenlet.spawn_tree_locals is not None
            ):  # GEVENT_TRACK_GREENLET_TREE: else all would share one dict
                connection.greenlet.spawn_tree_locals = {}
            self.waiting.append(connection)
            self.made += 1
        if len(idle) < self._least_idle:
            self._least_idle = len(idle)

    def is_clean(self, pooled: Any) -> bool:
        """Called in a pooled greenlet: is it the same as a new one, now that its context has been replaced?"""
        if pooled.gr_context is not None:
            pooled.gr_context = None
            pooled.gr_context = None  # a destructor of a value in the context may have set a new one
        return (
            getrefcount(pooled) == self.references
            and not getweakrefcount(pooled)
            and not _has_links(pooled)
            and pooled.__dict__ == self._attributes
            and not pooled.kwargs
            and pooled.spawn_tree_locals is None
            and pooled.parent is self._hub
        )

    def is_spent(self, connection: Carried) -> bool:
        """Called in a pooled greenlet that is not clean, at the end of a request: must it end?

        Not if it only has a thread object, or an additional reference by the object with which the hub resumed it
        (that has one at least). So this switches to the hub once (0.5 us) and checks again.
        """
        if _has_links(connection.greenlet):
            _forget_thread(connection.greenlet)
        if self.is_clean(connection.greenlet):
            return False
        if not _has_links(connection.greenlet):
            try:
                self._turn(connection.greenlet.switch)
            except BaseException:  # meant for the request that has ended: the connection continues
                return True
        return not self.is_clean(connection.greenlet)

    def move(self, connection: Carried) -> None:
        """Called in a pooled greenlet that ends now: continue its connection in another greenlet afterwards.

        It takes two callbacks: between them, code that waits for the end of this greenlet is notified.
        """
        self._loop.run_callback(self._loop.run_callback, self._carry_on, connection)

    def shrink(self) -> None:
        """End the greenlets that have been idle since the last call."""
        unneeded, self._idle[: self._least_idle] = self._idle[: self._least_idle], []
        for pooled in unneeded:
            _end(pooled)
        self._least_idle = len(self._idle)

    def close(self) -> None:
        """End all idle greenlets."""
        self._least_idle = len(self._idle)
        self.shrink()

    def _turn(self, switch: Any) -> None:
        """Called in a pooled greenlet, with its `switch`: let the hub resume it by that method and nothing else."""
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
        """The function of a pooled greenlet. It must hold no reference to itself while it waits: they are counted."""
        connection: Carried | None = self.waiting.popleft()
        while connection is not None:
            looked = connection.run()
            if connection.greenlet is None or len(self._idle) >= MOST_IDLE:
                break
            if not looked and not self.is_clean(connection.greenlet) and self.is_spent(connection):
                break
            self._idle.append(connection.greenlet)
            connection.greenlet = None
            connection = None  # so that it is freed while this waits
            connection = self._switch_to_hub()

    def _count(self) -> None:
        """Measure the count of references of a greenlet to which nothing else refers.

        The greenlet is started by `switch`, not by gevent, so that spawn callbacks do not see it. The local variable
        `switch` stands for the object by which the hub resumes a pooled greenlet otherwise.
        """
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

    def _references(self, pooled: Any) -> int:
        """The count as `is_clean` measures it."""
        return getrefcount(pooled)


class _Pattern:
    """Takes the place of a connection, to count the references to its greenlet while that runs."""

    greenlet: Any = None

    def __init__(self, pool: GreenletPool) -> None:
        self._pool = pool

    def run(self) -> bool:
        self._pool.references = self._pool._references(self.greenlet)
        return False


def _forget_thread(pooled: Any) -> None:
    """Remove the greenlet's thread object now, as gevent does at the greenlet's end.

    Otherwise each request that logs would need a new greenlet, which costs more than the log record.
    """
    if _end_thread is not None:
        pooled.unlink(_end_thread)
        _end_thread(pooled)


def _end(pooled: Any) -> None:
    if not pooled.dead:
        pooled.switch(None)
