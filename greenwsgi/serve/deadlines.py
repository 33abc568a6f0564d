"""Waiting in the hub until a deadline, without a timer for each wait.

Hot path. gevent's Timeout costs 3 us a wait, more than a whole system call; here a wait puts its greenlet and deadline
into a dictionary (0.1 us) and a timer of the worker looks through it four times a second. So a timeout comes up to a
quarter of a second late, which no peer can tell from the network.
"""

from __future__ import annotations

from typing import Any

from gevent.hub import get_hub
from greenlet import getcurrent

from greenwsgi.errors import PeerGone

NEVER = float("inf")


class PeerStalled(PeerGone):
    """The peer did not move before its deadline."""


class Deadlines:
    """The waiting greenlets of one worker and when each gives up, in monotonic seconds."""

    __slots__ = ("_switch_to_hub", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[Any, float] = {}
        self._switch_to_hub = get_hub().switch

    def wait(self, watcher: Any, until: float) -> None:
        """Wait for a libev watcher; raises PeerStalled once `until` has passed.

        It may return too early (somebody else switched to this greenlet): callers try again and come back. Starting the
        watcher with the greenlet's own `switch` takes 2.8 us where `hub.wait`, which checks who woke it, takes 3.9.
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
            # A greenlet thrown at before may have woken this one, or moved its deadline: look again.
            if self.waiting.get(greenlet, NEVER) <= now:
                greenlet.throw(PeerStalled("the peer did not move in time"))
