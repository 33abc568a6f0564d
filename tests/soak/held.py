"""Held long polls and streams when their worker leaves: told at once, gone within the mercy."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from tests.live.holders import HOLDS, Held
from tests.live.ps import wait_until
from tests.live.server import Server

MERCY = 10


@dataclass(frozen=True)
class Notices:
    """How soon the last held request had its notice, and when the old worker was gone, in seconds from its drain on."""

    polls: int
    streams: int
    longest_notice: float
    gone: float

    def __str__(self) -> str:
        return (
            f"{self.polls} long polls and {self.streams} streams: the last notice {self.longest_notice:.2f} s after the"
            f" old worker began to drain, that worker gone after {self.gone:.1f} s (mercy {MERCY})"
        )


def notices(count: int) -> Notices:
    """Hold so many polls and as many streams, and one request that does not listen; reload."""
    options = ("--async", "1000", "--worker-reload-mercy", str(MERCY), "--disable-logging")
    with (
        Server(*options, app=HOLDS) as server,
        Held(server.http_port, "/poll", count) as polls,
        Held(server.http_port, "/stream", count) as streams,
        Held(server.http_port, "/stubborn", 1) as stubborn,
    ):
        (old,) = server.workers()
        for held, word in ((polls, b"waiting"), (streams, b"tick"), (stubborn, b"waiting")):
            held.wait_for(word)
        server.signal(signal.SIGHUP)
        server.wait_for("generation 1 drains")
        drains = time.monotonic()
        told = max(drains, *polls.wait_for(b"told"), *streams.wait_for(b"event: bye")) - drains
        wait_until(lambda: old not in server.processes(), "the old worker's end")
        gone = time.monotonic() - drains
    return Notices(count, count, told, gone)
