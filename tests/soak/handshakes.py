"""Half TLS handshakes beside a load: each is closed in time and has its line, and no other client notices."""

from __future__ import annotations

import resource
import socket
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Certificates
from tests.live.client import free_port
from tests.live.load import Close, KeepAlive, Load
from tests.live.ps import resident
from tests.live.server import Server
from tests.soak.reloads import Paced

LINE = "did not come in time (handshake-timeout)"
HALF = 200
"""Bytes of a hello, which has some 500."""


@dataclass(frozen=True)
class Halves:
    """So many connections with half a hello, then as many with a whole one and nothing more; what became of them."""

    sent: int
    closed: int
    lines: int
    requests: int
    failed: int
    bytes_each: float

    def __str__(self) -> str:
        return (
            f"{self.sent:,} half handshakes: {self.closed:,} closed, {self.lines:,} lines in the log,"
            f" {self.bytes_each / 1e3:.0f} kB each; {self.requests:,} requests of others, {self.failed} failed"
        )


def halves(count: int) -> Halves:
    """Begin so many handshakes of each kind with one worker, and wait until it has given them all up."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with tempfile.TemporaryDirectory() as folder:
        files, port = Certificates(Path(folder)), free_port()
        context = ssl.create_default_context(cafile=str(files.ca))
        clients = [Paced(KeepAlive(port, tls=context)), Paced(Close(port, tls=context))]
        options = ("--https-socket", f"127.0.0.1:{port},{files.cert},{files.key}", "--disable-logging")
        with Server(*options, http=False) as server, Load(*clients) as load:
            (worker,) = server.workers()
            before, closed = resident(worker), 0
            for hello in (_hello(context)[:HALF], _hello(context)):
                begun = [_begin(server, port, hello) for _ in range(count)]
                load.wait_for_answers(5)
                each = (resident(worker) - before) / count
                closed += sum(map(_ends, begun))
            load.wait_for_answers(5)
        lines = server.log.count(LINE)
    return Halves(2 * count, closed, lines, sum(load.answers.values()), len(load.failures), each)


def _hello(context: ssl.SSLContext) -> bytes:
    """What a client begins with."""
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake with nobody")


def _begin(server: Server, port: int, hello: bytes) -> socket.socket:
    sock = server.connect(port)
    sock.sendall(hello)
    return sock


def _ends(sock: socket.socket) -> bool:
    """Has the server closed it, within the patience that `connect` gave it?"""
    with sock:
        try:
            while sock.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
    return True
