"""Processes killed under load: only what a killed worker held may fail, and each of it has its line."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import dataclass

from tests.live.load import Close, Load
from tests.live.ps import wait_until
from tests.live.server import Server
from tests.soak.reloads import Paced

APP = """
import os, time
time.sleep(4)

def app(environ, start_response):
    time.sleep(0.02)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@dataclass(frozen=True)
class Killings:
    """What came of killing one worker every second.

    reset: requests that failed since the kernel reset their connection: the worker had accepted it and not yet read the
    head, so no request was there that could have a line. cut: those that failed otherwise.
    """

    killed: int
    requests: int
    cut: int
    reset: int
    lines: int
    longest_return: float

    @property
    def all_told(self) -> bool:
        """Has each request that ran its line? A kill may hit the moments between head and slot, or answer and slot."""
        return abs(self.cut - self.lines) <= 1 + self.killed // 50

    def __str__(self) -> str:
        return (
            f"one of 4 workers killed with -9, {self.killed} times: {self.requests:,} requests, {self.cut} cut and"
            f" {self.reset} reset before they were read, {self.lines} access lines `killed`, the longest return of a"
            f" worker {self.longest_return * 1000:.0f} ms"
        )


def workers(seconds: int) -> Killings:
    """Kill a worker with -9 every second; measure how long it takes until there are four that serve again."""
    longest = 0.0
    with (
        Server("--processes", "4", "--async", "100", app=APP) as server,
        Load(*(Paced(Close(server.http_port)) for _ in range(8))) as load,
    ):
        for index in range(seconds):
            began = time.monotonic()
            _kill(server, server.workers()[index % 4])
            longest = max(longest, time.monotonic() - began)
            load.wait_for_answers(1)
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))
        log = server.log
    totals = [int(one) for one in re.findall(r"\|req: \d+/(\d+)\]", log)]
    assert totals, "no access lines"
    reset = sum("ConnectionReset" in failure for failure in load.failures)
    cut = len(load.failures) - reset
    return Killings(seconds, sum(load.answers.values()), cut, reset, log.count(" killed) "), longest)


def _kill(server: Server, victim: int) -> None:
    """Kill it, and wait until there are four without it."""
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in server.workers() and len(server.workers()) == 4, "the worker's return")
