"""CGI programs: each request for one runs it, in a process group of its own, until its answer is complete.

Standard input and output are streamed, with the kernel's back-pressure both ways; standard error goes to the log, line
by line. What ends a request (harakiri, a client that has left, cgi-timeout) ends its program: SIGTERM to the group, and
SIGKILL a second later. A program whose worker dies gets SIGKILL from the kernel, where the system can do that; the
master then ends its group, which is on the scoreboard while the program runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import IO, Any

import gevent
from gevent import subprocess
from gevent.lock import BoundedSemaphore
from gevent.os import nb_read, nb_write

from greenwsgi.clock import SystemClock
from greenwsgi.config.settings import Settings
from greenwsgi.errors import PeerError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve.disconnect import ClientLeft, Disconnect
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.shared.run_command import start_of
from greenwsgi.shared.scoreboard import Seat
from greenwsgi.wsgi.cgi_scripts import NotServed, Scripts
from greenwsgi.wsgi.cgi_variables import CgiError, CgiHead, Script, read_head, redirected, variables
from greenwsgi.wsgi.types import Application, Environ, StartResponse
from greenwsgi.wsgi.wsgi_input import EMPTY

READ_SIZE = 65536
GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL."""
LAST_WORDS = 0.1
"""Seconds that standard error may stay open after the program has ended: a process that it started may hold it."""
MOST_REDIRECTS = 10
LONGEST_LINE = 4096
SPOOL_IN_MEMORY = 1 << 20
SPOOL_LIMIT = 64 << 20
"""How much of a body of unknown length is taken in when limit-post does not say."""
_PR_SET_PDEATHSIG = 1

_now = SystemClock.monotonic


class Silent(Exception):
    """The program has neither read nor written anything for cgi-timeout seconds."""


