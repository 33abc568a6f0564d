"""The zygote: loads the application once, then forks workers when the master asks for them.

It runs no event loop: it waits with original, unpatched primitives, so that a greenlet which the application spawns in
its import does not run here but, after the fork, in each worker, as under uWSGI. For the same reason it detects its
workers' deaths by pidfd, not by SIGCHLD, which gevent handles in every worker.

A worker that has drained runs the application's atexit functions, as under uWSGI and gunicorn: they flush logs and
metrics. The zygote never does: it has served no request.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import NoReturn, TextIO

import gevent
from gevent import monkey

from greenwsgi.config.settings import Settings, decode
from greenwsgi.errors import EXIT_APP_FAILED, EXIT_FAILED, USAGE_STATUS, BootError, UsageError
from greenwsgi.log import tracebacks
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve import fork_safety, monkeypatch, native_drivers, tls_contexts
from greenwsgi.serve.fork_hook import ForkHook
from greenwsgi.shared import descriptor_numbers, process_title, run_command, safe_paths
from greenwsgi.shared.hooks import Hooks
from greenwsgi.shared.message_pipes import MessageReader, ReportPipe
from greenwsgi.shared.messages import BootDocument, ForkWorker, Message, Reap, ReopenLog
from greenwsgi.shared.resources import (
    FAILURE,
    LIFELINE,
    LOG,
    READER,
    REPORT_WRITER,
    SCOREBOARD,
    ZYGOTE_COMMANDS_READER,
    BoundListener,
    Resources,
    worker_commands,
)
from greenwsgi.shared.scoreboard import LAYOUT, Scoreboard, Stage
from greenwsgi.worker import log_sinks, pipeline
from greenwsgi.worker.application import find_application
from greenwsgi.worker.worker import run
from greenwsgi.worker.worker_boot import WorkerBoot
from greenwsgi.wsgi import load_application
from greenwsgi.wsgi.cgi_scripts import Scripts
from greenwsgi.wsgi.types import Application

DEATH_POLL = 0.2
"""Seconds between two checks of the workers where the system has no pidfds."""

_OURS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
"""Signals whose handlers are the server's, not the application's."""

_UNTIL_READY = (signal.SIGQUIT, signal.SIGTERM)
"""Signals that end a worker which still boots."""

_FREE = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals that the application may use, for faulthandler for example; if it does not, they do nothing."""

_close: Callable[[int], None] = monkey.get_original("os", "close")
"""gevent's close leaves it to the loop, if there is a hub, and the zygote's loop never runs."""
_waitpid: Callable[[int, int], tuple[int, int]] = monkey.get_original("os", "waitpid")
_poll = monkey.get_original("select", "poll")
_on_signal = monkey.get_original("signal", "signal")


def main(document: int, forks: ForkHook) -> NoReturn:
    """Run the zygote until the master closes the command pipe or is gone. document: descriptor of the boot document."""
    _ignore(*_OURS, *_FREE)
    with open(document, "rb") as file:
        boot = BootDocument.decode(file.read())
    # Numbers out of the application's way, which programs do not inherit.
    boot = replace(boot, resources=boot.resources.raised())
    with descriptor_numbers.low_taken():
        gevent.get_hub()
    open_now = boot.resources
    log = ServerLog(open_now.fd(LOG))
    faulthandler.enable(log.fd, all_threads=False)  # an import that crashes shows where
    _on_signal(signal.SIGABRT, lambda number, frame: _show_where(log, frame))  # and one that hangs
    report = ReportPipe(open_now.fd(REPORT_WRITER), boot.generation)
    if boot.log_file:
        _on_signal(signal.SIGURG, lambda *_: reopen(boot.log_file, log))  # an operator's; the master sends ReopenLog
    signal.pthread_sigmask(
        signal.SIG_SETMASK, ()
    )  # not before: a signal that has come since the fork finds its handler now
    try:
        agree(boot)
        settings = decode(boot.configuration)
        process_title.show(f"zygote {boot.generation}", settings.machine)
        contexts = read_certificates(settings, open_now.listeners)
        arm(forks, open_now, settings, log)
        application = prepare(settings, log, forks)
    except BaseException as error:  # an import may raise anything, SystemExit too
        forks.returned(error)
        obey_reopen_log(boot, log)
        leave(fail(report, log, error, open_now.fd(FAILURE)))
    _ignore(*_OURS)  # again: the application may have set handlers of its own
    for line in fork_safety.report({document, *open_now.descriptors}):
        log.warning(f"open before the fork, by the application's import: {line} (lazy-apps loads it after the fork)")
    report.loaded()
    try:
        Zygote(boot, settings, application, contexts, report, log, forks).serve()
    except BaseException:  # its workers continue, and the master replaces the zygote
        log.error(f"in the zygote:\n{traceback.format_exc()}")
        leave(EXIT_FAILED)
    leave(0)


