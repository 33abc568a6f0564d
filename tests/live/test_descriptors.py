"""An application closes descriptors that it did not open. What the server writes never reaches a client that has got
such a number: neither log lines, nor what is printed, nor another client's answer. Nor does the server go deaf.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.live import ps
from tests.live.client import read_answer
from tests.live.server import Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

APP = """
import gevent, os, sys
from gevent.event import Event

go = Event()

def close(query):
    if query == "standard":
        os.closerange(0, 3)
    elif query == "low":
        os.closerange(3, 1000)
    elif query == "server":  # nothing but what is above
        os.closerange(1000, 1060)
    else:
        os.closerange(int(query), int(query) + 1)

def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    body = b"ok"
    if path == "/close":
        close(query)
    elif path == "/print":
        for stream in (sys.stdout, sys.stderr):
            try:
                print("printed", file=stream, flush=True)
            except OSError:
                pass
        os.system("echo of a program; echo of a program >&2")
    elif path == "/number":
        body = str(environ["greenwsgi.disconnected"]._stream.sock.fileno()).encode()
    elif path == "/wait":
        go.wait()
        body = b"for the one who waits"
    elif path == "/go":
        go.set()
        gevent.sleep(0.05)
    elif path == "/connection":  # the descriptor of a client's
        close(query)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@contextmanager
def silent_clients(server: Server, count: int = 8) -> Iterator[None]:
    """Clients that ask for nothing, and that the server has accepted: they get no byte meanwhile, and no end."""
    with ExitStack() as connected:
        clients = [connected.enter_context(server.connect()) for _ in range(count)]
        assert server.get("/").status == 200  # behind them in the same queue
        yield
        for client in clients:
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(1000)


@pytest.mark.parametrize("which", ["2", "standard"])
def test_a_closed_standard_descriptor(which: str) -> None:
    with Server(app=APP) as server:
        assert server.get(f"/close?{which}").status == 200
        with silent_clients(server):
            mark = server.mark()
            assert server.get("/print").status == 200
            assert server.get("/secret").status == 200
            server.wait_for(r"GET /secret => generated 2 bytes", after=mark)
            (worker,) = server.workers()
            assert all(
                ps.open_files(worker)[one] == os.devnull for one in (range(3) if which == "standard" else [int(which)])
            )


def test_closed_low_numbers() -> None:
    """The worker serves on: neither its log nor its listener, its loop or its pipes had one of them."""
    with Server(app=APP) as server:
        (worker,) = server.workers()
        with server.connect() as client:
            client.sendall(b"GET /close?low HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000) == b""
        with silent_clients(server):
            mark = server.mark()
            assert server.get("/secret").status == 200
            server.wait_for(r"GET /secret => generated 2 bytes", after=mark)
        assert server.workers() == [worker]
        server.reload(2)
        assert server.workers() != [worker]


def test_a_closed_connection_s_answer_reaches_nobody() -> None:
    with Server(app=APP) as server:
        with server.connect() as victim:
            victim.sendall(b"GET /number HTTP/1.1\r\nHost: x\r\n\r\n")
            number = int(read_answer(victim).body)
            victim.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            assert server.get("/").status == 200  # behind it
            assert server.get(f"/connection?{number}").status == 200
            with silent_clients(server):
                assert server.get("/go").status == 200
                server.wait_for(r"GET /wait => .* 499\)")
                server.wait_for(rf"the application has closed descriptor {number}, a client's connection")
        assert server.get("/secret").status == 200


def test_a_worker_that_has_lost_its_descriptors_is_replaced() -> None:
    """Listener, log, pipes, loop: all of it."""
    with Server(app=APP) as server:
        (worker,) = server.workers()
        with server.connect() as client:
            client.sendall(b"GET /close?server HTTP/1.1\r\nHost: x\r\n\r\n")
            ps.wait_gone(worker)
        server.wait_for("started again")
        mark = server.mark()
        assert server.get("/secret").status == 200
        server.wait_for(r"GET /secret => generated 2 bytes", after=mark)


@pytest.mark.parametrize("kind", ["listener", "log", "report"])
def test_a_worker_that_has_lost_one_of_its_descriptors_is_replaced(kind: str) -> None:
    with Server(app=APP) as server:
        (worker,) = server.workers()
        number = one_of(server, worker, kind)
        assert server.get(f"/close?{number}").status == 200
        ps.wait_gone(worker)
        if kind != "report":
            server.wait_for(rf"leaves: the application has closed descriptors of the server: {number}")
        ps.wait_until(lambda: len(server.workers()) == 1, "the next worker")
        assert server.get("/").status == 200


def one_of(server: Server, worker: int, kind: str) -> int:
    """The number of one of the worker's descriptors, all of which are high."""
    found = {fd: target for fd, target in ps.open_files(worker).items() if fd > 2}
    log = ps.open_files(worker)[2]
    find: dict[str, Callable[[int, str], bool]] = {
        "listener": lambda fd, target: target.startswith("socket:"),
        "log": lambda fd, target: target == log,
        "report": lambda fd, target: target.startswith("pipe:") and target != log and "1" in flags(worker, fd)[-1:],
    }
    (number,) = (fd for fd, target in found.items() if find[kind](fd, target))
    assert number >= 500
    return number


def flags(pid: int, fd: int) -> str:
    found = re.search(r"^flags:\s+(\d+)$", Path(f"/proc/{pid}/fdinfo/{fd}").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_log_is_opened_anew_where_it_is(tmp_path: Path) -> None:
    """Not on a number that the application closed, which may be a client's."""
    log = tmp_path / "log"
    with Server("--logto", str(log), "--master-fifo", str(tmp_path / "fifo"), app=APP, ready="") as server:
        ps.wait_until(lambda: log.exists() and "generation 1 serves" in log.read_text(), "the start")
        assert server.get("/close?standard").status == 200
        with silent_clients(server):
            log.rename(tmp_path / "old")
            (tmp_path / "fifo").write_text("l")
            ps.wait_until(log.exists, "the new log")
            (worker,) = server.workers()
            ps.wait_until(lambda: str(log) in ps.open_files(worker).values(), "the worker's new log")
            assert server.get("/secret").status == 200
            ps.wait_until(lambda: "GET /secret" in log.read_text(), "the access line")
        assert [ps.open_files(worker)[one] for one in range(3)] == [os.devnull] * 3


IMPORT = """
import os

os.closerange(0, 1000)
mine = os.open(__file__, os.O_RDONLY)
""" + APP.replace(
    'if path == "/close":', 'if path == "/mine":\n        body = os.pread(mine, 10, 0)\n    elif path == "/close":'
)


@pytest.mark.parametrize("lazy", [False, True], ids=["in the zygote", "lazy"])
def test_an_import_that_closes_all_low_numbers(lazy: bool, tmp_path: Path) -> None:
    """A daemonising library. What it opens afterwards is not closed by the loop, which is made anew by a fork."""
    with Server(*(["--lazy-apps"] if lazy else []), app=IMPORT) as server:
        with silent_clients(server):
            assert server.get("/print").status == 200
            assert server.get("/mine").body == b"\nimport os"
            server.wait_for(r"GET /mine => generated 10 bytes")
        server.signal(signal.SIGHUP)
        server.wait_for("generation 2 serves")