class CgiPrograms:
    """A WSGI application that runs programs for the paths that are mounted, and passes others on to `application`."""

    def __init__(
        self,
        settings: Settings,
        application: Application,
        log: ServerLog,
        loop_budget: LoopBudget,
        seat: Seat | None = None,
    ) -> None:
        self._loop_budget = loop_budget
        self._noted = _Noted(seat) if seat is not None else None
        self._scripts = Scripts(settings.cgi, settings.origin("cgi"))
        self._application = application
        self._log = log
        self._timeout = settings.cgi.cgi_timeout
        self._queue_timeout = settings.limits.queue_timeout
        self._body_limit = settings.limits.limit_post or SPOOL_LIMIT
        self._running: set[_Run] = set()
        self._places = BoundedSemaphore(settings.cgi.cgi_processes)
        names = {"PATH", *(pair.partition("=")[0] for pair in settings.python.env)}
        self._inherited = {name: os.environ[name] for name in names if name in os.environ}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        for _ in range(MOST_REDIRECTS):
            path = environ.get("PATH_INFO", "")
            if not self._scripts.mounted(path):
                return self._application(environ, start_response)
            try:
                script = self._scripts.script(path, environ.get("SCRIPT_NAME", ""))
            except NotServed as error:
                if error.reason:
                    self._log.warning(f"cgi: {error.reason}")
                return _page(error.status, start_response)
            answer = self._run(script, environ, start_response)
            if not isinstance(answer, str):
                return answer
            environ = redirected(environ, answer)
        self._log.warning(f"cgi: {path}: more than {MOST_REDIRECTS} local redirects")
        return _page("502 Bad Gateway", start_response)

    def _run(self, script: Script, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | str:
        """The program's answer, or the path that it redirects to."""
        if not self._places.acquire(timeout=self._queue_timeout):
            self._log.warning(f"cgi: {os.fsdecode(script.file)} was not run: cgi-processes")
            return _page("503 Service Unavailable", start_response, [("Retry-After", "1")])
        run = None
        try:
            body = self._body(environ)
            passed = variables(environ, script, self._inherited)
            run = _Run(script, passed, body, self._timeout, self._log, self._loop_budget)
            run.register(self._running)
            if self._noted is not None:
                self._noted.add(run.process)
            run.leave_with(environ.get("greenwsgi.disconnected"))
            head, rest = run.head()
        except BaseException as error:
            try:
                if run is not None:
                    run.close()
            finally:
                self._places.release()
            return self._failed(script, error, start_response)
        answer = _Answer(run, head, rest, self._places.release, bodiless=environ.get("REQUEST_METHOD") == "HEAD")
        if head.redirect:
            answer.close()
            return head.redirect
        try:
            start_response(head.status, head.headers)
        except BaseException:
            answer.close()
            raise
        return answer

    def descriptors(self) -> Iterator[int]:
        """Our ends of the pipes of all running programs: a child that the application forks must not hold them open."""
        for run in self._running:
            yield from run.descriptors()

    def _failed(self, script: Script, error: BaseException, start_response: StartResponse) -> Iterable[bytes]:
        """A program that did not answer."""
        name = os.fsdecode(script.file)
        if isinstance(error, Silent):
            self._log.warning(f"cgi: {name} was ended: it was silent for {self._timeout:g} s (cgi-timeout)")
            return _page("504 Gateway Timeout", start_response)
        if isinstance(error, CgiError):
            self._log.warning(f"cgi: {name} did not answer: {error}")
            return _page("502 Bad Gateway", start_response)
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            self._log.warning(f"cgi: cannot run {name}: {error.strerror}")
            return _page("502 Bad Gateway", start_response)
        raise error

    def _body(self, environ: Environ) -> IO[bytes] | None:
        """The request's body. One of unknown length is read first, since a CGI program must know its length."""
        body = environ["wsgi.input"]
        if body is EMPTY:
            environ["CONTENT_LENGTH"] = ""
            return None
        if environ.get("CONTENT_LENGTH"):
            return body  # type: ignore[no-any-return]
        spool = tempfile.SpooledTemporaryFile(SPOOL_IN_MEMORY)  # noqa: SIM115  # it closes itself with its last reader
        length = 0
        while data := body.read1(READ_SIZE):
            length += len(data)
            if length > self._body_limit:
                raise PeerError(f"a body of unknown length and more than {self._body_limit} bytes (limit-post)", 413)
            spool.write(data)
        spool.seek(0)
        environ["CONTENT_LENGTH"] = str(length)
        return spool


class _Noted:
    """Writes the running programs to the scoreboard."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._free = list(range(seat.places))

    def add(self, process: _Process) -> None:
        """Note it until it is reaped. There is a place for each core; a program for which none is free is not noted."""
        started = start_of(process.pid)
        if started and self._free:
            place = self._free.pop()
            self._seat.note_program(place, process.pid, started)
            process.rawlink(partial(self._ended, place))

    def _ended(self, place: int, _: object) -> None:
        self._seat.note_program(place, 0, 0)
        self._free.append(place)


class _Run:
    """One running program. Raises OSError if it cannot be started.

    Arguments:

    - script: the program and its arguments.
    - environ: its environment.
    - body: the file from which the request's body is read; None for none.
    - patience: seconds without reading or writing after which `read` raises Silent (cgi-timeout).
    - log: receives its standard error.
    - loop_budget: the worker's.
    """

    def __init__(
        self,
        script: Script,
        environ: dict[bytes, bytes],
        body: Any,
        patience: float,
        log: ServerLog,
        loop_budget: LoopBudget,
    ) -> None:
        self._name = os.fsdecode(script.file)
        self._log = log
        self._loop_budget = loop_budget
        self._patience = patience
        self._moved = _now()
        self._fault: BaseException | None = None
        self._disconnect: Disconnect | None = None
        self.process = _Process(script, environ, subprocess.DEVNULL if body is None else subprocess.PIPE)
        self._out = self.process.stdout.fileno()
        self._feeder = gevent.spawn(self._feed, body) if body is not None else None
        self._listener = gevent.spawn(self._listen)

    def register(self, running: set[_Run]) -> None:
        """Add it to that set, from which `close` removes it."""
        self._running = running
        running.add(self)

    def descriptors(self) -> Iterator[int]:
        files = (self.process.stdin, self.process.stdout, self.process.stderr)
        return (file.fileno() for file in files if file is not None and not file.closed)

    def leave_with(self, disconnect: Disconnect | None) -> None:
        """End when the client leaves before it has its whole answer."""
        self._disconnect = disconnect
        if disconnect is not None:
            disconnect.event.rawlink(self._client_left)

    def head(self) -> tuple[CgiHead, bytes]:
        """The head of its answer, and what came with it. Raises CgiError, Silent, and what reading the body raised."""
        data = b""
        while (found := read_head(data)) is None:
            more = self.read()
            if not more:
                raise CgiError(f"it {_ended(self.wait())} before the end of its head")
            data += more
        return found

    def read(self) -> bytes:
        """The next bytes of its answer, b"" at its end."""
        self._loop_budget.check()
        self._moved = _now()  # the time since the last call was spent on the client
        while (left := self._moved + self._patience - _now()) > 0:
            data: bytes | None = gevent.with_timeout(left, nb_read, self._out, READ_SIZE, timeout_value=None)
            if data is not None:
                self._moved = _now()
                if not data and self._fault is not None:
                    raise self._fault
                return data
        raise Silent

    def wait(self) -> int:
        """Its exit status, negative for a signal; 0 for one that has closed its output and does not end."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        return self.process.returncode or 0

    def warn(self, text: str) -> None:
        self._log.warning(f"cgi: {self._name} (pid {self.process.pid}) {text}")

    def close(self) -> None:
        """End it, if it still runs, and free everything that it had."""
        self._running.discard(self)
        if self._disconnect is not None:
            self._disconnect.event.unlink(self._client_left)
        if self.process.poll() is None:
            self._kill()
        if self._feeder is not None:
            self._feeder.kill()
        self._listener.join(LAST_WORDS)
        self._listener.kill()
        for file in (self.process.stdin, self.process.stdout, self.process.stderr):
            if file is not None:
                file.close()

    # Its pipes

    def _feed(self, body: Any) -> None:
        """Standard input: the request's body, as fast as both sides go."""
        try:
            while data := body.read1(READ_SIZE) if hasattr(body, "read1") else body.read(READ_SIZE):
                view = memoryview(data)
                while view:
                    view = view[nb_write(self.process.stdin.fileno(), view) :]
                    self._moved = _now()
                    self._loop_budget.check()
            self.process.stdin.close()
        except BrokenPipeError:
            return  # it does not read the rest
        except Exception as error:
            self._fault = error
            self._kill()

    def _listen(self) -> None:
        """Standard error, to the log."""
        data = b""
        while more := nb_read(self.process.stderr.fileno(), READ_SIZE):
            self._loop_budget.check()
            *lines, data = (data + more).split(b"\n")
            if len(data) > LONGEST_LINE:
                lines, data = [*lines, data], b""
            for line in lines:
                self._log_line(line)
                self._loop_budget.check()
        if data:
            self._log_line(data)

    def _log_line(self, line: bytes) -> None:
        text = line[:LONGEST_LINE].decode("utf-8", "backslashreplace")
        self._log.info(f"cgi: {self._name} (pid {self.process.pid}): {text}")

    def _client_left(self, _: object) -> None:
        if self._disconnect is not None and self._disconnect.missed:
            self._fault = ClientLeft(self._disconnect)
            self._kill()

    def _kill(self) -> None:
        """End it and its group: SIGTERM, then SIGKILL."""
        if self.process.poll() is None:
            _signal(self.process, signal.SIGTERM)
            gevent.spawn_later(GRACE, _signal, self.process, signal.SIGKILL)


class _Process(subprocess.Popen[bytes]):
    """A program in a session of its own. An exception that is thrown in while it starts ends it."""

    stdin: Any
    stdout: Any
    stderr: Any
    rawlink: Any

    def __init__(self, script: Script, environ: dict[bytes, bytes], stdin: int) -> None:
        try:
            super().__init__(
                script.command,
                cwd=os.path.dirname(script.file),
                env=environ,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                preexec_fn=_die_with_worker,  # gevent forks in Python anyway
            )
        except BaseException:
            if self.pid is not None:
                self.kill()  # not its group, which it has only at its exec
            raise


class _Answer:
    """The body of an answer; the server that iterates over it closes it (PEP 3333)."""

    def __init__(self, run: _Run, head: CgiHead, rest: bytes, release: Callable[[], Any], *, bodiless: bool) -> None:
        self._run = run
        self._head = head
        self._rest = rest
        self._release: Callable[[], Any] | None = release
        self._bodiless = bodiless or head.status[:3] in ("204", "304")

    def __iter__(self) -> Iterator[bytes]:
        """Raises PeerError for an answer that has begun and does not end well: the connection is cut."""
        sent = len(self._rest)
        if self._rest:
            yield self._rest
        try:
            while data := self._run.read():
                sent += len(data)
                yield data
        except Silent:
            raise PeerError("the program did not end its answer (cgi-timeout)", 504) from None
        status = self._run.wait()
        if status:
            self._run.warn(_ended(status))
        if status < 0 or (sent < self._head.length and not self._bodiless):
            raise PeerError("the program did not end its answer", 502)

    def close(self) -> None:
        if self._release is not None:
            release, self._release = self._release, None
            try:
                self._run.close()
            finally:
                release()


def _page(status: str, start_response: StartResponse, extra: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain"), *extra])
    return [status.partition(" ")[2].encode() + b"\n"]


def _ended(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"died by signal {-status}"


def _signal(process: Any, number: signal.Signals) -> None:
    """Signal its group, as long as it has not ended: after that another process may have its number."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):  # it has just ended; it has changed its user
            os.killpg(process.pid, number)


_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _die_with_worker() -> None:
    """In the child, before the exec: the kernel ends it with its worker, since no one reads its answer then."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
