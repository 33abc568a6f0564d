"""Held long polls and streams when their worker leaves: told at once, gone within the mercy."""

from __future__ import annotations

import signal
import socket
import time
from dataclasses import dataclass

from tests.live.ps import wait_until
from tests.live.server import Server

MERCY = 10

APP = """
import time
import gevent

def app(environ, start_response):
    path, draining = environ["PATH_INFO"], environ["greenwsgi.draining"]
    if path == "/poll":
        draining.wait()
        start_response("200 OK", [("Content-Length", "7")])
        return [b"leaving"]
    if path == "/events":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return events(draining)
    if path == "/deaf":
        gevent.sleep(600)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

def events(draining):
    yield b"data: here\\n\\n"
    draining.wait()
    yield b"data: leaving\\n\\n"
"""


@dataclass(frozen=True)
class Notices:
    """How soon each held request had its notice, and when the old worker was gone, in seconds from the reload."""

    polls: int
    streams: int
    longest_notice: float
    gone: float

    def __str__(self) -> str:
        return (
            f"{self.polls} long polls and {self.streams} streams: the last notice {self.longest_notice:.2f} s behind"
            f" the reload, the old worker gone after {self.gone:.1f} s (mercy {MERCY})"
        )


def notices(count: int) -> Notices:
    """Hold so many polls and as many streams, and one request that does not listen; reload."""
    options = ("--async", "1000", "--worker-reload-mercy", str(MERCY), "--disable-logging")
    with Server(*options, app=APP) as server:
        (old,) = server.workers()
        polls = [_ask(server, "/poll") for _ in range(count)]
        streams = [_ask(server, "/events") for _ in range(count)]
        deaf = _ask(server, "/deaf")
        for stream in streams:
            _until(stream, b"here\n\n")
        began = time.monotonic()
        server.signal(signal.SIGHUP)
        server.wait_for(r"generation 2 serves")
        switched = time.monotonic()
        for held in (*polls, *streams):
            _until(held, b"leaving")
        told = time.monotonic() - switched
        wait_until(lambda: old not in server.processes(), "the old worker's end")
        gone = time.monotonic() - switched
        for held in (*polls, *streams, deaf):
            held.close()
    assert began <= switched
    return Notices(count, count, told, gone)


def _ask(server: Server, path: str) -> socket.socket:
    sock = server.connect()
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n".encode())
    return sock


def _until(sock: socket.socket, word: bytes) -> None:
    data = b""
    while word not in data:
        more = sock.recv(65536)
        assert more, f"the connection ended before {word!r}: {data!r}"
        data += more
