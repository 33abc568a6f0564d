"""What all connections of one worker share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Protocol

from gevent.event import Event

from greenwsgi.log.access_log import AccessLog
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve.deadlines import Deadlines
from greenwsgi.serve.descriptor_owners import DescriptorOwners
from greenwsgi.serve.greenlet_pool import GreenletPool
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.serve.policy import RequestPolicy
from greenwsgi.serve.request_body import FetchedBodies
from greenwsgi.serve.request_slots import RequestSlots
from greenwsgi.shared.metrics import OVERLOADED
from greenwsgi.shared.scoreboard import Seat
from greenwsgi.wire.protocol import WireProtocol
from greenwsgi.wsgi.header_rules import HeaderRules
from greenwsgi.wsgi.types import Application


class RunningExchange(Protocol):
    """A request that holds a slot, for the watchdog, the monitor and operators. Exchange implements it."""

    core: int
    """Its slot."""
    begun: float
    """Monotonic seconds."""
    deadline: float
    """Monotonic seconds, infinite for none."""
    strikes: int
    """How often harakiri has thrown an exception into it."""
    seen: bool
    """The watchdog has seen it."""

    @property
    def greenlet(self) -> Any:
        """The greenlet that runs it."""

    @property
    def what(self) -> str:
        """`GET /path from 1.2.3.4`, for the log."""

    def postpone(self, deadline: float) -> None:
        """Give it another deadline."""

    def pace(self, now: float) -> float:
        """The rate of its body in bytes per second, infinite if it is not slow."""

    def give_up_body(self) -> bool:
        """End the wait for its body; False if there is none."""

    def look(self) -> None:
        """Check whether its client has left, if that must be polled."""

    def watch(self) -> bool:
        """Begin to watch its client; False if that is not possible yet."""


class OpenConnection(Protocol):
    """A connection of the worker, for code that does not serve it. Connection implements it."""

    greenlet: Any
    """The greenlet that runs it, or None."""
    peer: str
    """The client's IP address, "" for a unix socket."""
    protocol: WireProtocol
    stream: Any
    """Its Stream."""
    waiting_since: float
    """Monotonic seconds at which it began to wait for a request, 0 while it has one."""

    def hurry(self, now: float) -> None:
        """Shorten the wait for the next request, because the worker drains."""


@dataclass(slots=True)
class RequestCounts:
    """What the exchanges of a worker count. The scoreboard shows it."""

    requests: int = 0
    """Requests that have ended."""
    running_us: int = 0
    """The sum of their durations, in microseconds."""
    tx: int = 0
    """Bytes sent."""


@dataclass(slots=True)
class OverloadNotes:
    """What was refused or left waiting since the watchdog logged it last, which it does once a second at most."""

    refused: int = 0
    """Requests that were answered 503."""
    refused_reason: str = ""
    """Why the last of them was refused."""
    slow_bodies: int = 0
    """Requests whose slots were given to others, because their bodies came too slowly."""
    shortage: str = ""
    """Why connections were left in the kernel; not when sibling workers take them."""

    @property
    def any(self) -> bool:
        return bool(self.refused or self.slow_bodies or self.shortage)


@dataclass(slots=True)
class Service:
    """What all connections of a worker share: the policy, and the worker's mutable state, each part with its owner."""

    policy: RequestPolicy
    application: Application
    log: ServerLog
    access: AccessLog | None
    seat: Seat
    total_requests: Callable[[], int]
    """How many requests the whole server has had."""
    deadlines: Deadlines
    slots: RequestSlots
    descriptor_owners: DescriptorOwners
    loop_budget: LoopBudget = field(default_factory=LoopBudget)
    greenlet_pool: GreenletPool = field(default_factory=GreenletPool)

    finished: Callable[[], None] | None = None
    """Called after every request. The worker counts towards max-requests with it, or a crashed one's successor."""
    running: dict[Any, RunningExchange] = field(default_factory=dict)
    """The exchanges that hold slots, by their greenlets, in the order in which they began. Exchanges write it."""
    counts: RequestCounts = field(default_factory=RequestCounts)
    fetched: FetchedBodies = field(default_factory=FetchedBodies)
    connections: set[OpenConnection] = field(default_factory=set)
    """Connections write it themselves."""
    overload: OverloadNotes = field(default_factory=OverloadNotes)
    """The watchdog reports and clears it."""
    draining: bool = False
    """The worker is leaving; written by the worker."""
    leaving: Event = field(default_factory=Event)
    """The same as an event, for applications: environ["greenwsgi.draining"]."""
    date: bytes = b""
    """The value of the Date header; the watchdog writes it."""
    header_rules: HeaderRules | None = field(init=False)
    """The policy's, where a response looks for it."""

    def __post_init__(self) -> None:
        self.header_rules = self.policy.header_rules

    def overloaded(self, reason: str) -> None:
        """Count a request that was answered 503; the watchdog logs it, once a second at most."""
        self.seat.counters[OVERLOADED] += 1
        self.overload.refused += 1
        self.overload.refused_reason = reason

    def tick_date(self, wall: float) -> None:
        """Refresh the Date header's value; the watchdog does it four times a second, so that no request has to."""
        self.date = formatdate(wall, usegmt=True).encode()
