"""What becomes of a process that the application forks from a worker or a zygote: a program of its own.

Such a child inherits the hub, the sockets, the signal handlers and the scoreboard of a server. With them it would
answer requests of other clients, run their code a second time, and survive SIGTERM. The at-fork hook takes all of that
away, and gives the child a hub of its own. The order of its steps counts: first the descriptors, so that a hook which
fails later has left no client's socket; then the signals, which are blocked until then; then the scoreboard and the
hub. Where the code that forked ends, the child ends with it by os._exit, see forked_ends.

Exempt are the server's own forks (`Forks.fork`), and those of gevent's Popen, which forks in Python: its child executes
a program at once. Only if a `preexec_fn` waits in the hub before that does the hook do its work, at that moment.

Nothing here costs a request anything: what there is to take away is looked for in the child. This module is imported
before gevent, and imports nothing that imports threading or logging: their own hooks drop what greenlets wait for, and
a suspended greenlet that is not held any more ends by running its `finally` blocks. So ours has to come first.
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
"""Signals that may have a handler of the server. One that comes between the fork and the hook would meet it."""


class ForkHook:
    """The at-fork hook of one process; it does nothing before `arm`.

    child: whether the application has forked this process.
    service: of a worker that serves, None before.
    descriptors: tells the server's descriptors beside those that are guarded and those of the service.
    forget_seat: called in a child; afterwards nothing that it does is written to the scoreboard.
    title: called in a child with what `ps` is to show.
    """

    def __init__(self) -> None:
        self.child = False
        self.log = ServerLog()
        self.service: Service | None = None
        self.descriptors: Callable[[], Iterable[int]] = tuple
        self.forget_seat: Callable[[], None] = lambda: None
        self.title: Callable[[str], None] = lambda text: None
        self._guarded: dict[int, tuple[int, int]] = {}
        self._names: set[object] = set()
        self._files: Any = None
        self._hub: Any = None
        self._ends: Any = None
        self._exempt: dict[object, Callable[[], None]] = {}
        """Greenlets of the parent that are forking for the server; and what their child does in the hook."""
        self._masks: dict[object, Iterable[int]] = {}
        """The signal masks of greenlets that are forking."""

    def register(self) -> None:
        """Have Python call the hook at every fork, before the hooks of all that is imported later. Once a process."""
        os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def arm(self, log: ServerLog) -> None:
        """From now on the hook works. gevent must have patched."""
        from greenwsgi.serve import forked_child_descriptors, forked_child_end, forked_child_hub

        self.log = log
        self._files, self._hub, self._ends = forked_child_descriptors, forked_child_hub, forked_child_end
        forked_child_hub.exempt_popen(self.fork_program)

    def guard(self, descriptors: Iterable[int], listeners: Iterable[int]) -> None:
        """These are the server's, as long as they are open as what they are now; listeners are among them."""
        self._guarded = {fd: _identity(fd) for fd in descriptors}
        self._names = {self._files.name_of(fd) for fd in listeners} - {None}

    # The server's own forks

    def fork(self) -> int:
        """os.fork, for the server: its child is none of the application's."""
        return self._fork(lambda: None)

    def fork_program(self) -> int:
        """os.fork for Popen, whose child executes a program."""
        return self._fork(lambda: self._hub.postpone(self._become_child))

    def _fork(self, in_child: Callable[[], None]) -> int:
        me = self._hub.getcurrent()
        outer = self._exempt.get(me)  # a hook of the application, which runs before a fork of ours, forks by this too
        self._exempt[me] = in_child
        try:
            return int(self._hub.fork())
        finally:
            self._exempt.pop(me, None)
            if outer is not None:
                self._exempt[me] = outer

    # The ends of a child

    def returned(self, error: BaseException | None = None) -> None:
        """The application's code has come back to the server, by an error or without: a child ends here."""
        if self.child:
            self.end(error)

    def end(self, error: BaseException | None = None) -> NoReturn:
        """End this child as the program that it is: 0, or sys.exit()'s status, or 1 and the traceback in the log."""
        status = 0 if error is None else EXIT_FAILED  # an error may not even let itself be shown
        try:
            status = self._ends.status_of(error, self.log)
            _flush()
        finally:
            os._exit(status)

    # The hook

    def _before(self) -> None:
        """What is buffered would be written by both. Signals wait until the child has taken the handlers away."""
        if self._hub is None or (me := self._hub.getcurrent()) in self._exempt:
            return
        _flush()
        self._masks[me] = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # apart: a handler may raise in the next call
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)

    def _in_parent(self) -> None:
        if self._exempt:  # this fork was; one by a hook of the application, which runs now, is not
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
        """All of the hook's work."""
        collecting = gc.isenabled()
        gc.disable()  # a collection would finalize what the parent has thrown away, and copy its pages
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
        gc.freeze()  # what there is now is the parent's: no collection of this process looks at it
        if collecting:
            gc.enable()

    def _fail(self, error: BaseException) -> NoReturn:
        try:
            self.log.error(
                "a process that the application forked is ended, since it cannot be made a program of its own:"
                f" {type(error).__name__}: {error}"
            )
        finally:
            os._exit(EXIT_FAILED)

    def _still_guarded(self) -> Iterable[int]:
        """Not those that were closed since, by us or the application: the numbers may be other files now."""
        for fd, identity in self._guarded.items():
            with suppress(OSError):
                if _identity(fd) == identity:
                    yield fd

    def _clients(self) -> Iterable[int]:
        """The sockets of all connections, also of those whose greenlet has not run yet."""
        if self.service is not None:
            if not self._hub.in_request():
                yield from self._files.accepted(self._names)
            for connection in (*self.service.connections, *self.service.carriers.waiting):
                yield connection.stream.sock.fileno()


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _reset_signals() -> None:
    """Handlers of the server give way to what a Python program begins with; those of the application stay.

    SIGUSR1 and SIGUSR2 are the application's, which may have given them to faulthandler; only C code sees that.
    """
    for number in signal.valid_signals() - {signal.SIGUSR1, signal.SIGUSR2}:
        handler = signal.getsignal(number)
        if callable(handler) and str(getattr(handler, "__module__", "")).startswith("greenwsgi."):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the disk may be full, and the application may have put anything there
            stream.flush()
