"""What all connections of one worker share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Protocol

from gevent.event import Event
from greenlet import getcurrent

from greenwsgi.clock import SystemClock
from greenwsgi.log.access_log import AccessLog
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve.deadlines import NEVER, Deadlines
from greenwsgi.serve.descriptor_owners import DescriptorOwners
from greenwsgi.serve.greenlet_pool import GreenletPool
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.serve.request_body import FetchedBodies
from greenwsgi.serve.request_slots import RequestSlots
from greenwsgi.shared.metrics import OVERLOADED
from greenwsgi.shared.scoreboard import Seat
from greenwsgi.wire.protocol import WireLimits, WireProtocol
from greenwsgi.wsgi.forwarded_headers import Forwarding
from greenwsgi.wsgi.header_rules import Dressing
from greenwsgi.wsgi.types import Application


@dataclass(slots=True)
class Timeouts:
    """Seconds. socket: each read and write; send: each write, if it is not 0; header: from the first byte to the whole
    head; keepalive: between requests; queue: for a free slot. body_rate: bytes a second, 0 is no such rule."""

    socket: float
    header: float
    keepalive: float
    queue: float = 30.0
    body_rate: int = 240
    send: float = 0.0


class RunningExchange(Protocol):
    """A request that holds a slot, as watchdog, monitor and operators see it. Exchange is one."""

    core: int
    """Its slot."""
    begun: float
    """Monotonic seconds."""
    deadline: float
    """Monotonic seconds, infinite for none."""
    strikes: int
    """How often harakiri has hit it."""
    seen: bool
    """The watchdog has looked at it."""

    @property
    def greenlet(self) -> Any:
        """The greenlet that runs it."""

    @property
    def what(self) -> str:
        """`GET /path from 1.2.3.4`, for the log."""

    def postpone(self, deadline: float) -> None:
        """Give it another deadline."""

    def pace(self, now: float) -> float:
        """How many bytes a second its body brings, infinite if that is not slow."""

    def give_up_body(self) -> bool:
        """End the wait for its body; False if there is none."""

    def look(self) -> None:
        """Look whether its client has left, where that is not noticed otherwise."""

    def watch(self) -> bool:
        """Begin to watch its client; False while that has to wait."""


class OpenConnection(Protocol):
    """A connection of the worker, for those who do not serve it."""

    greenlet: Any
    peer: str
    protocol: WireProtocol
    stream: Any
    waiting_since: float

    def hurry(self, now: float) -> None:
        """The worker drains: cut short the wait for a request that may never come."""


@dataclass(slots=True)
class Service:
    """One worker's state. `running` maps a slot to the exchange that holds it."""

    application: Application
    log: ServerLog
    access: AccessLog | None
    seat: Seat
    total_requests: Callable[[], int]
    deadlines: Deadlines
    slots: RequestSlots
    limits: WireLimits
    timeouts: Timeouts
    descriptor_owners: DescriptorOwners
    harakiri: float
    """Seconds that a request may take; infinite for no limit."""
    harakiri_for: tuple[tuple[re.Pattern[str], float], ...] = ()
    """Others for the paths that match; the first that does counts."""
    finished: Callable[[], None] | None = None
    """Called after every request; the worker counts towards max-requests with it."""
    forwarding: Forwarding | None = None
    """Finds the real client behind proxies."""
    dressing: Dressing | None = None
    end_on_disconnect: bool = False
    gateway_errors: bool = False
    """wsgi.errors goes to the gateway, where its protocol can carry it."""
    draining: bool = False
    leaving: Event = field(default_factory=Event)
    """The same as an event, for applications: environ["greenwsgi.draining"]."""
    date: bytes = b""
    loop_budget: LoopBudget = field(default_factory=LoopBudget)
    greenlet_pool: GreenletPool = field(default_factory=GreenletPool)
    running: dict[int, RunningExchange] = field(default_factory=dict)
    connections: set[OpenConnection] = field(default_factory=set)

    requests: int = 0
    running_us: int = 0
    tx: int = 0
    """What the scoreboard shows of this worker: requests, their microseconds, bytes sent."""
    shed: int = 0
    """Requests that were answered 503 since the watchdog last said so."""
    shed_reason: str = ""
    hurried: int = 0
    """Requests whose bodies were too slow while others waited for a slot, since the watchdog last said so."""
    fetched: FetchedBodies = field(default_factory=FetchedBodies)
    shortage: str = ""
    """Why connections were left in the kernel since the watchdog last said so; not when siblings take them."""

    def allowed(self, path: str) -> float:
        """Seconds that a request for this path may take."""
        for pattern, seconds in self.harakiri_for:
            if pattern.search(path):
                return seconds
        return self.harakiri

    def set_harakiri(self, seconds: float) -> None:
        """Give the request that calls this so many seconds from now; 0 is no limit. `environ["greenwsgi.harakiri"]`.

        Raises RuntimeError outside of a request's own greenlet, which is how the request is known.
        """
        current = getcurrent()
        for exchange in self.running.values():
            if exchange.greenlet is current:
                exchange.postpone(SystemClock.monotonic() + seconds if seconds > 0 else NEVER)
                return
        raise RuntimeError("greenwsgi.harakiri is to be called in the greenlet of a request")

    def overloaded(self, reason: str) -> None:
        """Count a request that was answered 503; the watchdog logs it, once a second at most."""
        self.seat.counters[OVERLOADED] += 1
        self.shed += 1
        self.shed_reason = reason

    def tick_date(self, wall: float) -> None:
        """Refresh the Date header's value; the watchdog does it four times a second, so that no request has to."""
        self.date = formatdate(wall, usegmt=True).encode()
