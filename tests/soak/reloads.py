"""Reloads of every kind under load: what fails, and how long the longest silence is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.live.client import Answer
from tests.live.load import Client, Close, KeepAlive, Load
from tests.live.nginx import Nginx
from tests.live.ps import wait_until
from tests.live.server import Server
from tests.soak.machine import Stalls

IMPORT_SECONDS = 4.0
"""What the application sleeps in its import, so that the processor time of imports does not blur the figures."""

QUIET_SECONDS = 30.0
"""How long a run without reloads takes, for comparison."""

PACE = 0.005
"""Seconds that a client waits between two requests: the load is to see gaps, not to fill the processors."""

LOOK = 0.2
"""Seconds between two looks at the processes: a look takes the clients' time, who live in the same process."""

APP = f"""
import os, time
time.sleep({IMPORT_SECONDS})

def app(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


class Paced:
    """Another client, with a rest behind each request."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.name = client.name

    @property
    def retries(self) -> int:
        return self._client.retries

    @retries.setter
    def retries(self, count: int) -> None:
        self._client.retries = count

    def request(self) -> Answer:
        time.sleep(PACE)
        return self._client.request()

    def close(self) -> None:
        self._client.close()


def _write(server: Server, letter: str) -> None:
    with open(server.folder / "fifo", "w") as fifo:
        fifo.write(letter)


KINDS: dict[str, Callable[[Server], None]] = {
    "SIGHUP": lambda server: server.signal(signal.SIGHUP),
    "fifo r": lambda server: _write(server, "r"),
    "fifo c (chain)": lambda server: _write(server, "c"),
    "fifo w (workers)": lambda server: _write(server, "w"),
    "touch-reload": lambda server: os.utime(server.folder / "touch"),
    "SIGUSR2 (re-exec)": lambda server: server.signal(signal.SIGUSR2),
}


@dataclass(frozen=True)
class Run:
    """One line of the report."""

    kind: str
    workers: int
    options: tuple[str, ...]
    reloads: int
    requests: int
    failed: int
    retries: int
    longest_gap: float
    longest_stall: float
    when: str
    failures: tuple[str, ...]

    def __str__(self) -> str:
        recycling = f", {' '.join(self.options)}" if self.options else ""
        return (
            f"{self.kind}, {self.workers} workers{recycling}: {self.reloads} reloads, {self.requests:,} requests,"
            f" {self.failed} failed, {self.retries} sent again, longest gap {self.longest_gap * 1000:.0f} ms"
            f" (the machine alone: {self.longest_stall * 1000:.0f} ms), {self.when}"
        )


def run(kind: str, workers: int, reloads: int, *options: str) -> Run:
    """So many reloads of that kind under a load of HTTP keep-alive, HTTP close, and uwsgi through nginx."""
    command = ["--processes", str(workers), "--async", "100", "--disable-logging", "--master-fifo", "fifo"]
    command += ["--touch-reload", "touch", *options]
    with (
        Server(*command, app=APP, uwsgi=True, files={"touch": ""}) as server,
        Nginx(server) as nginx,
        Load(
            *(Paced(KeepAlive(server.http_port)) for _ in range(2)),
            *(Paced(Close(server.http_port)) for _ in range(2)),
            *(Paced(Close(nginx.uwsgi_port)) for _ in range(2)),
        ) as load,
        Stalls() as stalls,
    ):
        begins = [time.monotonic()]
        for _ in range(reloads):
            begins.append(time.monotonic())
            _reload(server, kind, workers)
        if not reloads:  # what the machine itself does to the longest gap
            time.sleep(QUIET_SECONDS)
        load.wait_for_answers(20)
    failures = tuple(dict.fromkeys(load.failures))
    return Run(
        kind, workers, options, reloads, sum(load.answers.values()), len(load.failures), load.retries, load.longest_gap,
        stalls.longest, _when(begins, *load.longest_when), failures,
    )  # fmt: skip


def _when(begins: list[float], client: str, gap_began: float) -> str:
    """Which reload the longest gap belongs to."""
    last = max((began for began in begins if began <= gap_began), default=begins[0])
    return f"of {client}, {gap_began - last:.2f} s after the begin of reload {begins.index(last)}"


def _reload(server: Server, kind: str, workers: int) -> None:
    """Ask for it, and wait until a new generation serves, with as many workers as there shall be and nobody of before.

    The pids alone would not say so: under recycling workers are replaced while a re-exec still rehearses.
    """
    before = set(server.workers())
    mark = server.mark()
    KINDS[kind](server)
    server.wait_for(r"reloaded: generation \d+ serves with", after=mark, seconds=120)
    wait_until(
        lambda: before.isdisjoint(now := set(server.workers())) and len(now) == workers and len(server.zygotes()) == 1,
        f"the end of a reload by {kind}",
        120,
        LOOK,
    )
