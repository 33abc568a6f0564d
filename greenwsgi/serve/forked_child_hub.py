"""In a process that the application forked: a hub in which nothing of the parent runs.

The new hub runs libev's default loop, since no other loop has child watchers. How it is emptied depends on which
thread forked:

- A greenlet of the main thread: the loop rests in a callback, so its state is whole. Every watcher and callback is
  stopped and the loop goes on to be used, so that sockets and locks which the child inherits still work. libev makes
  itself a new epoll descriptor before it touches that which the parent has too (EVFLAG_FORKCHECK).
- A native thread: the main thread may have been anywhere in libev. Its loop is destroyed, and another one made. Objects
  of gevent that belong to the old loop raise ValueError then; no thread but the main one could use them before either.

Greenlets of the parent are never resumed: every object that could switch to one (links, waiters, callbacks, watchers)
is emptied, and its contents are kept, because a greenlet that is freed runs its `finally` blocks.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any, NoReturn

import gevent.os
import gevent.subprocess
from gevent import _hub_local, monkey
from gevent import hub as _hub
from gevent._abstract_linkable import AbstractLinkable
from gevent._waiter import Waiter
from gevent.exceptions import LoopExit
from gevent.greenlet import Greenlet
from gevent.hub import Hub, get_hub
from gevent.libev import corecext as _corecext
from greenlet import getcurrent, greenlet

hub_module: Any = _hub
local: Any = _hub_local
gevent_os: Any = gevent.os
corecext: Any = _corecext
"""gevent's stubs lack the names that are used of these."""

fork: Callable[[], int] = monkey.get_original("os", "fork")
_ident: Callable[[], int] = monkey.get_original("_thread", "get_ident")

_kept: list[Any] = []
"""References that keep the parent's greenlets alive. Nothing is ever removed."""

End = Callable[[BaseException | None], NoReturn]


def exempt_popen(fork_program: Callable[[], int]) -> None:
    """Have gevent's Popen fork by this."""
    gevent.subprocess.fork = fork_program  # type: ignore[attr-defined]


def in_request() -> bool:
    """Does a greenlet of the main thread run, and not its hub?"""
    return _ident() == hub_module.MAIN_THREAD_IDENT and getcurrent() is not local.get_hub_if_exists()


# The parent's hub


class _Retired:
    """A hub of the parent, which never runs again. Code that still refers to it waits in the thread's present hub."""

    __slots__ = ()

    dead = True
    """gevent's locks and events read it before they look for the present hub."""
    switch_out = None
    """Code that runs in this hub itself may wait: it waits in the present hub."""
    original: type[Hub]
    end: End
    forked: bool
    """Code that runs in this hub has forked: it continues in the child, and may wait."""

    def switch(self, *args: Any) -> Any:
        if type(self).forked and getcurrent() is get_hub():  # what it waited for has come
            return greenlet.switch(self, *args)  # type: ignore[arg-type]
        return get_hub().switch()

    def wait(self, watcher: Any) -> None:
        get_hub().wait(watcher)

    def handle_error(self, context: Any, kind: Any, value: Any, trace: Any) -> None:
        """A callback that forked has failed, in the child."""
        type(self).end(value)


def _is_retired(hub: Any) -> bool:
    return isinstance(hub, _Retired)


class _Postponed:
    """The hub in a child of Popen, which calls `become_child` first if code waits in it."""

    __slots__ = ()

    original: type[Hub]
    become_child: Callable[[], None]

    def switch(self) -> Any:
        type(self).become_child()
        return get_hub().switch()

    def wait(self, watcher: Any) -> None:
        type(self).become_child()
        get_hub().wait(watcher)


def postpone(become_child: Callable[[], None]) -> None:
    """Do nothing unless the thread's hub is to run."""
    hub = local.get_hub_if_exists()
    if hub is not None:
        _recast(hub, _Postponed, become_child=staticmethod(become_child))


def _recast(hub: Hub, role: type, **attributes: Any) -> None:
    kind = _kind(hub)
    hub.__class__ = type(role.__name__, (role, kind), {"__slots__": (), "original": kind, **attributes})


def _kind(hub: Hub) -> type[Hub]:
    """Its class before it was recast."""
    return getattr(type(hub), "original", type(hub))


class _End(Hub):
    """Takes the hub's place as the parent of a greenlet, and ends the process when that greenlet ends."""

    def __init__(self, loop: Any, end: End) -> None:
        super().__init__(loop)
        self._end = end
        self._origin = getcurrent()
        greenlet.switch(self)  # into `run`, so that it is there for what a raw greenlet raises

    def run(self) -> None:
        error: Any = None
        try:
            greenlet.switch(self._origin)
        except BaseException as raised:
            error = raised
        if isinstance(error, LoopExit) and _is_retired(error.hub):
            error = None  # its callback was all that was left
        self._end(error)

    def handle_error(self, context: Any, kind: Any, value: Any, trace: Any) -> None:
        """A Greenlet, which catches what its function raises, reports to its parent by this."""
        self._end(value)


# A new one


