"""The watchdog: deadlines, harakiri's first level, the heartbeat, and who watches whose client.

It wakes four times a second. Its time is bounded by what runs and waits: 5,000 held requests cost it 0.1 % of a core.
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
LOOK = 0.04
"""Seconds between two looks for requests whose client is to be watched."""
STRIKES = 3
AGAIN = 0.5
LAST = -2
"""libev's lowest priority: after a pass in which something blocked the loop, what became ready meanwhile runs before
the tick. That it is late is not its fault."""


class Watchdog:
    """A timer of the hub: what it does to a greenlet happens while that greenlet is certainly not running.

    give_up: called with a request that has survived all strikes; its worker cannot be saved then.
    verbose: say with each strike what else the worker runs (harakiri-verbose).
    turned: told at each tick when the one before was and when this is, for reports on a blocked loop.
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
        self._said_at = 0.0
        self._lag = 0.0
        self._looked = clock.monotonic()

    def start(self) -> None:
        """Begin; the first tick is now."""
        self.tick()
        self._timer.start(self.tick)
        self._look_timer.start(self.look)

    def look(self) -> None:
        """Begin to watch the clients of requests that are older than one look.

        `running` is in the order of their beginning: behind the first that was seen before, all were.
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
        """Beat, refresh the Date header, end waits and requests that are past their deadline."""
        service = self._service
        now = self._clock.monotonic()
        if self._turned is not None:
            self._turned(service.seat.heartbeat(), now)
        service.seat.beat(now)
        service.seat.counters[IN_FLIGHT] = len(service.running)
        service.seat.counters[LOOP_LAG_US] = int(self._lag * 1e6)
        service.seat.counters[GREENLETS] = service.greenlet_pool.made
        self._lag /= 2  # a moment's lateness is not forgotten at once, but soon
        service.tick_date(self._clock.wall())
        if not service.slots.free and (wanted := len(service.slots.queue) + service.overload.refused):
            self._relieve(wanted, now)
        if now >= self._said_at + 1.0 and service.overload.any:
            self._say_overload()
            self._said_at = now
        service.greenlet_pool.shrink()
        service.deadlines.sweep(now)
        for exchange in list(service.running.values()):
            exchange.look()
        for exchange in [one for one in service.running.values() if one.deadline <= now]:
            # One that was hit before may have ended this one: only what still runs may be hit.
            if service.running.get(exchange.greenlet) is exchange:
                self._strike(exchange, now)

    def _relieve(self, wanted: int, now: float) -> None:
        """Requests wait for slots, or were turned away: take back those of the slowest bodies, at most `wanted`."""
        paces = [(exchange.pace(now), exchange.core, exchange) for exchange in self._service.running.values()]
        for _, _, exchange in sorted(one for one in paces if one[0] < inf)[:wanted]:
            self._service.overload.slow_bodies += exchange.give_up_body()

    def _say_overload(self) -> None:
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