def agree(boot: BootDocument) -> None:
    """Check that the scoreboard's layout is the same as in the master. Raises UsageError."""
    if boot.layout != LAYOUT:
        raise UsageError("greenwsgi has changed since the master was started: reexec first (SIGUSR2)")


def read_certificates(settings: Settings, listeners: Iterable[BoundListener]) -> dict[str, tls_contexts.ServerTls]:
    """The TLS contexts of the sockets that have it. To be called before the application is loaded, to fail early.

    Raises UsageError.
    """
    contexts = tls_contexts.load(settings)
    for one in listeners:
        if one.tls and one.text not in contexts:
            raise UsageError(
                f"{one.name} speaks TLS, and its certificate is not configured any more; that needs a restart"
            )
    return contexts


def arm(forks: ForkHook, open_now: Resources, settings: Settings, log: ServerLog) -> None:
    """Arm the at-fork hook: from now on a process forked by the application keeps nothing of the server but its log."""
    forks.arm(log)
    forks.guard(set(open_now.descriptors) - {log.fd, 1, 2}, {one.fd for one in open_now.listeners})
    forks.title = partial(process_title.show, options=settings.machine)
    load_application.after_application = forks.returned


def prepare(settings: Settings, log: ServerLog, forks: ForkHook) -> Application | None:
    """Prepare the process for the application and load it, unless each worker does that (lazy-apps)."""
    monkeypatch.check()
    if early := monkeypatch.unpatched():
        log.warning(f"imported before gevent's patch, and blocks: {', '.join(early)}; see .pth files and sitecustomize")
    native_drivers.DriverWatch(log.warning).start()
    sys.argv = ["greenwsgi", *settings.python.pyargv.split()]
    sys.executable = settings.python.py_executable or sys.executable
    for name, value in settings.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if settings.python.chdir:
        try:
            os.chdir(settings.python.chdir)
        except OSError as error:
            raise UsageError(f"chdir {settings.python.chdir}: {error.strerror}") from None
    if settings.cgi.cgi:
        check_programs(settings)
    for table in (pipeline, log_sinks):  # workers inherit the plugins, and one that cannot be loaded fails the start
        table.rows()
    moments, hooks = settings.hooks, Hooks(log, partial(run_program, forks))
    hooks.perform("pre-app", moments.hook_pre_app, moments.exec_pre_app)
    application = None if settings.processes.lazy_apps else find_application(settings)
    hooks.perform("post-app", moments.hook_post_app, moments.exec_post_app)
    gc.collect()
    gc.freeze()  # a collection in a worker must not touch, and so copy, the pages all workers share
    return application


def check_programs(settings: Settings) -> None:
    """Raises BootError if there is no such CGI program or folder: that is the application here."""
    try:
        Scripts(settings.cgi, settings.origin("cgi"))
    except UsageError as error:
        raise BootError(str(error), EXIT_APP_FAILED) from None


def run_program(forks: ForkHook, command: str) -> int:
    """Run a hook's command; its exit status."""
    return run_command.run(command, forks.fork, _waitpid)


def reopen(path: str, log: ServerLog) -> None:
    """Open the log file again, which was moved; in zygote and workers. path: "" if the log goes to no file."""
    if not path:
        return
    try:
        log.reopen(path, safe_paths.open_log)
    except OSError as error:
        log.error(f"the log cannot be opened again: {path}: {error.strerror}")


