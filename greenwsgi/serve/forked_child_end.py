"""In a process that the application forked: ends it where the application's code would return to the server or a
library.

The request path does not check whether it runs in such a child. Instead, the objects to which the application's code
returns get other classes or methods in the child.
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
    """The interface of the at-fork hook to the forked process. ForkHook implements it."""

    service: Service | None
    """The service of the worker that forked; None before it served, and in a zygote."""

    def end(self, error: BaseException | None = None) -> NoReturn:
        """End the process."""


def status_of(error: BaseException | None, log: ServerLog) -> int:
    """The exit status of a process that ends by `error`. A failure or message is logged."""
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
    """Let the code that runs now end by `forks.end`.

    ours: its greenlet and those to which it returns. native: it runs in a native thread.
    """
    _end_request(forks, ours)
    for one in ours:
        _end_thread(forks, threading._active.get(threading.get_ident(one)))  # type: ignore[attr-defined, call-arg]
    if native:
        _end_task(forks)
        _end_native_thread(forks)


# Requests


class _ForkedExchange(Exchange):
    """The exchange of the current request, in the child."""

    __slots__ = ()
    forks: ChildProcess

    def _failed(self, error: BaseException) -> str:
        self.forks.end(error)

    def _account(self, ending: str) -> None:
        self.forks.end()


class _ForkedResponse(Response):
    """The response of the current request, in the child: the parent sends the answer."""

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
    forks.service.deadlines.waiting.clear()  # they are the parent's greenlets
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
    """End with a thread of the module `threading`, which would print an exception and return without an error."""
    if thread is not None and hasattr(thread, "_invoke_excepthook"):
        thread._invoke_excepthook = lambda _: forks.end(sys.exc_info()[1])
        thread._delete = forks.end


class _ForkedResult(threadpool.ThreadResult):  # type: ignore[type-arg]  # it takes none when it runs
    """The result of a task of gevent's thread pool, in the child, where its hub does not run."""

    __slots__ = ()
    forks: ChildProcess

    def handle_error(self, context: Any, exc_info: Any) -> None:
        self.forks.end(exc_info[1])


class _Finish:
    """Replaces the watcher that notifies the hub of a result."""

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
    """A thread-local object, which is freed at the end of its thread."""

    def __init__(self, forks: ChildProcess) -> None:
        self._forks = forks

    def __del__(self) -> None:
        self._forks.end()


def _end_native_thread(forks: ChildProcess) -> None:
    """End with the native thread that is now the child's main thread, even if other threads of the child still run.

    Python reports an exception that ends a native thread by sys.unraisablehook.
    """
    _in_thread.last = _Last(forks)
    report = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        report(unraisable)
        if str(unraisable.err_msg).endswith("in thread started by"):
            forks.end(SystemExit(EXIT_FAILED))

    sys.unraisablehook = hook
