"""From settings to a master that supervises: resources taken, listeners bound, privileges dropped; or all taken over.

After a re-exec everything that is outside of the master is there already, and stays as it is: listeners, pidfile,
control socket, fifos, workers.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from greenwsgi import __version__
from greenwsgi.clock import SystemClock
from greenwsgi.config.settings import Settings
from greenwsgi.log.access_log import AccessLog
from greenwsgi.log.request_record import Outcome, RequestRecord
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.control.commands import by_signal
from greenwsgi.process.lifecycle.child_processes import ChildProcesses
from greenwsgi.process.lifecycle.handover import Handover
from greenwsgi.process.lifecycle.pidfile import Pidfile
from greenwsgi.process.lifecycle.reexec import Reexec
from greenwsgi.process.lifecycle.server_resources import ResourceOpener, ServerResources
from greenwsgi.process.lifecycle.start_directory import StartDirectory
from greenwsgi.process.lifecycle.systemd_notify import SystemdNotifier
from greenwsgi.process.listening import listeners
from greenwsgi.process.supervision.event_inbox import EventInbox
from greenwsgi.process.supervision.fleet import Errand, Fleet, ReloadKind
from greenwsgi.process.supervision.master import Master
from greenwsgi.process.supervision.master_setup import MasterSetup, RunErrand, Supervisor
from greenwsgi.process.supervision.system_probe import SystemProbe
from greenwsgi.shared import process_title, safe_paths
from greenwsgi.shared.resources import REPORT_READER, REPORT_WRITER
from greenwsgi.shared.scoreboard import RunningRequest


def serve(
    settings: Settings,
    log: ServerLog,
    reread: Callable[[Settings], Settings],
    handed: Handover | None = None,
    ready: Callable[[], None] | None = None,
) -> int:
    """Serve until told to stop; returns the exit status. All that was made is removed at the end.

    reread: gives the configuration of each generation after the first. handed: from the image before a re-exec.
    ready: called when the first generation serves.
    Raises UsageError, before anything is started, for an address, user or pidfile that cannot be had.
    """
    with log.never_waiting():
        status = _serve(settings, log, reread, handed, ready)
        log.info("stopped")
    return status


def _serve(
    settings: Settings,
    log: ServerLog,
    reread: Callable[[Settings], Settings],
    handed: Handover | None,
    ready: Callable[[], None] | None,
) -> int:
    signals = by_signal(settings.processes.sigterm_reloads)
    with ExitStack() as made:
        home = StartDirectory(handed.folder if handed else "")
        inbox = _inbox(signals, handed)
        made.callback(inbox.close)
        last = made.enter_context(ExitStack())
        places = ResourceOpener(settings, home, inbox, log, made, last, handed).take_all()
        process_title.show("master", settings.machine)
        processes, clock = ChildProcesses(apart=places.dropped), SystemClock()
        fleet = handed.fleet if handed else Fleet(reload_mercy=settings.processes.reload_mercy)
        reexec = Reexec(fleet, processes, clock, log, home, complete=partial(_complete, places, home))
        for look in (log.flush, reexec.look, SystemdNotifier(fleet, os.environ, log).look):
            inbox.look_before_wait(look)
        bound = [one.bound for one in places.listeners]
        setup = MasterSetup(
            settings=settings,
            fleet=fleet,
            listeners=bound,
            log=log,
            log_file=places.log_file,
            inbox=inbox,
            system=processes,
            clock=clock,
            probe=SystemProbe(bound),
            killed_line=_KilledLine(log),
            reread=places.kept_over(home.there(reread), log),
            signals=signals,
            handed=handed,
            errands=_errands(reexec, places.pidfile, places.log_file),
            ready=ready or (lambda: None),
            refuse_connections=listeners.Refusal(places.listeners, clock),
            other_child_died=reexec.child_died,
        )
        master = Master(setup)
        if handed:
            _go_on(fleet, log, clock.monotonic())
        return master.run()


def _complete(places: ServerResources, home: StartDirectory, handed: Handover) -> Handover:
    """The master's handover with what the server has besides."""
    return replace(places.hand_over(handed), folder=home.led_to)


def _errands(reexec: Reexec, pidfile: Pidfile | None, log_file: str) -> dict[Errand, RunErrand]:
    """Those that this server can do. log_file: "" if the log goes to no file."""
    found: dict[Errand, RunErrand] = {Errand.REEXEC: reexec.begin, Errand.EXECUTE: reexec.execute}
    if pidfile:
        found[Errand.WRITE_PIDFILE] = lambda _: pidfile.write()
    if log_file:
        found[Errand.REOPEN_LOG] = lambda master: master.open_log(log_file)
        found[Errand.ROTATE_LOG] = partial(_rotate_log, log_file)
    return found


def _rotate_log(path: str, master: Supervisor) -> None:
    _move_aside(path, int(time.time()))
    master.open_log(path)


def _go_on(fleet: Fleet, log: ServerLog, now: float) -> None:
    """After a re-exec: unblock signals, and load the application as it is now."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    log.info(f"executed again: greenwsgi {__version__} (pid {os.getpid()}); the application is loaded again")
    fleet.reload_asked(ReloadKind.WHOLE, now)


def _move_aside(path: str, now: int) -> None:
    """Rename a log that is rotated at that time, to a name that is free: a rotation may come twice within a second."""
    with safe_paths.at(path, follow=True) as spot:
        while replace(spot, name=(aside := f"{spot.name}.{now}")).look() is not None:
            now += 1
        os.rename(spot.name, aside, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)


def _inbox(signals: Iterable[signal.Signals], handed: Handover | None) -> EventInbox:
    if handed is None:
        return EventInbox(signals)
    for fd in handed.descriptors():
        os.set_inheritable(fd, False)
    pipe = (handed.resources.fd(REPORT_READER), handed.resources.fd(REPORT_WRITER))
    return EventInbox(signals, pipe, handed.rest)


class _KilledLine:
    """Writes the access line of a request that died with its worker, with the worker's pid and the status `killed`."""

    def __init__(self, log: ServerLog) -> None:
        self._log = log

    def __call__(self, worker: int, pid: int, request: RunningRequest) -> None:
        ran = time.monotonic() - request.started
        record = RequestRecord(
            request.addr, request.method, request.uri, request.protocol or "HTTP/1.1", "", 0, 0, time.time() - ran, ran,
            "killed", 0, 0, 0, 0, request.core, Outcome.KILLED,
        )  # fmt: skip
        AccessLog(pid, out=lambda _, line: self._log.write(line)).write(record)
