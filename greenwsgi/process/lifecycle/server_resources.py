"""What the server has outside of its processes: listeners, pidfile, control socket, fifos, the log's file.

They are taken at the start, in an order that leaves a server which lives its own; or, after a re-exec, taken over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from greenwsgi.config.settings import Settings, decode
from greenwsgi.errors import Origin, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.control import control_socket
from greenwsgi.process.control.control_socket import ControlSocket
from greenwsgi.process.control.master_fifo import MasterFifos
from greenwsgi.process.lifecycle import child_processes, user_identity
from greenwsgi.process.lifecycle.handover import Handover
from greenwsgi.process.lifecycle.pidfile import Pidfile
from greenwsgi.process.lifecycle.start_directory import StartDirectory
from greenwsgi.process.lifecycle.user_identity import NOBODY_ELSE, Identity
from greenwsgi.process.listening import inherited_sockets, listeners
from greenwsgi.process.listening.binding import Listener
from greenwsgi.process.supervision import log_messages
from greenwsgi.process.supervision.event_inbox import EventInbox
from greenwsgi.shared import descriptor_numbers, resource_limits, run_command
from greenwsgi.shared.hooks import Hooks
from greenwsgi.shared.resources import CONTROL_SOCKET, MASTER_FIFO, PIDFILE, OpenFile, Resources

S = TypeVar("S")
T = TypeVar("T")


@dataclass(slots=True)
class ServerResources:
    """All of them. log_file: "" where the log goes to no file. dropped: were we root, and are somebody else now?"""

    listeners: list[Listener]
    control: ControlSocket | None
    fifos: MasterFifos | None
    pidfile: Pidfile | None
    log_file: str
    dropped: bool

    def keep(self, log: ServerLog) -> None:
        """Lock the pidfile again, after what may have opened and closed it."""
        if self.pidfile:
            self.pidfile.lock_again(log.warning)

    def kept_over(self, act: Callable[[S], T], log: ServerLog) -> Callable[[S], T]:
        """The same; the pidfile is locked after it, whatever it reads."""

        def do(given: S) -> T:
            try:
                return act(given)
            finally:
                self.keep(log)

        return do

    def resources(self) -> Resources:
        """What of these is open. A fifo's descriptor changes with the slot in use."""
        files: list[OpenFile] = []
        if self.pidfile:
            files.append(OpenFile(self.pidfile.fd, PIDFILE, inherited=False))
        if self.control:
            files.append(OpenFile(self.control.fd, CONTROL_SOCKET, self.control.file, inherited=False))
        if self.fifos:
            files.append(OpenFile(self.fifos.fd, MASTER_FIFO, inherited=False))
        return Resources((*(one.bound for one in self.listeners), *(one for one in files if one.fd >= 0)))

    def hand_over(self, handed: Handover) -> Handover:
        """The same with these."""
        return replace(
            handed,
            resources=handed.resources + self.resources(),
            slot=self.fifos.slot if self.fifos else 0,
            dropped=self.dropped,
            paths={
                "pidfile": [self.pidfile.path] if self.pidfile else [],
                "control-socket": self.control.paths if self.control else [],
                "master-fifo": self.fifos.paths if self.fifos else [],
                "logto": [self.log_file],
            },
        )


