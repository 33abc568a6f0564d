"""A worker process: a gevent hub that serves connections until the master asks it to leave."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import get_hub

from greenwsgi.clock import Clock, SystemClock
from greenwsgi.errors import EXIT_FAILED, EXIT_HARAKIRI
from greenwsgi.log import tracebacks
from greenwsgi.serve import monkeypatch
from greenwsgi.serve.current_request import CurrentRequests
from greenwsgi.serve.loop_monitor import LoopMonitor
from greenwsgi.serve.service import RunningExchange, Service
from greenwsgi.serve.watchdog import STRIKES, Watchdog
from greenwsgi.shared import descriptor_numbers, resource_limits
from greenwsgi.shared.messages import Pause, ReopenLog, Resume
from greenwsgi.shared.run_command import end_groups
from greenwsgi.shared.scoreboard import Stage
from greenwsgi.worker.accepting import Accepting
from greenwsgi.worker.application import find_application
from greenwsgi.worker.command_pipe import CommandPipe
from greenwsgi.worker.make_service import make_service
from greenwsgi.worker.retirement import Retirement
from greenwsgi.worker.worker_boot import WorkerBoot

TURN = 1e-6
"""Seconds of a sleep in which the loop polls once. With 0 it would not poll."""


def run(boot: WorkerBoot) -> int:
    """Serve until a request to leave, drain, return the exit status. Exceptions of the application's import pass."""
    return Worker(boot, SystemClock()).run()


