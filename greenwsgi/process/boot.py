"""From settings to a master that supervises: places taken, doors opened, privileges dropped; or all that taken over.

After a re-exec everything that is outside of the master is there already, and stays as it is: listeners, pidfile,
control socket, fifos, workers.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from greenwsgi import __version__
from greenwsgi.clock import SystemClock
from greenwsgi.config.settings import Settings, decode
from greenwsgi.errors import UsageError
from greenwsgi.log.access import Access, AccessLog
from greenwsgi.log.server import ServerLog
from greenwsgi.process import control, identity, inherited, listeners, words
from greenwsgi.process.binding import Listener
from greenwsgi.process.commands import by_signal
from greenwsgi.process.control import ControlSocket
from greenwsgi.process.fifo import Fifos
from greenwsgi.process.fleet import Errand, Fleet, Reload
from greenwsgi.process.handover import Handover
from greenwsgi.process.home import Home
from greenwsgi.process.identity import NOBODY_ELSE, Identity, Pidfile
from greenwsgi.process.inbox import Inbox
from greenwsgi.process.master import Master
from greenwsgi.process.notify import Notifier
from greenwsgi.process.reexec import Reexec
from greenwsgi.process.spawn import Processes
from greenwsgi.shared import programs, shares, title
from greenwsgi.shared.hooks import Hooks
from greenwsgi.shared.scoreboard import RunningRequest

T = TypeVar("T")


def serve(
    settings: Settings,
    log: ServerLog,
    reread: Callable[[Settings], Settings],
    handed: Handover | None = None,
    ready: Callable[[], None] | None = None,
) -> int:
    """Serve until told to stop; the exit status. Whatever is made on the way is gone again at the end.

    reread: gives the configuration for each generation after the first. handed: what the image before a re-exec had.
    ready: called when the first generation serves.
    Raises UsageError, before anything is started, for an address, user or pidfile that cannot be had.
    """
    signals = by_signal(settings.processes.sigterm_reloads)
    with ExitStack() as made:
        home = Home(handed.folder if handed else "")
        inbox = _inbox(signals, handed)
        made.callback(inbox.close)
        last = made.enter_context(ExitStack())
        opening = _Opening(settings, inbox, log, made, last, handed)
        places = opening.take_all()
        title.show("master", settings.machine)
        line = _KilledLine(log.fd)
        bound = [one.bound for one in places.listeners]
        processes, clock = Processes(), SystemClock()
        master = Master(settings, bound, log, inbox, processes, clock, line, home.there(reread), signals, handed)
        if path := settings.logging.logto or settings.logging.daemonize:
            _look_after_log(home.there(os.path.abspath)(path), master)
        master.ready = ready or master.ready
        master.refuse = partial(listeners.refuse, places.listeners)
        reexec = Reexec(
            master.fleet,
            processes,
            clock,
            log,
            home,
            hand_over=lambda: replace(places.hand_over(master.hand_over(inbox)), folder=home.led_to),
            note_all=master.note_all,
        )
        master.witness.strangers = reexec.buried
        inbox.looks += [reexec.look, Notifier(master.fleet, os.environ, log).look]
        master.errands |= {Errand.REEXEC: reexec.begin, Errand.EXECUTE: reexec.execute}
        if places.pidfile:
            master.errands[Errand.WRITE_PIDFILE] = places.pidfile.write
        if handed:
            _go_on(master.fleet, log, clock.monotonic())
        status = master.run()
    log.info("stopped")
    return status


def _go_on(fleet: Fleet, log: ServerLog, now: float) -> None:
    """After a re-exec signals may come again, and the application of today is loaded."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    log.info(f"executed anew: greenwsgi {__version__} (pid {os.getpid()}); the application is loaded anew")
    fleet.reload_asked(Reload.WHOLE, now)


def _look_after_log(path: str, master: Master) -> None:
    def rotate() -> None:
        os.rename(path, f"{path}.{int(time.time())}")
        master.open_log(path)

    master.logs_to(path)
    master.errands |= {Errand.REOPEN_LOG: lambda: master.open_log(path), Errand.ROTATE_LOG: rotate}


def _inbox(signals: Iterable[signal.Signals], handed: Handover | None) -> Inbox:
    if handed is None:
        return Inbox(signals)
    for fd in handed.descriptors():
        os.set_inheritable(fd, False)
    return Inbox(signals, (handed.report[0], handed.report[1]), handed.rest)


@dataclass(slots=True)
class Places:
    """What the server has outside of its processes."""

    listeners: list[Listener]
    pidfile: Pidfile | None
    control: ControlSocket | None
    fifos: Fifos | None

    def hand_over(self, handed: Handover) -> Handover:
        """The same with these."""
        return replace(
            handed,
            listeners=inherited.keep(self.listeners),
            pidfile=self.pidfile.fd if self.pidfile else -1,
            control=self.control.fd if self.control else -1,
            fifo=self.fifos.fd if self.fifos else -1,
            slot=self.fifos.slot if self.fifos else 0,
        )


