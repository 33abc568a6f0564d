"""The at-fork hook: turns a process that the application forks from a worker or zygote into a program of its own.

The child inherits the hub, the sockets, the signal handlers and the scoreboard seat of the server. With them it would
answer requests of other clients, run their code a second time, and survive SIGTERM. The hook removes all of that and
gives the child its own hub. The order of the steps matters. Descriptors come first, so that no client's socket is left
if a later step fails. Then come the signals, which are blocked until then, and last the scoreboard and the hub. When
the code that forked ends, the child ends with os._exit; see forked_child_end.

Two kinds of fork are exempt: the server's own (`ForkHook.fork`), and those of gevent's Popen, which forks in Python and
executes a program at once. If a `preexec_fn` of Popen waits in the hub, the hook does its work at that moment.

Requests pay nothing for this: the child itself searches for what has to be removed. This module is imported before
gevent, and must not import threading or logging. Their at-fork hooks drop the locks that greenlets wait for, and a
suspended greenlet that loses its last reference runs its `finally` blocks. So this hook has to be registered first.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from greenwsgi.errors import EXIT_FAILED
from greenwsgi.log.server_log import ServerLog

if TYPE_CHECKING:
    from greenwsgi.serve.service import Service

_HELD_BACK = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGCONT),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
"""Signals for which the server may have a handler. They are blocked between the fork and the hook."""


class ForkHook:
    """The at-fork hook of one process. It does nothing before `arm`."""

    def __init__(self) -> None:
        self.child = False
        """The application has forked this process."""
        self.log = ServerLog()
        self.service: Service | None = None
        """The service of a worker; None before it serves."""
        self.descriptors: Callable[[], Iterable[int]] = tuple
        """Returns the server's descriptors that are neither guarded nor part of the service."""
        self.forget_seat: Callable[[], None] = lambda: None
        """Called in the child. After it, nothing the child does is written to the scoreboard."""
        self.title: Callable[[str], None] = lambda text: None
        """Called in the child with the title that `ps` shows."""
        self._guarded: dict[int, tuple[int, int]] = {}
        self._names: set[object] = set()
        self._files: Any = None
        self._hub: Any = None
        self._ends: Any = None
        self._exempt: dict[object, Callable[[], None]] = {}
        """Greenlets of the parent that fork for the server, each with what the hook does in its child."""
        self._masks: dict[object, Iterable[int]] = {}
        """The signal masks of greenlets that are forking."""

    def register(self) -> None:
        """Register the hook with Python, before all modules that are imported later. Call it once in a process."""
        os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def arm(self, log: ServerLog) -> None:
        """Enable the hook. gevent must have patched the standard library before."""
        from greenwsgi.serve import forked_child_descriptors, forked_child_end, forked_child_hub

        self.log = log
        self._files, self._hub, self._ends = forked_child_descriptors, forked_child_hub, forked_child_end
        forked_child_hub.exempt_popen(self.fork_program)

    def guard(self, descriptors: Iterable[int], listeners: Iterable[int]) -> None:
        """Close these in a child, unless their numbers have been reused by then. `listeners` is a subset of them."""
        self._guarded = {fd: _identity(fd) for fd in descriptors}
        self._names = {self._files.name_of(fd) for fd in listeners} - {None}

    # The server's own forks

    def fork(self) -> int:
        """os.fork for the server itself: the child is not one of the application."""
        return self._fork(lambda: None)

    def fork_program(self) -> int:
        """os.fork for Popen, whose child executes a program."""
        return self._fork(lambda: self._hub.postpone(self._become_child))

    def _fork(self, in_child: Callable[[], None]) -> int:
        me = self._hub.getcurrent()
        outer = self._exempt.get(me)  # set when an at-fork hook of the application forks inside a fork of ours
        self._exempt[me] = in_child
        try:
            return int(self._hub.fork())
        finally:
            self._exempt.pop(me, None)
            if outer is not None:
                self._exempt[me] = outer

    # The ends of a child

    def returned(self, error: BaseException | None = None) -> None:
        """The application's code has returned or raised. In a child, this ends the process."""
        if self.child:
            self.end(error)

    def end(self, error: BaseException | None = None) -> NoReturn:
        """End this child. Its status is 0, that of sys.exit(), or 1 with the traceback in the log."""
        status = 0 if error is None else EXIT_FAILED  # kept if formatting the error fails
        try:
            status = self._ends.status_of(error, self.log)
            _flush()
        finally:
            os._exit(status)

    # The hook

    def _before(self) -> None:
        """Flush buffers, which both processes would write, and block signals until the child has reset its handlers."""
        if self._hub is None or (me := self._hub.getcurrent()) in self._exempt:
            return
        _flush()
        self._masks[me] = signal.pthread_sigmask(
            signal.SIG_BLOCK, ()
        )  # separately: a handler may raise in the next call
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)

    def _in_parent(self) -> None:
        if self._exempt:  # this fork was exempt; a fork by one of the application's hooks, which run now, is not
            self._exempt.pop(self._hub.getcurrent(), None)
        if self._masks and (mask := self._masks.pop(self._hub.getcurrent(), None)) is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _in_child(self) -> None:
        if self._hub is None:
            return
        me = self._hub.getcurrent()
        in_child = self._exempt.get(me, self._become_child)
        mask = self._masks.get(me)
        self._exempt.clear()
        self._masks.clear()
        try:
            in_child()
        except BaseException as error:
            self._fail(error)
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _become_child(self) -> None:
        """Do the work of the hook."""
        collecting = gc.isenabled()
        gc.disable()  # a collection would finalize the parent's garbage and copy the pages it shares
        self.child = True
        try:
            self._files.point_at_nothing({*self._still_guarded(), *self.descriptors(), *self._clients()})
            _reset_signals()
            self.forget_seat()
            current, native = self._hub.renew(self.end)
            self._ends.prepare(self, current, native)
            self.title(f"child of {os.getppid()}")
        except BaseException as error:
            self._fail(error)
        gc.freeze()  # existing objects are the parent's: exclude them from collections here
        if collecting:
            gc.enable()

    def _fail(self, error: BaseException) -> NoReturn:
        try:
            self.log.error(
                "a process that the application forked is ended, because it could not be separated from the server:"
                f" {type(error).__name__}: {error}"
            )
        finally:
            os._exit(EXIT_FAILED)

    def _still_guarded(self) -> Iterable[int]:
        """The guarded descriptors that are still the same files: closed numbers may have been reused."""
        for fd, identity in self._guarded.items():
            with suppress(OSError):
                if _identity(fd) == identity:
                    yield fd

    def _clients(self) -> Iterable[int]:
        """The sockets of all connections, including those whose greenlet has not started yet."""
        if self.service is not None:
            if not self._hub.in_request():
                yield from self._files.accepted(self._names)
            for connection in (*self.service.connections, *self.service.greenlet_pool.waiting):
                yield connection.stream.sock.fileno()


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _reset_signals() -> None:
    """Replace the server's handlers by Python's defaults. Handlers of the application stay.

    SIGUSR1 and SIGUSR2 are left alone: the application may have given them to faulthandler, which Python cannot see.
    """
    for number in signal.valid_signals() - {signal.SIGUSR1, signal.SIGUSR2}:
        handler = signal.getsignal(number)
        if callable(handler) and str(getattr(handler, "__module__", "")).startswith("greenwsgi."):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the disk may be full, and the application may have replaced the stream
            stream.flush()
