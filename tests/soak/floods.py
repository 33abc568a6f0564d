"""Clients whose data is always there, beside a neighbour with a connection a request: what does the neighbour wait?"""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import time
from dataclasses import dataclass

from tests.live.client import free_port
from tests.live.server import Server
from tests.wire.cases import fastcgi_records

COUNTS = (1, 10, 64)
REQUEST = b"GET / HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n"

APP = """
import tempfile

file = tempfile.NamedTemporaryFile()
file.truncate(1 << 30)

def app(environ, start_response):
    while environ["wsgi.input"].read(65536):
        pass
    if environ["PATH_INFO"] == "/file":
        start_response("200 OK", [("Content-Length", str(1 << 30))])
        return environ["wsgi.file_wrapper"](open(file.name, "rb"))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def _post(headers: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: soak\r\n" + headers + b"\r\n\r\n"


FLOODS: dict[str, tuple[bytes, bytes]] = {
    "pipelined requests": (b"", b"GET / HTTP/1.1\r\nHost: soak\r\n\r\n" * 2000),
    "chunks of a byte": (_post(b"Transfer-Encoding: chunked"), b"1\r\nx\r\n" * 10000),
    "uploads": (_post(b"Content-Length: %d" % (1 << 50)), bytes(1 << 18)),
    "downloads": (b"GET /file HTTP/1.1\r\nHost: soak\r\n\r\n", b""),
    "FastCGI replies": (b"", fastcgi_records.rec(99, id=0) * 5000),
    "FastCGI aborts": (b"", fastcgi_records.rec(fastcgi_records.ABORT, id=7) * 5000),
}
"""What each of these clients sends first, and then again and again."""


@dataclass(frozen=True)
class Beside:
    """What a neighbour waited, in seconds: the median and the longest, without the flood and beside it."""

    flood: str
    clients: int
    alone: tuple[float, float]
    beside: tuple[float, float]
    requests: int

    def __str__(self) -> str:
        (usual, longest), (usual_alone, longest_alone) = self.beside, self.alone
        return (
            f"{self.flood} of {self.clients}: a neighbour waited {usual * 1e3:.1f} ms, at most {longest * 1e3:.0f} ms"
            f" ({usual_alone * 1e3:.1f} and {longest_alone * 1e3:.0f} ms without them), {self.requests} requests"
        )


def beside(flood: str, clients: int, seconds: float) -> Beside:
    """Probe a worker alone, then beside so many such clients, which are another process."""
    fastcgi = free_port()
    options = ("--fastcgi-socket", f"127.0.0.1:{fastcgi}", "--disable-logging", "--worker-reload-mercy", "1")
    with Server(*options, app=APP) as server:  # what the flood has sent by its end would take a minute to read
        alone = _waits(server, time.monotonic() + seconds)
        port = fastcgi if flood.startswith("FastCGI") else server.http_port
        flooding = multiprocessing.get_context("spawn").Process(
            target=_flood, args=(port, *FLOODS[flood], clients, seconds + 1)
        )
        flooding.start()
        time.sleep(1)  # the other process has begun: not a matter of correctness, only of what is measured
        waits = _waits(server, time.monotonic() + seconds)
        flooding.join()
    return Beside(flood, clients, _summary(alone), _summary(waits), len(waits))


def _waits(server: Server, end: float) -> list[float]:
    waits = []
    while time.monotonic() < end:
        began = time.perf_counter()
        with server.connect() as sock:
            sock.sendall(REQUEST)
            assert b"200 OK" in sock.recv(4096)
        waits.append(time.perf_counter() - began)
        time.sleep(0.01)
    return waits


def _summary(waits: list[float]) -> tuple[float, float]:
    return sorted(waits)[len(waits) // 2], max(waits)


def _flood(port: int, first: bytes, again: bytes, clients: int, seconds: float) -> None:
    selector = selectors.DefaultSelector()
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(clients)]
    left = {}
    for one in socks:
        one.setblocking(False)
        left[one] = memoryview(first or again)
        selector.register(one, selectors.EVENT_READ | selectors.EVENT_WRITE)
    end, room = time.monotonic() + seconds, bytearray(1 << 20)
    while time.monotonic() < end and selector.get_map():
        for key, events in selector.select(0.1):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            try:
                if events & selectors.EVENT_READ and not sock.recv_into(room):
                    raise ConnectionError
                if events & selectors.EVENT_WRITE:
                    left[sock] = left[sock][sock.send(left[sock]) :] or memoryview(again)
                    if not left[sock]:
                        selector.modify(sock, selectors.EVENT_READ)
            except BlockingIOError:
                continue
            except OSError:
                selector.unregister(sock)
    for one in socks:
        one.close()