def renew(end: End) -> tuple[list[greenlet], bool]:
    """Give this thread a fresh hub, and make it the main thread.

    end: ends the process. Returns the current greenlet and those to which it returns, whose code continues in the
    child; and whether a native thread has forked.
    """
    native = _ident() != hub_module.MAIN_THREAD_IDENT
    old, current = local.get_hub_if_exists(), getcurrent()
    if old is not None and not isinstance(old.loop, corecext.loop) and not native:
        raise RuntimeError("gevent's loop is none of libev's (GEVENT_LOOP)")
    found = _survivors(old)
    if native:  # they were looked for in vain as long as the main thread's hub was not known
        found += _survivors(*(one for one in found if isinstance(one, Hub)))
    _kept.append(found)
    _silence(found, native)
    for hub in found:
        if isinstance(hub, Hub) and not isinstance(hub, (_Retired, _End)):
            _recast(hub, _Retired, end=staticmethod(end), forked=hub is current)
    _forget_in_os()
    ours = _lineage(current, old)
    local.set_hub(None)
    if native:
        _destroy_default_loop(found)
        hub_module.MAIN_THREAD_IDENT = _ident()
        local.set_loop(None)
        _reset(get_hub().loop)
    elif old is not None:
        local.set_hub(_kind(old)(old.loop))
        if ours[-1].parent is not None:  # or else it is the main greenlet
            _end_with(ours[-1], old, end)
    return ours, native


def _reset(loop: Any) -> None:
    """libev's default loop is a static structure, in which two fields survive when it is made again."""
    loop.break_(0)  # or else it still waits in the main thread
    while loop.activecnt > 0:  # or else it counts watchers from before, and never becomes idle
        loop.unref()


def _lineage(current: greenlet, hub: Hub | None) -> list[greenlet]:
    """The present greenlet and those that it returns to, up to the hub."""
    found = [current]
    while current is not hub and current.parent is not None and current.parent is not hub:
        current = current.parent
        found.append(current)
    return found


def _forget_in_os() -> None:
    """Clear gevent.os: the children, which are the parent's, and the descriptors to close in the loop's next pass."""
    children, closing = gevent_os._watched_children, getattr(gevent_os, "_closing_fd_to_event", {})
    for fd in closing:
        os.closerange(fd, fd + 1)
    _kept.append((dict(children), dict(closing)))
    children.clear()
    closing.clear()


def _end_with(outermost: greenlet, old: Hub, end: End) -> None:
    """The process ends when that greenlet does; if it is the hub itself, when its callback does."""
    stop = _End(old.loop, end)
    root: greenlet = old
    while root.parent is not None:
        root = root.parent
    stop.parent = root
    outermost.parent = stop
    if outermost is old:
        get_hub().parent = stop
        loop: Any = old.loop
        depth = loop.depth
        watcher = loop.prepare(ref=False)
        watcher.start(lambda: end(None) if loop.depth <= depth else None)
        loop.error_handler = old


def _survivors(*hubs: Hub | None) -> list[Any]:
    """All hubs, what could bring a greenlet of these to life, and the greenlets.

    All of that refers to its hub or loop. Looking for what refers to something reads the heap, but does not count a
    reference to each object, as gc.get_objects does, so that the child goes on to share the pages of its parent.
    """
    wanted: set[type] = set()
    for root in (greenlet, AbstractLinkable, Waiter, corecext.watcher):
        wanted |= _family(root)
    loops: list[Any] = [hub.loop for hub in hubs if hub is not None and hub.loop is not None]
    gc.unfreeze()
    referrers = gc.get_referrers(*_family(Hub), *filter(None.__ne__, hubs), *loops)
    found = [one for one in referrers if type(one) in wanted]
    found += [waiting for loop in loops for waiting in loop._callbacks]
    for one in [one for one in found if isinstance(one, AbstractLinkable)]:  # and the callback of each that runs now
        found += [part for part in gc.get_referents(one) if type(part) is corecext.callback]
    return [*found, *loops]


def _family(root: type) -> set[type]:
    found, new = set(), [root]
    while new:
        found.add(one := new.pop())
        new += type.__subclasses__(one)
    return found


def _silence(found: list[Any], native: bool) -> None:
    """Empty what would switch to a greenlet or call back; and keep what was in it."""
    for one in found:
        if isinstance(one, corecext.watcher):
            if one.loop is not None and one.loop.default:
                _stop(one, native)
        elif isinstance(one, corecext.callback):
            _kept.append((one.callback, one.args))
            one.stop()
        elif isinstance(one, AbstractLinkable):
            _unlink(one)
        elif isinstance(one, Waiter):
            _kept.append(one.greenlet)
            one.clear()
        elif isinstance(one, Greenlet) and one.has_links():
            _kept.extend(_lists_of(one))
            one.unlink_all()


def _stop(watcher: Any, native: bool) -> None:
    _kept.append((watcher.callback, watcher.args))
    if native:
        # Destroying the loop does for the others. These are also in tables that all loops share.
        if isinstance(watcher, (corecext.signal, corecext.child)):
            watcher.stop()
    elif isinstance(watcher, corecext.stat):
        # To stop it would end the watch of the parent, whose inotify descriptor it has until the loop turns.
        if watcher.active:
            watcher.callback, watcher.args, watcher.ref = _do_nothing, (), False
    elif not isinstance(watcher, corecext.fork):  # a fork is what those wait for: gevent's thread pools have them
        watcher.stop()


def _do_nothing() -> None:
    """A callback."""


def _unlink(linkable: Any) -> None:
    """Its links are in a list that only C code can reach."""
    if linkable.linkcount():
        for links in _lists_of(linkable):
            _kept.append(links)
            for link in links:
                linkable.unlink(link)


def _lists_of(one: object) -> list[list[Any]]:
    return [list(referent) for referent in gc.get_referents(one) if type(referent) is list]


def _destroy_default_loop(found: list[Any]) -> None:
    loops = [one for one in found if isinstance(one, corecext.loop) and one.default]
    for loop in loops:
        loop.destroy()  # of several on the same, all but the first only take note
