"""The watchdog: deadlines, harakiri's first level, the heartbeat, and the start of watching clients.

It runs four times a second. Its time depends on the number of running requests and waiting greenlets: with 5,000
requests it takes 0.1 % of a core.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from math import inf

from gevent.hub import get_hub

from greenwsgi.clock import Clock
from greenwsgi.serve.deadlines import NEVER
from greenwsgi.serve.exchange import HarakiriTimeout
from greenwsgi.serve.greenlet_interrupt import interrupt
from greenwsgi.serve.service import RunningExchange, Service
from greenwsgi.shared.metrics import GREENLETS, IN_FLIGHT, LOOP_LAG, LOOP_LAG_US, observe

TICK = 0.25
"""Seconds between two ticks."""
LOOK = 0.04
"""Seconds between two searches for requests whose client must be watched."""
STRIKES = 3
"""The number of exceptions that harakiri throws into one request."""
AGAIN = 0.5
"""Seconds between two of them."""
LAST = -2
"""libev's lowest priority: after the loop was blocked, everything that became ready meanwhile runs before the tick, so
that requests which are late only because of the blockage are not ended."""


class Watchdog:
    """The watchdog of one worker. It runs in the hub, so no greenlet runs while it throws an exception into one.

    Arguments:

    - service: what all connections of the worker share.
    - clock: the time source.
    - give_up: called with a request that has survived all strikes; it has to end the worker.
    - verbose: log the other running requests with each strike (harakiri-verbose).
    - turned: called at each tick with the times of the previous tick and of this one, for reports of a blocked loop.
    """

    def __init__(
        self,
        service: Service,
        clock: Clock,
        give_up: Callable[[RunningExchange], None],
        *,
        verbose: bool = False,
        turned: Callable[[float, float], None] | None = None,
    ) -> None:
        self._service = service
        self._verbose = verbose
        self._clock = clock
        self._give_up = give_up
        self._turned = turned
        self._timer = get_hub().loop.timer(TICK, TICK, priority=LAST)
        self._look_timer = get_hub().loop.timer(LOOK, LOOK)
        self._unwatched: list[RunningExchange] = []
        self._logged_at = 0.0
        self._lag = 0.0
        self._looked = clock.monotonic()

    def start(self) -> None:
        """Start the timers. The first tick is done at once."""
        self.tick()
        self._timer.start(self.tick)
        self._look_timer.start(self.look)

    def look(self) -> None:
        """Begin to watch the clients of requests that have run since the previous call.

        `running` is in the order in which requests began, so all that are older than a seen one have been seen too.
        """
        now = self._clock.monotonic()
        lag = max(0.0, now - self._looked - LOOK)
        observe(self._service.seat.counters, LOOP_LAG, int(lag * 1e6))
        self._lag = max(self._lag, lag)
        self._looked = now
        young = []
        for exchange in reversed(self._service.running.values()):
            if exchange.seen:
                break
            exchange.seen = True
            young.append(exchange)
        running = self._service.running
        self._unwatched = [
            one for one in (*self._unwatched, *young) if running.get(one.greenlet) is one and not one.watch()
        ]

    def tick(self) -> None:
        """Write the heartbeat, refresh the Date header, and end waits and requests that are past their deadline."""
        service = self._service
        now = self._clock.monotonic()
        if self._turned is not None:
            self._turned(service.seat.heartbeat(), now)
        service.seat.beat(now)
        service.seat.counters[IN_FLIGHT] = len(service.running)
        service.seat.counters[LOOP_LAG_US] = int(self._lag * 1e6)
        service.seat.counters[GREENLETS] = service.greenlet_pool.made
        self._lag /= 2  # the lag that is shown decays
        service.tick_date(self._clock.wall())
        if not service.slots.free and (wanted := len(service.slots.queue) + service.overload.refused):
            self._relieve(wanted, now)
        if now >= self._logged_at + 1.0 and service.overload.any:
            self._log_overload()
            self._logged_at = now
        service.greenlet_pool.shrink()
        service.deadlines.sweep(now)
        for exchange in list(service.running.values()):
            exchange.look()
        for exchange in [one for one in service.running.values() if one.deadline <= now]:
            # An exception thrown before may have ended this request: only those that still run may be interrupted.
            if service.running.get(exchange.greenlet) is exchange:
                self._strike(exchange, now)

    def _relieve(self, wanted: int, now: float) -> None:
        """Requests wait for slots or were refused: free the slots of at most `wanted` requests with slow bodies."""
        paces = [(exchange.pace(now), exchange.core, exchange) for exchange in self._service.running.values()]
        for _, _, exchange in sorted(one for one in paces if one[0] < inf)[:wanted]:
            self._service.overload.slow_bodies += exchange.give_up_body()

    def _log_overload(self) -> None:
        notes, warn = self._service.overload, self._service.log.warning
        if notes.refused:
            warn(f"overloaded: {notes.refused} requests were answered 503: {notes.refused_reason}")
            notes.refused = 0
        if notes.slow_bodies:
            what = "requests were ended, since their bodies came too slowly while others waited for a slot"
            warn(f"overloaded: {notes.slow_bodies} {what}")
            notes.slow_bodies = 0
        if notes.shortage:
            warn(f"overloaded: connections wait in the kernel: {notes.shortage}")
            notes.shortage = ""

    def _others(self, guilty: RunningExchange, now: float) -> str:
        if not self._verbose:
            return ""
        others = [one for one in self._service.running.values() if one is not guilty]
        lines = [f"  core {one.core}: {one.what}, {now - one.begun:.1f} s" for one in others]
        return "\n".join([f"beside it run {len(others)} requests:", *lines]) + "\n"

    def _strike(self, exchange: RunningExchange, now: float) -> None:
        exchange.strikes += 1
        if exchange.strikes > STRIKES:
            exchange.postpone(NEVER)
            self._give_up(exchange)
            return
        exchange.postpone(now + AGAIN)
        frame = exchange.greenlet.gr_frame
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "  (no Python frame)\n"
        self._service.log.warning(
            f"harakiri: {exchange.what} has run {now - exchange.begun:.1f} s"
            f" on core {exchange.core}, strike {exchange.strikes}; it is here:\n{stack}{self._others(exchange, now)}"
        )
        interrupt(exchange.greenlet, HarakiriTimeout(exchange))
