"""What a request may cost: time and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import Status, option
from greenwsgi.options.value_kinds import ALLOWANCES, FLAG, INTEGER, SECONDS, SIZE


@dataclass(frozen=True, kw_only=True)
class LimitsOptions:
    """Limits"""

    harakiri: float = option(
        "harakiri",
        short="t",
        kind=SECONDS,
        default=0,
        help="End a request that runs longer than this; 0 means never.",
        status=Status.PARTIAL,
        note="It ends that request alone; the worker is replaced only if it blocks.",
    )
    harakiri_verbose: bool = option(
        "harakiri-verbose",
        kind=FLAG,
        default=False,
        help="Log more about a request that is ended so.",
    )
    harakiri_for: tuple[tuple[str, float], ...] = option(
        "harakiri-for",
        kind=ALLOWANCES,
        default=(),
        help="End a request whose path (PATH_INFO) matches REGEX after SEC seconds instead; 0 means never. The first"
        " that matches counts. May be given more than once.",
    )
    blocked_loop_warning: float = option(
        "blocked-loop-warning",
        kind=SECONDS,
        default=1,
        help="Log the request and the stack that has kept all others of its worker from running for this long; 0 is"
        " off. Less than half a second is taken as half a second.",
    )
    buffer_size: int = option(
        "buffer-size",
        short="b",
        kind=SIZE,
        default=65536,
        least=1,
        most=16 << 20,
        help="The longest request head, in bytes. A uwsgi packet cannot be longer than 65535.",
    )
    limit_post: int = option(
        "limit-post",
        kind=SIZE,
        default=0,
        most=2**63 - 1,
        help="The longest request body, in bytes; 0 is unlimited.",
    )
    socket_timeout: float = option(
        "socket-timeout",
        short="z",
        kind=SECONDS,
        default=30,
        least=0.1,
        help="How long one read or write may wait for the client.",
    )
    body_min_rate: int = option(
        "body-min-rate",
        kind=SIZE,
        default=240,
        help="Bytes of a request body that must come each second, after 10 s of grace; 0 is no such rule.",
        note="While requests wait for slots, bodies that hold one and bring less than 16 times that for 2 s get 408.",
    )
    header_timeout: float = option(
        "header-timeout",
        "http-headers-timeout",
        kind=SECONDS,
        default=30,
        least=0.1,
        help="How long a client may take to send a request head.",
    )
    keepalive_timeout: float = option(
        "keepalive-timeout",
        kind=SECONDS,
        default=75,
        least=0.1,
        help="How long an idle connection is kept for its next request.",
    )
    queue_size: int = option(
        "queue-size",
        kind=INTEGER,
        default=-1,
        least=-1,
        help="How many requests a worker lets wait for a free slot before it answers 503; -1: as many as it has slots.",
    )
    queue_timeout: float = option(
        "queue-timeout",
        kind=SECONDS,
        default=30,
        least=0.1,
        help="How long a request may wait for a free slot before it is answered 503.",
    )
    connections_per_address: int = option(
        "connections-per-address",
        kind=INTEGER,
        default=0,
        help="How many connections a worker holds open with one client address; 0 is unlimited.",
    )
    end_on_disconnect: bool = option(
        "end-on-disconnect",
        kind=FLAG,
        default=False,
        help="End a request whose client has left: GreenletExit is raised in it.",
    )
