"""What does not move does not keep the server: a log that nobody reads, a stopped zygote, requests that crash."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from greenwsgi.process.control.control_client import Caller
from tests.live import ps
from tests.live.client import read_answer
from tests.live.server import ROOT, Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs what only Linux has: /proc/self/fd, subreapers")

GET = b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
TO_PIPE = ["sh", "-c", 'exec "$@" >/proc/self/fd/$LOG 2>&1', "sh", sys.executable, "-m", "greenwsgi"]


class Deaf:
    """A server whose log is a pipe that is full and that nobody reads; `caller` asks it by its control socket."""

    def __init__(self, server: Server, log: int) -> None:
        self.server, self.log = server, log
        self.caller = Caller(str(server.folder / "app.pid.control"))

    def block_worker(self) -> None:
        """Its only worker has answered a request and cannot write the line of it."""
        assert self.server.get().status == 200
        (worker,) = self.server.workers()
        ps.wait_until(lambda: "pipe_write" in where(worker), "a worker that waits for its log")


def where(pid: int) -> str:
    """In which function of the kernel a process waits."""
    with open(f"/proc/{pid}/wchan") as file:
        return file.read()


@contextlib.contextmanager
def deaf(*options: str) -> Iterator[Deaf]:
    reader, log = os.pipe()
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
    env = {"LOG": str(log), "PYTHONPATH": str(ROOT)}
    made = Server("--pidfile", "app.pid", "--vacuum", *options, command=TO_PIPE, env=env, passed=[log], ready="")
    try:
        with made as server:
            said = b""
            while b"ready: " not in said:
                said += os.read(reader, 4096)
            ours = os.open(f"/proc/self/fd/{log}", os.O_WRONLY | os.O_NONBLOCK)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(ours, b"x" * 512)
            os.close(ours)
            yield Deaf(server, log)
    finally:
        os.close(reader)
        os.close(log)


def test_a_log_that_nobody_reads_keeps_no_operator_from_anything() -> None:
    with deaf("--disable-logging", "--processes", "2") as one:
        one.server.signal(signal.SIGUSR1)
        for _ in range(2):
            assert one.caller.ask("statistics")["ok"]
            assert one.caller.ask("reload", wait=True)["ok"]
        assert one.server.get().status == 200
        one.caller.close()
        one.server.stop(signal.SIGTERM)


@pytest.mark.parametrize("signals", [[signal.SIGQUIT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGINT] * 2])
def test_nor_does_it_when_a_worker_waits_for_it(signals: list[int]) -> None:
    """The first SIGTERM gives it its mercy, which is a minute."""
    with deaf() as one:
        one.block_worker()
        for number in signals:
            one.server.signal(number)
            if len(signals) > 1:
                ps.wait_until(lambda: one.caller.ask("ping")["stop"] != "no", "the signal's effect")
        one.caller.close()
        one.server.wait(status=0)


def test_a_worker_that_waits_for_it_has_its_mercy_and_no_more() -> None:
    with deaf("--reload-mercy", "0") as one:
        one.block_worker()
        one.caller.close()
        one.server.stop(signal.SIGTERM)


def test_nor_does_a_worker_outlive_its_master_for_it() -> None:
    """Its monitor has a blocked loop to report, and cannot."""
    with deaf("--worker-reload-mercy", "1", "--blocked-loop-warning", "0.5") as one:
        one.block_worker()
        (worker,) = one.server.workers()
        os.kill(one.server.pid, signal.SIGKILL)
        ps.wait_gone(worker)
        one.caller.close()
        one.server._popen.wait()


def test_a_zygote_that_was_stopped_does_not_keep_the_server() -> None:
    with Server() as server:
        (zygote,) = server.zygotes()
        os.kill(zygote, signal.SIGSTOP)
        server.stop(signal.SIGQUIT)
        assert "is killed: it does not tell that worker 1" in server.log


CRASHES = """
import os

def app(environ, start_response):
    if environ["PATH_INFO"] == "/crash":
        os._exit(4)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_a_request_that_crashes_its_worker_costs_no_other_client_of_the_next_one() -> None:
    """They wait in the queue of a server that is paused, so that the next worker can take all of them at once."""
    with Server(app=CRASHES) as server, contextlib.ExitStack() as clients:
        server.signal(signal.SIGTSTP)
        server.wait_for("paused")
        (victim,) = server.workers()
        os.kill(victim, signal.SIGKILL)
        ps.wait_until(lambda: server.workers() not in ([], [victim]), "the next worker")
        paths = [b"/crash", *[b"/"] * 4, b"/crash", *[b"/"] * 4]
        connected = [clients.enter_context(server.connect()) for _ in paths]
        for sock, path in zip(connected, paths, strict=True):
            sock.sendall(GET % path)
        server.signal(signal.SIGTSTP)
        answers = [sock.recv(1) for sock, path in zip(connected, paths, strict=True) if path == b"/"][:4]
        assert answers == [b"H"] * 4


def test_the_path_that_crashes_is_named() -> None:
    with Server("--processes", "2", app=CRASHES) as server:
        for _ in range(3):
            with server.connect() as sock:
                sock.sendall(GET % b"/crash?x=1")
                assert sock.recv(1) == b""
        server.wait_for(
            "warning: GET /crash was running at each of the last 3 deaths of workers, at last: "
            r"worker \d ended with status 4, worker \d ended with status 4, worker \d ended with status 4"
        )
        with server.connect() as sock:
            sock.sendall(GET % b"/")
            assert read_answer(sock).status == 200
