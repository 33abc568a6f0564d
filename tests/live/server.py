"""A real greenwsgi under test: started as its users start it, watched through its log and its processes.

    with Server("--processes", "2", app=APP) as server:
        assert server.get("/").body == b"hello"
        server.signal(signal.SIGHUP)
        server.wait_for(r"generation 2 serves")

Nothing here sleeps to let something happen: it waits for a log line, for a process to end, for an answer, each with a
deadline. Leaving the block stops the server and checks that nothing of it is left: no process, socket file or pidfile.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.live import ps
from tests.live.client import PATIENCE, Answer, free_port, http_request, read_answer, uwsgi_packet

ROOT = Path(__file__).resolve().parent.parent.parent

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""


class Server:
    """One greenwsgi in a session and a folder of its own.

    options: its command line, without the application and the sockets.
    app: the application's source, written to `app.py` in the folder; None when the options name one.
    http, uwsgi: whether it gets a socket of that protocol, on a free port (`http_port`, `uwsgi_port`).
    files: other files to write into the folder first.
    command: how to run greenwsgi. ready: the log line that ends the start.
    stdin: its standard input, /dev/null if none is given. passed: descriptors that it gets besides.
    """

    def __init__(
        self,
        *options: str,
        app: str | None = HELLO,
        http: bool = True,
        uwsgi: bool = False,
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        command: Sequence[str] = (sys.executable, "-m", "greenwsgi"),
        ready: str = r"generation 1 serves",
        stdin: int = subprocess.DEVNULL,
        passed: Sequence[int] = (),
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="greenwsgi-live-")
        self.folder = Path(self._folder.name)
        self.http_port = free_port() if http else 0
        self.uwsgi_port = free_port() if uwsgi else 0
        for name, text in {**(files or {}), **({"app.py": app} if app is not None else {})}.items():
            self.write(name, text)
        self.command = [*command, *options]
        if app is not None:
            self.command += ["--wsgi-file", str(self.folder / "app.py")]
        if http:
            self.command += ["--http-socket", f"127.0.0.1:{self.http_port}"]
        if uwsgi:
            self.command += ["--uwsgi-socket", f"127.0.0.1:{self.uwsgi_port}"]
        self._ready = ready
        self._stdin = stdin
        self._passed = passed
        self._cwd = cwd or self.folder
        self._env = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        self._log = Log()
        self._sessions: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    # Life

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_for(self._ready)
        except BaseException:
            self.kill()
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                error.add_note(f"the server's log:\n{self.log}")
            elif self.running:
                self.stop()
        finally:
            self.kill()
            self._folder.cleanup()

    def start(self) -> None:
        read_end, write_end = os.pipe()
        self._process = subprocess.Popen(
            self.command,
            cwd=self._cwd,
            env=self._env,
            stdin=self._stdin,
            pass_fds=self._passed,
            stdout=write_end,
            stderr=write_end,
            start_new_session=True,
        )
        os.close(write_end)
        self._log.follow(read_end)

    def stop(self, sig: int = signal.SIGTERM, *, status: int = 0) -> None:
        """Send `sig`, wait for the end, check the exit status and that nothing is left behind."""
        self.processes()  # whose end is looked for
        self.signal(sig)
        self.wait(status=status)

    def wait(self, *, status: int) -> None:
        """Wait until the server has ended by itself, with this exit status and nothing left behind."""
        found = self._popen.wait(PATIENCE)
        assert found == status, f"exit status {found}, not {status}; the log:\n{self.log}"
        assert self._log.finish(), f"the master has ended, but these still hold its log: {self.processes()}"
        assert self.processes() == []
        left = [str(path) for path in self.folder.rglob("*") if path.is_socket() or path.suffix == ".pid"]
        assert left == [], "left behind"

    def kill(self) -> None:
        """End everything at once, without any check; for tests that failed, and for those that take the master away."""
        if self._process is None:
            return
        for pid in [*self.processes(), self._popen.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait(PATIENCE)
        self._log.finish()

    # Processes

    @property
    def _popen(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def pid(self) -> int:
        """The master's process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, sig: int) -> None:
        os.kill(self.pid, sig)

    def processes(self) -> list[int]:
        """Every living process of the server's session, and of the sessions that its zygotes were seen to have."""
        living = ps.living()
        apart = [one.pid for one in living if one.parent == self.pid and one.session == one.pid]
        self._sessions |= {self.pid, *(pid for pid in apart if b"zygote" in ps.title(pid))}
        return [process.pid for process in living if process.session in self._sessions]

    def zygotes(self) -> list[int]:
        """The master's children that are no workers: one a generation."""
        workers = self.workers()
        return [process.pid for process in ps.living() if process.parent == self.pid and process.pid not in workers]

    def workers(self) -> list[int]:
        """The workers, oldest first: known by the process title that says which one it is."""
        return sorted(pid for pid in self.processes() if b"worker" in ps.title(pid))

    def reload(self, generation: int) -> None:
        """Send SIGHUP, and wait until that generation serves and the one before has left."""
        before = set(self.processes()) - {self.pid}
        mark = self.mark()
        self.signal(signal.SIGHUP)
        self.wait_for(rf"generation {generation} serves with", after=mark)
        ps.wait_until(lambda: before.isdisjoint(self.processes()), "the old generation's end")

    # The log

    @property
    def log(self) -> str:
        return self._log.text

    def mark(self) -> int:
        """The log's length now, for `wait_for(..., after=mark)`."""
        return len(self.log)

    def wait_for(self, pattern: str, *, after: int = 0, seconds: float = PATIENCE) -> re.Match[str]:
        """Wait until the log, from position `after` on, matches the pattern (multi-line mode)."""
        return self._log.wait_for(re.compile(pattern, re.MULTILINE), after, seconds)

    # The network

    def connect(self, port: int = 0) -> socket.socket:
        """A raw connection to the HTTP socket, or to `port`."""
        return socket.create_connection(("127.0.0.1", port or self.http_port), PATIENCE)

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def request(
        self, method: str, path: str, body: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One HTTP request on a connection of its own; an iterable body goes out chunked."""
        return http_request(self.http_port, method, path, body, headers)

    def uwsgi(self, path: str = "/", body: bytes = b"", variables: Mapping[str, str] | None = None) -> Answer:
        """One request by the uwsgi protocol."""
        with self.connect(self.uwsgi_port) as sock:
            sock.sendall(uwsgi_packet(path, len(body), variables) + body)
            return read_answer(sock)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path


class Log:
    """What the server writes, collected by a thread from the pipe that all its processes hold."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._bytes = bytearray()
        self._over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._fd = -1

    @property
    def text(self) -> str:
        with self._changed:
            return self._bytes.decode("utf-8", "replace")

    def follow(self, fd: int) -> None:
        self._fd = fd
        self._reader.start()

    def finish(self) -> bool:
        """Wait until nobody holds the pipe's other end any more; False when somebody still does."""
        self._reader.join(PATIENCE)
        return not self._reader.is_alive()

    def wait_for(self, pattern: re.Pattern[str], after: int, seconds: float) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                text = self._bytes.decode("utf-8", "replace")
                if found := pattern.search(text, after):
                    return found
                left = deadline - time.monotonic()
                why = "the server has ended" if self._over else f"not within {seconds:g} s" if left <= 0 else ""
                assert not why, f"{pattern.pattern!r} did not come, {why}; the log:\n{text}"
                self._changed.wait(left)

    def _read(self) -> None:
        with os.fdopen(self._fd, "rb", buffering=0) as pipe:
            while data := pipe.read(65536):
                with self._changed:
                    self._bytes += data
                    self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


def nobody_else() -> int:
    """A user that can run this Python."""
    nobody = 65534
    try:
        subprocess.run([sys.executable, "-c", ""], user=nobody, timeout=PATIENCE, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this Python lies where only root may look")
    return nobody