class Worker:
    """One worker's life: boot, serve, drain."""

    def __init__(self, boot: WorkerBoot, clock: Clock) -> None:
        self._boot = boot
        self._clock = clock
        self._leave = Event()
        self._status = 0
        self._orphan = False
        self._retirement = Retirement(boot, clock)

    def run(self) -> int:
        boot, settings = self._boot, self._boot.settings
        monkeypatch.check()
        resource_limits.bind(boot.number, settings.machine.cpu_affinity)
        if boot.application is None:
            _turn()
        application = find_application(settings) if boot.application is None else boot.application
        faulthandler.disable()
        faulthandler.enable(boot.log.fd, all_threads=False)  # again: an import may have taken SIGABRT
        self._take_signals()  # not before: while the application is imported, SIGTERM ends the worker at once
        self._service = service = make_service(boot, application, self._retirement.request_ended)
        self._accepting = Accepting(boot, service)
        self._watch(service)
        requests = CurrentRequests(service.running)
        requests.start()
        self._accepting.start({"greenwsgi.draining": service.leaving, "greenwsgi.harakiri": requests.set_harakiri})
        self._hooks()
        pause, resume = partial(self._accepting.pause, True), partial(self._accepting.pause, False)
        CommandPipe(boot.commands, {ReopenLog: boot.reopen_log, Pause: pause, Resume: resume}).start()
        boot.seat.stage = Stage.READY
        boot.report.ready()
        self._wait(self._serve)
        boot.seat.stage = Stage.DRAINING
        return self._drain(settings.processes.worker_reload_mercy) or self._status

    def _serve(self) -> None:
        """Serve until a request to leave."""
        if self._boot.application is not None:
            _turn()
        self._leave.wait()

    # Boot

    def _watch(self, service: Service) -> None:
        """Start the watchdog, the monitor, and the watches of the lifeline, the limits and the descriptors."""
        boot, limits = self._boot, self._boot.settings.limits
        mercy = boot.settings.processes.worker_reload_mercy
        warning = limits.blocked_loop_warning
        self._monitor = monitor = LoopMonitor(boot.seat, boot.lifeline, mercy, boot.log, self._clock, warning=warning)
        verbose = limits.harakiri_verbose
        Watchdog(service, self._clock, self._give_up, verbose=verbose, turned=monitor.turned).start()
        monitor.start()
        self._lifeline: Any = get_hub().loop.io(boot.lifeline, 1)
        self._lifeline.start(self._orphaned)
        self._retirement.start(service, self._descriptors_lost)

    def _hooks(self) -> None:
        boot, hooks = self._boot, self._boot.settings.hooks
        boot.hooks.perform("accepting", hooks.hook_accepting)
        if boot.number == 1:
            boot.hooks.perform("accepting1", hooks.hook_accepting1)

    def _take_signals(self) -> None:
        """TERM drains, QUIT ends at once, TSTP pauses and CONT resumes.

        INT and HUP are ignored: a terminal, or `pkill -HUP`, sends them to all processes, and the master acts on them.
        """
        later = get_hub().loop.run_callback_threadsafe
        signal.signal(signal.SIGTERM, lambda *_: later(self._leave.set))
        signal.signal(signal.SIGQUIT, lambda *_: self._end())
        for masters in (signal.SIGINT, signal.SIGHUP):
            signal.signal(masters, lambda *_: None)
        signal.signal(signal.SIGTSTP, lambda *_: later(self._pause, True))
        signal.signal(signal.SIGCONT, lambda *_: later(self._pause, False))

    def _pause(self, paused: bool) -> None:
        self._accepting.pause(paused)

    def _end(self) -> None:
        """End at once, with the CGI programs: there may be no master to end them."""
        end_groups(self._boot.seat.programs())
        os._exit(0)

    # Leaving

    def _descriptors_lost(self, lost: list[int]) -> None:
        """Write nothing more to a log that may be another file now. Without the report pipe, leave at once."""
        log, access = self._boot.log, self._service.access
        if log.fd in lost:
            log.lose()
            self._monitor.lose_log()
            if access is not None:
                access.lose()
        if self._boot.report.fd in lost:  # no successor can be requested
            self._status = EXIT_FAILED
            self._leave.set()

    def _give_up(self, exchange: RunningExchange) -> None:
        """A request has caught every HarakiriTimeout: only the end of the process ends it."""
        self._boot.log.error(f"harakiri: {exchange.what} does not end; its worker is replaced")
        self._retirement.ask(f"harakiri: {exchange.what} does not end")

    def _orphaned(self) -> None:
        """The master is gone. Its end of the lifeline stays closed, and would wake the loop again and again."""
        self._lifeline.stop()
        self._orphan = True
        self._leave.set()

    def _wait(self, wait: Callable[[], object]) -> None:
        """Call `wait`. If a greenlet calls sys.exit(), no request is lost: the worker asks for a successor and leaves.

        gevent throws SystemExit, SystemError and KeyboardInterrupt of any greenlet into the main greenlet: here.
        """
        try:
            wait()
        except BaseException as error:
            what = f"{type(error).__name__} in a greenlet of the application"
            self._boot.log.error(f"worker {self._boot.number} leaves: {what}:\n{tracebacks.of_application(error)}")
            self._status = EXIT_FAILED
            self._retirement.ask(what)

    def _drain(self, mercy: float) -> int:
        """Accept nothing more and finish the running requests, within `mercy` seconds. Returns the exit status."""
        service = self._service
        service.draining = True
        service.leaving.set()
        self._accepting.close(orphan=self._orphan)
        now = self._clock.monotonic()
        for connection in service.connections:
            connection.hurry(now)
        deadline = now + mercy
        while service.connections or not self._accepting.closed:
            if self._clock.monotonic() >= deadline:
                count = len(service.running)
                self._boot.log.warning(
                    f"worker {self._boot.number} leaves with {count} requests unfinished: worker-reload-mercy {mercy:g}"
                )
                return 0
            given_up = [one for one in service.running.values() if one.strikes > STRIKES]
            if given_up and len(given_up) == len(service.connections):
                return EXIT_HARAKIRI  # no other connection is left, waiting or in the middle of a request or answer
            self._wait(partial(gevent.sleep, 0.02))
        return 0


def _turn() -> None:
    """Let the loop run one pass: in the first after a fork it opens its descriptors, which get high numbers here."""
    with descriptor_numbers.low_taken():
        gevent.sleep(TURN)