def obey_reopen_log(boot: BootDocument, log: ServerLog) -> None:
    """Before a failure is logged: the log may have been moved while the application was imported."""
    poll = _poll()
    commands = boot.resources.fd(ZYGOTE_COMMANDS_READER)
    poll.register(commands, select.POLLIN)
    if poll.poll(0):
        for command in MessageReader(commands).read():
            if isinstance(command, ReopenLog):
                reopen(boot.log_file, log)


def fail(report: ReportPipe, log: ServerLog, error: BaseException, file: int = -1) -> int:
    """Report why this process cannot start, and return its exit status, which a server that starts ends with too.

    A mistake of the operator has USAGE_STATUS. What the application raises has EXIT_APP_FAILED, and its traceback goes
    to the log and to that file.
    """
    if isinstance(error, UsageError | BootError):
        status = USAGE_STATUS if isinstance(error, UsageError) else error.exit_code
        report.failed(status, str(error))
        return status
    trace = tracebacks.of_application(error)
    log.error("the application cannot be loaded:\n" + trace)
    if file >= 0:
        os.pwrite(file, trace.encode("utf-8", "backslashreplace"), 0)
    report.failed(EXIT_APP_FAILED, one_line(error))
    return EXIT_APP_FAILED


def one_line(error: BaseException) -> str:
    """`/srv/app.py:3: ImportError: no module named x`: where it was raised (or does not parse), and what."""
    said = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {said}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}: {said}" if frames else said


def leave(status: int) -> NoReturn:
    """End at once, with what was printed: threads and greenlets of the application do not hold us up."""
    _flush(sys.stdout, sys.stderr)
    os._exit(status)


def _flush(*streams: TextIO) -> None:
    """Flush if possible: the disk may be full, the reader gone, and the application may have replaced a stream."""
    for stream in streams:
        with suppress(Exception):
            stream.flush()


