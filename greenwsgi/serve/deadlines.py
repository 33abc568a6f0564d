"""Waiting in the hub until a deadline, without a timer for each wait.

Hot path. gevent's Timeout costs 3 us for each wait, more than a system call. Here a wait puts its greenlet and deadline
into a dictionary (0.1 us), and a timer of the worker (the watchdog) checks it four times a second. So a timeout comes
up to a quarter of a second late, which a peer cannot distinguish from a delay in the network.
"""

from __future__ import annotations

from typing import Any

from gevent.hub import get_hub
from greenlet import getcurrent

from greenwsgi.errors import PeerGone

NEVER = float("inf")


class PeerStalled(PeerGone):
    """The peer neither sent nor received anything before the deadline."""


class Deadlines:
    """The waiting greenlets of one worker.

    Attribute `waiting`: the deadline of each, in monotonic seconds, by its greenlet.
    """

    __slots__ = ("_switch_to_hub", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[Any, float] = {}
        self._switch_to_hub = get_hub().switch

    def wait(self, watcher: Any, until: float) -> None:
        """Wait for a libev watcher; raises PeerStalled once `until` has passed.

        It may return too early, if other code switched to this greenlet: callers must try again. To start the watcher
        with the greenlet's own `switch` takes 2.8 us; `hub.wait`, which checks by what it was resumed, takes 3.9 us.
        """
        greenlet = getcurrent()
        self.waiting[greenlet] = until
        watcher.start(greenlet.switch)
        try:
            self._switch_to_hub()
        finally:
            watcher.stop()
            del self.waiting[greenlet]

    def pause(self, until: float) -> None:
        """Wait to be switched to; raises PeerStalled once `until` has passed."""
        greenlet = getcurrent()
        self.waiting[greenlet] = until
        try:
            self._switch_to_hub()
        finally:
            del self.waiting[greenlet]

    def sweep(self, now: float) -> None:
        """Throw PeerStalled into every greenlet whose deadline has passed. Runs in the hub."""
        for greenlet in [one for one, until in self.waiting.items() if until <= now]:
            # An exception thrown before may have resumed this greenlet, or moved its deadline: check again.
            if self.waiting.get(greenlet, NEVER) <= now:
                greenlet.throw(PeerStalled("the peer did not move in time"))
