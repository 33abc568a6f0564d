"""Clients that wait to be accepted when the server stops or reloads: each is answered, none is reset."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.live import ps
from tests.live.client import PATIENCE
from tests.live.server import Server

MANY = 200

# `/block` keeps the whole loop of its worker, until the test makes the file: nothing is accepted meanwhile.
APP = """
import os, time
from gevent import monkey, sleep

blocking_sleep = monkey.get_original("time", "sleep")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        print("blocked", file=environ["wsgi.errors"], flush=True)
        while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")):
            blocking_sleep(0.01)
    sleep(0)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

REQUEST = b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Queued:
    """Clients of a server whose workers are all blocked, or which is paused: MANY of them wait in the kernel."""

    def __init__(self, server: Server, kind: str) -> None:
        self._server = server
        self._kind = kind
        self._made = contextlib.ExitStack()
        self._clients: list[socket.socket] = []

    def ask(self, path: bytes = b"") -> None:
        client = socket.socket(socket.AF_INET if self._kind == "tcp" else socket.AF_UNIX)
        self._clients.append(self._made.enter_context(client))
        client.settimeout(PATIENCE)
        unix = str(self._server.folder / "x.sock")
        client.connect(("127.0.0.1", self._server.http_port) if self._kind == "tcp" else unix)
        client.sendall(REQUEST % path)

    def block(self, workers: int) -> None:
        """Block that many workers, one after the other: one that is blocked accepts no more."""
        for _ in range(workers):
            mark = self._server.mark()
            self.ask(b"block")
            self._server.wait_for("blocked", after=mark)

    def fill(self) -> None:
        for _ in range(MANY):
            self.ask()

    def go_on(self) -> None:
        self._server.write("go", "")

    def answers(self) -> Counter[str]:
        """What each got: the status, or how it was cut off."""
        return Counter(_answer_of(client) for client in self._clients)

    def close(self) -> None:
        self._made.close()


def _answer_of(client: socket.socket) -> str:
    said = b""
    try:
        with client:  # closed, since the server waits for its client's end
            while data := client.recv(4096):
                said += data
    except OSError as error:
        return type(error).__name__
    return said[9:12].decode() or "empty"


@contextlib.contextmanager
def queued(server: Server, kind: str = "tcp") -> Iterator[Queued]:
    with contextlib.closing(Queued(server, kind)) as clients:
        yield clients


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_answers_those_who_wait(kind: str, workers: int) -> None:
    options = ("--processes", str(workers), "--async", "2", "--listen", "1024", "--http-socket", "x.sock")
    with Server(*options, app=APP) as server, queued(server, kind) as clients:
        clients.block(workers)
        clients.fill()
        server.signal(signal.SIGTERM)
        server.wait_for("leaves: the server stops")
        clients.go_on()
        said = clients.answers()
        server.wait(status=0)
    assert said.total() == MANY + workers
    assert set(said) <= {"200", "503"}
    assert said["200"] >= workers


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_stop_of_a_paused_server_answers_those_who_wait(kind: str) -> None:
    options = ("--processes", "2", "--async", "4", "--queue-size", str(MANY), "--http-socket", "x.sock")
    with Server(*options, "--listen", "1024", app=APP) as server, queued(server, kind) as clients:
        server.signal(signal.SIGTSTP)
        server.wait_for("SIGTSTP: paused")
        clients.fill()
        server.signal(signal.SIGINT)
        assert clients.answers() == {"200": MANY}
        server.wait(status=0)


@pytest.mark.parametrize("how", ["HUP", "chain", "USR2"])
def test_a_reload_leaves_them_to_the_new_workers(how: str) -> None:
    options = ("--processes", "2", "--async", "4", "--queue-size", str(MANY), "--listen", "1024")
    with Server(*options, "--master-fifo", "fifo", app=APP) as server, queued(server) as clients:
        clients.block(2)
        clients.fill()
        if how == "chain":
            (server.folder / "fifo").write_text("c")
        else:
            server.signal(getattr(signal, f"SIG{how}"))
        server.wait_for("leaves: (another generation|generation 2) took over")
        clients.go_on()
        assert clients.answers() == {"200": MANY + 2}


def test_a_dead_master_s_workers_answer_them() -> None:
    with Server("--processes", "2", "--async", "4", "--listen", "1024", app=APP) as server, queued(server) as clients:
        clients.block(2)
        clients.fill()
        server.signal(signal.SIGKILL)
        ps.wait_until(lambda: not server.running, "the master's end")
        clients.go_on()
        assert set(clients.answers()) <= {"200", "503"}