class Zygote:
    """Forks workers, reports their deaths, and reaps each when the master has recorded its death."""

    def __init__(
        self,
        boot: BootDocument,
        settings: Settings,
        application: Application | None,
        contexts: Mapping[str, tls_contexts.ServerTls],
        report: ReportPipe,
        log: ServerLog,
        forks: ForkHook,
    ) -> None:
        self._forks = forks
        self._boot = boot
        self._settings = settings
        self._application = application
        self._contexts = contexts
        self._report = report
        self._log = log
        self._board = Scoreboard(boot.resources.fd(SCOREBOARD), boot.seats, boot.cores)
        self._commands = MessageReader(boot.resources.fd(ZYGOTE_COMMANDS_READER))
        self._lifeline = boot.resources.fd(LIFELINE)
        self._poll = _poll()
        self._poll.register(self._commands.fd)
        self._poll.register(self._lifeline, 0)
        self._seats: dict[int, int] = {}
        """The seat of each worker that is not known to be dead, by its pid."""
        self._pidfds: dict[int, int] = {}
        """A pidfd of each of them, by its pid, where the system has pidfds."""
        forks.descriptors = self._pidfds.values
        forks.forget_seat = self._board.detach

    def serve(self) -> None:
        """Fork and reap until the master closes the command pipe or is gone."""
        while True:
            polled = len(self._pidfds) < len(self._seats)
            ready = {fd for fd, _ in self._poll.poll(DEATH_POLL * 1000 if polled else None)}
            if self._lifeline in ready:
                return
            if self._commands.fd in ready:
                for command in self._commands.read():
                    self._obey(command)
                if self._commands.closed:
                    return
            self._report_deaths()

    def _obey(self, command: Message) -> None:
        match command:
            case ForkWorker():
                self._make_worker(command)
            case Reap(pid):
                with suppress(ChildProcessError):  # reaped already, where a death cannot be seen otherwise
                    _waitpid(pid, os.WNOHANG)
            case ReopenLog():
                reopen(self._boot.log_file, self._log)

    def _make_worker(self, order: ForkWorker) -> None:
        """Fork. Signals are blocked meanwhile: in the child none may reach the zygote's handlers, which do nothing."""
        _flush(sys.stdout)  # what is buffered would be written by both
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
        try:
            pid = self._forks.fork()
            if pid == 0:
                self._be_worker(order)
            self._seats[pid] = order.seat
            self._watch(pid)
        except OSError as error:
            self._log.error(f"cannot fork worker {order.number}: {error}")
            self._report.died(0, order.seat, EXIT_FAILED)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)

    # Deaths

    def _watch(self, pid: int) -> None:
        try:
            pidfd = descriptor_numbers.raised(os.pidfd_open(pid))
        except (AttributeError, OSError):  # another system, an old kernel, a strict container: poll
            return
        self._pidfds[pid] = pidfd
        self._poll.register(pidfd, select.POLLIN)

    def _report_deaths(self) -> None:
        for pid in list(self._seats):
            status = _death_of(pid)
            if status is None:
                continue
            pidfd = self._pidfds.pop(pid, None)
            if pidfd is not None:
                self._poll.unregister(pidfd)
                _close(pidfd)
            self._report.died(pid, self._seats.pop(pid), status)

    # In the child

    def _be_worker(self, order: ForkWorker) -> NoReturn:
        """The forked child's whole life: it always ends here, never in the zygote's code."""
        status = EXIT_FAILED
        try:
            status = self._live(order)
        except BaseException as error:  # nothing may unwind into the zygote's frames
            self._forks.returned(error)
            self._log.error(f"worker {order.number} ends:\n{traceback.format_exc()}")
        finally:
            try:
                run_command.end_groups(self._board.seats[order.seat].programs())  # there may be no master to do that
            finally:
                leave(status)

    def _live(self, order: ForkWorker) -> int:
        others = (worker_commands(seat, READER) for seat in range(self._boot.seats) if seat != order.seat)
        kept, left = self._boot.resources.split(ZYGOTE_COMMANDS_READER, *others)
        for fd in (*left.descriptors, *self._pidfds.values()):
            _close(fd)
        self._forks.descriptors = tuple
        for name in _UNTIL_READY:
            _on_signal(name, signal.SIG_DFL)  # until the worker has handlers: while it boots there is nothing to finish
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)
        gevent.reinit()
        seat, number = self._board.seats[order.seat], order.number
        seat.occupy(number, self._boot.generation, os.getpid())
        report = self._report.of_worker(order.seat)
        report.forked()
        process_title.show(f"worker {number}", self._settings.machine)
        worker = WorkerBoot(
            settings=self._settings,
            number=number,
            generation=self._boot.generation,
            board=self._board,
            seat=seat,
            resources=kept,
            report=report,
            application=self._application,
            log=self._log,
            tls=self._contexts,
            hooks=Hooks(self._log, partial(run_program, self._forks)),
            forks=self._forks,
            paused=order.paused,
            probation=order.probation,
            reopen_log=partial(reopen, self._boot.log_file, self._log),
        )
        try:
            worker.hooks.perform("post-fork", self._settings.hooks.hook_post_fork)
            status = run(worker)
        except BaseException as error:  # under lazy-apps an import, which may raise anything
            self._forks.returned(error)
            if seat.stage is not Stage.BOOTING:
                raise
            return fail(report, self._log, error, kept.fd(FAILURE))
        atexit._run_exitfuncs()
        self._forks.returned()
        return status


def _death_of(pid: int) -> int | None:
    """The exit status, negative for a signal, of a child that has died; None if it lives. It is not reaped."""
    try:
        if not hasattr(os, "waitid"):  # macOS before Python 3.13: reaped at once, a moment before the master knows
            dead, status = _waitpid(pid, os.WNOHANG)
            return os.waitstatus_to_exitcode(status) if dead else None
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # the application has reaped it, and its status is lost
        return 0
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _show_where(log: ServerLog, frame: FrameType | None) -> NoReturn:
    """Log the stack of an import that hangs, and end. If it waits in gevent, `frame` is the hub's and no use."""
    importing = gevent.get_hub().parent
    waiting = (importing.gr_frame if importing else None) or frame
    log.error("the application's import hangs here:\n" + "".join(traceback.format_stack(waiting)))
    leave(EXIT_FAILED)


def _ignore(*signals: signal.Signals) -> None:
    """Ignore these: a terminal signals all processes, but the master decides. Programs would inherit SIG_IGN."""
    for name in signals:
        _on_signal(name, _nothing)


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler that does nothing."""