@dataclass(slots=True)
class _Opening:
    """Takes the places. What goes to `last` is closed after all that goes to `made`."""

    settings: Settings
    inbox: Inbox
    log: ServerLog
    made: ExitStack
    last: ExitStack
    handed: Handover | None

    def take_all(self) -> Places:
        """In this order, since only root may do all."""
        if self.handed is None:
            self._hooks_as_root()
        who = self._identity()
        self._try(lambda: shares.limit(self.settings.machine, self.log.warning))
        if self.settings.listening.umask is not None:
            os.umask(self.settings.listening.umask)
        places = Places(
            self._listeners(who),
            self._try(self._pidfile),
            self._try(lambda: self._control(who)),
            self._try(lambda: self._fifos(who)),
        )
        if self.handed is None:
            who.assume()
            moments = self.settings.moments
            self._hooks.perform("as-user", moments.hook_as_user, moments.exec_as_user)
        self.made.callback(self._hooks_at_the_end)
        return places

    def _identity(self) -> Identity:
        """Whom to become. After a re-exec nobody else: the workers that are there are still who they were."""
        wanted = self.settings.processes
        who = self._try(lambda: identity.find(wanted.uid, wanted.gid, self.settings.machine.add_gid))
        if who is not None and self.handed:
            before = decode(max(self.handed.cycles.items())[1].configuration).processes
            if before.uid != wanted.uid or who.uid not in (None, os.geteuid()):
                self._warn_of("uid")
            if before.gid != wanted.gid or (wanted.gid and who.gid != os.getegid()):
                self._warn_of("gid")
        return who or NOBODY_ELSE

    def _warn_of(self, what: str) -> None:
        self.log.warning(f"{what} has changed, but takes a restart; it stays as it was")

    @property
    def _hooks(self) -> Hooks:
        return Hooks(self.log, partial(programs.run, environ=self.settings.environment_over(os.environ)))

    def _hooks_as_root(self) -> None:
        moments, hooks = self.settings.moments, self._hooks
        hooks.perform("asap", moments.hook_asap, moments.exec_asap)
        hooks.perform("pre-jail", moments.hook_pre_jail, moments.exec_pre_jail)
        hooks.perform("in-jail", moments.hook_in_jail, moments.exec_in_jail)
        hooks.perform("as-root", moments.hook_as_root, moments.exec_as_root)

    def _hooks_at_the_end(self) -> None:
        moments = self.settings.moments
        self._hooks.attempt("as-user-atexit", moments.hook_as_user_atexit, moments.exec_as_user_atexit)

    def _try(self, take: Callable[[], T | None]) -> T | None:
        """After a re-exec no place is worth the end of a server that runs."""
        try:
            return take()
        except UsageError as error:
            if self.handed is None:
                raise
            self.log.error(str(error))
            return None

    def _listeners(self, who: Identity) -> list[Listener]:
        if self.handed is None:
            return listeners.listen(self.settings, os.environ, self.log, self._close_at_the_end, who)
        kept = [inherited.kept(one, self.settings.listening) for one in self.handed.listeners]
        for listener in kept:
            self._close_at_the_end(listener)
        self._compare(kept)
        return kept

    def _compare(self, kept: Iterable[Listener]) -> None:
        """Over a re-exec the sockets stay: tell of those that were written, or are not written any more."""
        there = {(one.bound.protocol, one.text): one for one in kept if one.text}
        wanted = {(one.protocol, one.text): one for one in self.settings.listeners}
        for place, listener in there.items():
            if place not in wanted:
                self.log.warning(
                    f"{words.address(listener.bound)} is not configured any more, but closing it takes a restart"
                )
        for place, address in wanted.items():
            if place not in there and not self.settings.listens_by_default:
                self.log.warning(f"{address.origin}: {' '.join(place)} is new, but opening it takes a restart")

    def _close_at_the_end(self, listener: Listener) -> None:
        vacuum = self.settings.listening.vacuum
        self.made.callback(_clean, lambda: listener.close(vacuum=vacuum), self.log)

    def _pidfile(self) -> Pidfile | None:
        path = self.settings.processes.pidfile
        if not path:
            return None
        pidfile = Pidfile(path, self.handed.pidfile if self.handed else -1)
        if other := pidfile.write():
            self.log.warning(f"pidfile {pidfile.path} named process {other}, which lives; now it names this one")
        if self.settings.listening.vacuum:
            self.made.callback(_clean, pidfile.remove, self.log)
        return pidfile

    def _control(self, who: Identity) -> ControlSocket | None:
        """Closed last: who waits for the server's end sees it there."""
        processes = self.settings.processes
        paths = control.places(processes.control_socket, (processes.pidfile, *processes.master_fifo))
        if not paths:
            return None
        fd = self.handed.control if self.handed else -1
        found = ControlSocket(paths[0], paths[1:], who, self.inbox, fd)
        self.last.callback(_clean, found.close, self.log)
        return found

    def _fifos(self, who: Identity) -> Fifos | None:
        paths = self.settings.processes.master_fifo
        if not paths:
            return None
        fifos = Fifos(paths, who, self.inbox, self.log)
        if self.handed and self.handed.fifo >= 0:
            fifos.go_on(self.handed.fifo, self.handed.slot)
        else:
            fifos.open()
        self.last.callback(_clean, fifos.close, self.log)
        self.inbox.looks.append(fifos.look)
        return fifos


def _clean(remove: Callable[[], None], log: ServerLog) -> None:
    """At the end we may not be who we were at the start: a file that cannot be removed is told of, and no more."""
    try:
        remove()
    except OSError as error:
        log.warning(f"left behind: {error}")


class _KilledLine:
    """The access line of a request that died with its worker, in the worker's name; its status is `killed`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __call__(self, worker: int, pid: int, request: RunningRequest) -> None:
        ran = time.monotonic() - request.started
        one = Access(
            request.addr, request.method, request.uri, request.protocol or "HTTP/1.1", "", 0, 0, time.time() - ran, ran,
            "killed", 0, 0, 0, 0, request.core,
        )  # fmt: skip
        AccessLog(pid, self._fd).write(one, 0, 0)
