"""In a process that the application forked: where its code would come back to the server's or a library's, and ends.

Nothing on the way of a request asks whether it is in such a child. Instead the objects that the code would come back to
are given other classes or methods in the child.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, NoReturn, Protocol

from gevent import monkey, threadpool
from greenlet import GreenletExit, greenlet

from greenwsgi.errors import EXIT_FAILED
from greenwsgi.log import tracebacks
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve.exchange import Exchange
from greenwsgi.serve.service import Service
from greenwsgi.wsgi.response import Data, Response


class ChildProcess(Protocol):
    """The forked process, as its at-fork hook knows it. ForkHook is one."""

    service: Service | None
    """The service of the worker that forked; None before it served, and in a zygote."""

    def end(self, error: BaseException | None = None) -> NoReturn:
        """End the process."""


def status_of(error: BaseException | None, log: ServerLog) -> int:
    """The exit status of a program that ends by this; what it has to say goes to the log."""
    if error is None or isinstance(error, GreenletExit):
        return 0
    if not isinstance(error, SystemExit):
        log.error(f"a process that the application forked failed\n{tracebacks.of_application(error)}")
        return EXIT_FAILED
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    log.error(f"a process that the application forked ends: {error.code}")
    return EXIT_FAILED


def prepare(forks: ChildProcess, ours: list[greenlet], native: bool) -> None:
    """Have what runs now end by `forks.end`. ours: its greenlet and those it returns to; native: of a native thread."""
    _end_request(forks, ours)
    for one in ours:
        _end_thread(forks, threading._active.get(threading.get_ident(one)))  # type: ignore[attr-defined, call-arg]
    if native:
        _end_task(forks)
        _end_native_thread(forks)


# Requests


class _ForkedExchange(Exchange):
    """An exchange in the child that its application has forked."""

    __slots__ = ()
    forks: ChildProcess

    def _failed(self, error: BaseException) -> str:
        self.forks.end(error)

    def _account(self, ending: str) -> None:
        self.forks.end()


class _ForkedResponse(Response):
    """Its answer, which the parent gives."""

    __slots__ = ()
    forks: ChildProcess

    def write(self, data: Data) -> None:
        self.forks.end()

    def only(self, data: Data) -> None:
        self.forks.end()

    def file(self, *_: Any) -> None:
        self.forks.end()

    def finish(self) -> None:
        self.forks.end()


def _end_request(forks: ChildProcess, ours: list[greenlet]) -> None:
    if forks.service is None:
        return
    forks.service.deadlines.waiting.clear()  # all of the parent
    running = forks.service.running
    exchange: Any
    for key, exchange in list(running.items()):
        if any(exchange.greenlet is one for one in ours):
            _ForkedExchange.forks = _ForkedResponse.forks = forks
            exchange._response.closed = True  # for a `write` that the application took before the fork
            exchange._response.__class__ = _ForkedResponse
            exchange.__class__ = _ForkedExchange
        else:
            del running[key]


# Threads


def _end_thread(forks: ChildProcess, thread: Any) -> None:
    """One of the module threading, a greenlet or a native one: it would print what is raised, and end quietly."""
    if thread is not None and hasattr(thread, "_invoke_excepthook"):
        thread._invoke_excepthook = lambda _: forks.end(sys.exc_info()[1])
        thread._delete = forks.end


class _ForkedResult(threadpool.ThreadResult):  # type: ignore[type-arg]  # it takes none when it runs
    """What a task of gevent's thread pool gives to a hub that is not there."""

    __slots__ = ()
    forks: ChildProcess

    def handle_error(self, context: Any, exc_info: Any) -> None:
        self.forks.end(exc_info[1])


class _Finish:
    """In the place of the watcher that tells the hub of a result."""

    def __init__(self, forks: ChildProcess) -> None:
        self._forks = forks

    def send(self) -> None:
        self._forks.end()


def _end_task(forks: ChildProcess) -> None:
    code = threadpool._WorkerGreenlet._WorkerGreenlet__run_task.__code__  # type: ignore[attr-defined]
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code is code:
            _ForkedResult.forks = forks
            result = frame.f_locals["thread_result"]
            result.__class__ = _ForkedResult
            result.async_watcher = _Finish(forks)  # for `set`, which Python looks up before it calls the task
        frame = frame.f_back  # type: ignore[assignment]


_in_thread = monkey.get_original("_thread", "_local")()


class _Last:
    """Is freed with the state of its thread."""

    def __init__(self, forks: ChildProcess) -> None:
        self._forks = forks

    def __del__(self) -> None:
        self._forks.end()


def _end_native_thread(forks: ChildProcess) -> None:
    """The thread that is the child's main one now may end by itself, while others of the child still run.

    What a thread raises, Python reports as what could not be raised.
    """
    _in_thread.last = _Last(forks)
    report = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        report(unraisable)
        if str(unraisable.err_msg).endswith("in thread started by"):
            forks.end(SystemExit(EXIT_FAILED))

    sys.unraisablehook = hook
