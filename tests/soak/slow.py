"""Slow clients beside a load: thousands of half heads and trickled bodies must not be felt by others."""

from __future__ import annotations

import resource
import socket
import threading
import time
from dataclasses import dataclass

from tests.live.ps import resident
from tests.live.server import Server

HEADS, BODIES = 2000, 500

APP = """
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: soak\r\n\r\n"


@dataclass(frozen=True)
class Felt:
    """The 99th percentile of a probe's waits in microseconds, before and with the slow clients, and what one costs."""

    alone: float
    beside: float
    bytes_each: float

    def __str__(self) -> str:
        return (
            f"{HEADS:,} half heads and {BODIES} trickled bodies: p99 of a probe {self.alone:.0f} us without them,"
            f" {self.beside:.0f} us with them; {self.bytes_each / 1e3:.1f} kB each"
        )


def felt(seconds: float) -> Felt:
    """Probe a worker for so long without slow clients, then with them. All of their ends are in this process."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    options = ("--async", "2000", "--header-timeout", "600", "--body-min-rate", "0", "--disable-logging")
    with Server(*options, app=APP) as server:
        alone = _p99(server, seconds)
        (worker,) = server.workers()
        before = resident(worker)
        heads = [_slow(server, b"GET / HTTP/1.1\r\nHost: so") for _ in range(HEADS)]
        bodies = [
            _slow(server, b"POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: 100000\r\n\r\nx") for _ in range(BODIES)
        ]
        over = threading.Event()
        trickling = threading.Thread(target=_trickle, args=(bodies, over))
        trickling.start()
        try:
            beside = _p99(server, seconds)
            each = (resident(worker) - before) / (HEADS + BODIES)
        finally:
            over.set()
            trickling.join()
            for sock in (*heads, *bodies):
                sock.close()
    return Felt(alone, beside, each)


def _slow(server: Server, begin: bytes) -> socket.socket:
    sock = server.connect()
    sock.sendall(begin)
    return sock


def _trickle(bodies: list[socket.socket], over: threading.Event) -> None:
    while not over.wait(0.4):
        for sock in bodies:
            sock.sendall(b"x")


def _p99(server: Server, seconds: float) -> float:
    waits = []
    with server.connect() as sock:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.perf_counter()
            sock.sendall(REQUEST)
            assert sock.recv(4096).endswith(b"ok")
            waits.append(time.perf_counter() - began)
    return sorted(waits)[len(waits) * 99 // 100] * 1e6