@dataclass(slots=True)
class ResourceOpener:
    """Takes the places. What goes to `last` is closed after all that goes to `made`."""

    settings: Settings
    home: StartDirectory
    inbox: EventInbox
    log: ServerLog
    made: ExitStack
    last: ExitStack
    handed: Handover | None

    def take_all(self) -> ServerResources:
        """In this order, since only root may do all.

        What another server that lives does not give is asked for before what it would lose, its pidfile.
        """
        if self.handed is None:
            self._hooks_as_root()
        who = self._identity()
        self._try(lambda: resource_limits.limit(self.settings.machine, self.log.warning))
        if self.settings.listening.umask is not None:
            os.umask(self.settings.listening.umask)
        pidfile, fifos, sockets = self._names()
        places = ServerResources(
            listeners=self._listeners(who),
            control=self._try(lambda: self._written("control-socket", lambda: self._control(who, sockets))),
            fifos=self._try(lambda: self._written("master-fifo", lambda: self._fifos(who, fifos))),
            pidfile=self._try(lambda: self._written("pidfile", lambda: self._pidfile(pidfile))),
            log_file=self._log_file(),
            dropped=self.handed.dropped if self.handed else who.drops,
        )
        if self.handed is None:
            self._leave_terminal(places.dropped)
            self._written(who.option, who.assume)
            if places.dropped:
                child_processes.hide()
            moments = self.settings.hooks
            self._hooks(places.dropped).perform("as-user", moments.hook_as_user, moments.exec_as_user)
            places.keep(self.log)
        self.made.callback(places.keep, self.log)
        self.made.callback(lambda: self._hooks_at_the_end(places.dropped))
        return places

    def _identity(self) -> Identity:
        """Whom to become. After a re-exec nobody else: the workers that are there are still who they were.

        Nor where we are not root, as under uWSGI: one file is for systems and for containers, which have their user.
        """
        wanted = self.settings.processes
        who = self._try(lambda: user_identity.find(wanted.uid, wanted.gid, self.settings.machine.add_gid))
        if who is not None and self.handed:
            before = decode(max(self.handed.cycles.items())[1].configuration).processes
            if before.uid != wanted.uid or who.uid not in (None, os.geteuid()):
                self._warn_of("uid")
            if before.gid != wanted.gid or (wanted.gid and who.gid != os.getegid()):
                self._warn_of("gid")
        elif who is not None and not who.possible:
            self.log.warning(f"only root can run as {who}; this stays uid {os.geteuid()} and gid {os.getegid()}")
            return NOBODY_ELSE
        elif who is not None and who.from_uid:
            self.log.warning(f"uid {who.uid} has no account, so this runs as gid {who.gid} too; gid sets another group")
        return who or NOBODY_ELSE

    def _warn_of(self, what: str) -> None:
        self.log.warning(f"{what} has changed, but needs a restart; it stays as it was")

    def _leave_terminal(self, dropped: bool) -> None:
        """What is typed where the server was started is for no other user, nor for one in the background."""
        if dropped or self.settings.logging.daemonize:
            descriptor_numbers.no_input()  # a listener that it may have been has another number by now
        for fd in descriptor_numbers.make_terminals_write_only() if dropped else ():
            self.log.warning(f"descriptor {fd} is a terminal that the application can read; redirect it, or use logto")

    def _hooks(self, dropped: bool = False) -> Hooks:
        environ = self.settings.environment_over(os.environ)
        return Hooks(self.log, partial(run_command.run, environ=environ, apart=dropped))

    def _hooks_as_root(self) -> None:
        moments, hooks = self.settings.hooks, self._hooks()
        hooks.perform("asap", moments.hook_asap, moments.exec_asap)
        hooks.perform("pre-jail", moments.hook_pre_jail, moments.exec_pre_jail)
        hooks.perform("in-jail", moments.hook_in_jail, moments.exec_in_jail)
        hooks.perform("as-root", moments.hook_as_root, moments.exec_as_root)

    def _hooks_at_the_end(self, dropped: bool) -> None:
        moments = self.settings.hooks
        self._hooks(dropped).attempt("as-user-atexit", moments.hook_as_user_atexit, moments.exec_as_user_atexit)

    def _try(self, take: Callable[[], T | None]) -> T | None:
        """After a re-exec no place is worth the end of a server that runs."""
        try:
            return take()
        except UsageError as error:
            if self.handed is None:
                raise
            self.log.error(str(error))
            return None

    def _written(self, option: str, take: Callable[[], T | None]) -> T | None:
        """What goes wrong is told with the line where the option was written, if it was."""
        try:
            return take()
        except UsageError as error:
            if self.settings.origins(option) and error.origin == Origin(option):
                raise UsageError(f"{option}: {error.text}", self.settings.origin(option)) from None
            raise

    def _listeners(self, who: Identity) -> list[Listener]:
        if self.handed is None:
            return listeners.listen(self.settings, os.environ, self.log, self._close_at_the_end, who)
        options, there = self.settings.listening, self.handed.resources.listeners
        kept = [inherited_sockets.taken_over(one, options) for one in there]
        for listener in kept:
            self._close_at_the_end(listener)
        self._compare(kept)
        return kept

    def _compare(self, kept: Iterable[Listener]) -> None:
        """Over a re-exec the sockets stay: tell of those that were written, or are not written any more."""
        there = {(one.bound.protocol, one.bound.text): one for one in kept if one.bound.text}
        wanted = {(one.protocol, one.text): one for one in self.settings.listeners}
        for place, listener in there.items():
            if place not in wanted:
                self.log.warning(
                    f"{log_messages.address(listener.bound)} is not configured any more, but closing it needs a restart"
                )
        for place, address in wanted.items():
            if place not in there and not self.settings.listens_by_default:
                self.log.warning(f"{address.origin}: {' '.join(place)} is new, but opening it needs a restart")

    def _close_at_the_end(self, listener: Listener) -> None:
        vacuum = self.settings.listening.vacuum
        self.made.callback(_clean, lambda: listener.close(vacuum=vacuum), self.log)

    def _names(self) -> tuple[list[str], list[str], list[str]]:
        """Of the pidfile, the fifos and the control socket, which is beside the others."""
        wanted = self.settings.processes
        pidfile = self._stays("pidfile", _absolute(wanted.pidfile))
        fifos = self._stays("master-fifo", _absolute(*wanted.master_fifo))
        sockets = control_socket.places(wanted.control_socket, (*pidfile, *fifos))
        return pidfile, fifos, self._stays("control-socket", sockets)

    def _stays(self, option: str, wanted: list[str]) -> list[str]:
        """The names of a place: over a re-exec those that it has, if it is there."""
        there = self.handed.paths.get(option) if self.handed else None
        if there and there != wanted:
            self._warn_of(option)
        return there or wanted

    def _pidfile(self, paths: list[str]) -> Pidfile | None:
        if not paths:
            return None
        pidfile = Pidfile(paths[0], self._handed_fd(PIDFILE))
        if other := pidfile.write():
            self.log.warning(f"pidfile {pidfile.path} named process {other}, which lives; now it names this one")
        if self.settings.listening.vacuum:
            self.made.callback(_clean, pidfile.remove, self.log)
        return pidfile

    def _control(self, who: Identity, paths: list[str]) -> ControlSocket | None:
        """Closed last: who waits for the server's end sees it there. One that nobody wrote need not be possible."""
        if not paths:
            return None
        kept = self.handed.resources.find(CONTROL_SOCKET) if self.handed else None
        fd, file = (kept.fd, kept.file) if isinstance(kept, OpenFile) else (-1, None)
        try:
            found = ControlSocket(paths, who, self.inbox, fd, file)
        except OSError as error:
            said = f"{paths[0]}: {error.strerror or error}"
            if self.settings.processes.control_socket:
                raise UsageError(f"control-socket {said}", self.settings.origin("control-socket")) from None
            self.log.warning(f"there is no control socket: {said}")
            return None
        self.last.callback(_clean, found.close, self.log)
        if fd < 0:
            found.link(self.log.warning)
        return found

    def _fifos(self, who: Identity, paths: list[str]) -> MasterFifos | None:
        if not paths:
            return None
        fifos = MasterFifos(paths, who, self.inbox, self.log)
        if self.handed and self._handed_fd(MASTER_FIFO) >= 0:
            fifos.go_on(self._handed_fd(MASTER_FIFO), self.handed.slot)
        else:
            fifos.open()
        self.last.callback(_clean, fifos.close, self.log)
        self.inbox.look_before_wait(fifos.look)
        return fifos

    def _handed_fd(self, name: str) -> int:
        """The descriptor of that name from before a re-exec, -1 for none."""
        return self.handed.resources.fd(name) if self.handed else -1

    def _log_file(self) -> str:
        path = self.settings.logging.logto or self.settings.logging.daemonize
        (path,) = self._stays("logto", [self.home.there(os.path.abspath)(path) if path else ""])
        return path


def _absolute(*paths: str) -> list[str]:
    return [os.path.abspath(path) for path in paths if path]


def _clean(remove: Callable[[], None], log: ServerLog) -> None:
    """At the end we may not be who we were at the start: a file that cannot be removed is told of, and no more."""
    try:
        remove()
    except OSError as error:
        log.warning(f"left behind: {error}")
