"""A worker process: a gevent hub that serves connections until it is told to leave."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import get_hub

from greenwsgi.clock import Clock, SystemClock
from greenwsgi.config.option_rules import socket_numbers
from greenwsgi.config.settings import Settings
from greenwsgi.errors import EXIT_APP_FAILED, EXIT_FAILED, EXIT_HARAKIRI, BootError, UsageError
from greenwsgi.log import tracebacks
from greenwsgi.log.access_log import AccessLog, Worthy
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve import monkeypatch
from greenwsgi.serve.acceptor import Acceptor
from greenwsgi.serve.crash_probation import CrashProbation
from greenwsgi.serve.current_request import CurrentRequests
from greenwsgi.serve.deadlines import Deadlines
from greenwsgi.serve.descriptor_owners import DescriptorOwners
from greenwsgi.serve.endpoints import door
from greenwsgi.serve.fork_hook import ForkHook
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.serve.loop_monitor import LoopMonitor
from greenwsgi.serve.policy import RequestPolicy
from greenwsgi.serve.request_slots import RequestSlots
from greenwsgi.serve.service import RunningExchange, Service
from greenwsgi.serve.tls_contexts import ServerTls
from greenwsgi.serve.watchdog import STRIKES, Watchdog
from greenwsgi.shared import descriptor_numbers, resource_limits
from greenwsgi.shared.hooks import Hooks
from greenwsgi.shared.message_pipes import ReportPipe
from greenwsgi.shared.messages import HANDSHAKE, BoundListener, Pause, ReopenLog, Resume
from greenwsgi.shared.metrics import FULL, REQUESTS
from greenwsgi.shared.run_command import end_groups
from greenwsgi.shared.scoreboard import Scoreboard, Seat, Stage
from greenwsgi.worker import pipeline
from greenwsgi.worker.command_pipe import CommandPipe
from greenwsgi.worker.pipeline import PipelineContext
from greenwsgi.worker.worker_limits import WorkerLimits, measure
from greenwsgi.wsgi.environ import fixed_part
from greenwsgi.wsgi.load_applications import load
from greenwsgi.wsgi.types import Application

LIMITS_LOOK = 1.0
"""Seconds between two looks at the worker's age and memory."""

ORPHAN_DRAIN = 1.0
"""Seconds that a worker without a master accepts what waits in the queue: another server may want the address."""

DESCRIPTORS_LOOK = 1.0
"""Seconds between two looks whether its descriptors still are its own."""

TURN = 1e-6
"""Not 0, which the loop does not wait for."""

DESCRIPTOR_RESERVE = 128
"""Descriptors left to the application: its files, its database connections."""


@dataclass(frozen=True, slots=True)
class WorkerBoot:
    """All that a worker is born with.

    number: 1..N, the same through all its lives. seat: its place on the board.
    lifeline: a descriptor whose end means that the master is gone.
    commands: the reading end of its command pipe, -1 for none. reopen_log: what ReopenLog asks for.
    application: None under lazy-apps, then the worker imports it. tls: of each address that speaks it.
    forks: the at-fork hook, which has to know of all that a child of the application must not have.
    paused: whether it accepts nothing, until SIGCONT. probation: the worker before it crashed.
    """

    settings: Settings
    number: int
    generation: int
    board: Scoreboard
    seat: Seat
    listeners: tuple[BoundListener, ...]
    lifeline: int
    report: ReportPipe
    application: Application | None
    log: ServerLog
    hooks: Hooks
    forks: ForkHook
    tls: Mapping[str, ServerTls] = field(default_factory=dict)
    paused: bool = False
    probation: bool = False
    commands: int = -1
    reopen_log: Callable[[], object] = bool


def run(boot: WorkerBoot) -> int:
    """Serve until told to leave and drained; returns the exit status. What the application's import raises passes."""
    return Worker(boot, SystemClock()).run()


def find_application(settings: Settings) -> Application:
    """The application that the settings name; beside programs there need be none. What it raises passes.

    Raises BootError for a mistake in its name: that has the status of an application that cannot be loaded.
    """
    try:
        application = load(settings.python, needed=not settings.cgi.cgi)
    except UsageError as error:
        raise BootError(str(error), EXIT_APP_FAILED) from None
    _take_signals_back()
    descriptor_numbers.open_standard()  # those that it has closed
    return application


def _take_signals_back() -> None:
    """From an import that has set how the process takes those of children and of clients that have left.

    A zygote that ignores SIGCHLD would not see its workers die. A handler of the application's stays: gevent calls it,
    in workers. SIGPIPE would end a worker, with all its requests, for one client.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # gevent's function: subprocess watches for children again
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _turn() -> None:
    """Let the loop turn once: in its first turn after a fork it opens its descriptors, and they get high numbers."""
    with descriptor_numbers.low_taken():
        gevent.sleep(TURN)


class Worker:
    """One worker's life: boot, serve, drain."""

    def __init__(self, boot: WorkerBoot, clock: Clock) -> None:
        self._boot = boot
        self._clock = clock
        self._leave = Event()
        self._lifeline: Any = None
        self._status = 0
        self._retiring = self._orphan = False
        self._born = clock.monotonic()
        self._limits = WorkerLimits.of_worker(boot.number, boot.settings.processes)
        self._limits_timer: Any = None
        commands = (boot.commands,) if boot.commands >= 0 else ()
        own = (boot.lifeline, boot.report.fd, *commands, *(one.fd for one in boot.listeners))
        self._descriptor_owners = DescriptorOwners(boot.log, own)
        self._descriptors_timer = get_hub().loop.timer(DESCRIPTORS_LOOK, DESCRIPTORS_LOOK)
        self._acceptors: list[Acceptor] = []
        self._loop_budget = LoopBudget()

    def run(self) -> int:
        boot = self._boot
        monkeypatch.check()
        resource_limits.bind(boot.number, boot.settings.machine.cpu_affinity)
        if boot.application is None:
            _turn()
        application = find_application(boot.settings) if boot.application is None else boot.application
        context = PipelineContext(boot.settings, boot.log, self._loop_budget, boot.seat, boot.forks)
        application = pipeline.build(application, context, pipeline.rows())
        faulthandler.disable()
        faulthandler.enable(boot.log.fd, all_threads=False)  # anew: an import has SIGABRT of its own
        self._obey_signals()  # not before: while the application is imported, SIGTERM ends the worker at once
        self._service = service = self._make_service(application)
        boot.forks.service = service
        mercy, limits = boot.settings.processes.worker_reload_mercy, boot.settings.limits
        warning = limits.blocked_loop_warning
        self._monitor = monitor = LoopMonitor(boot.seat, boot.lifeline, mercy, boot.log, self._clock, warning=warning)
        verbose = limits.harakiri_verbose
        Watchdog(service, self._clock, self._give_up, verbose=verbose, turned=monitor.turned).start()
        monitor.start()
        self._lifeline = get_hub().loop.io(boot.lifeline, 1)
        self._lifeline.start(self._orphaned)
        self._watch_limits()
        self._descriptors_timer.start(self._look_at_descriptors)
        self._accept(service)
        self._hooks()
        pause, resume = partial(self._pause, True), partial(self._pause, False)
        CommandPipe(boot.commands, {ReopenLog: boot.reopen_log, Pause: pause, Resume: resume}).start()
        boot.seat.stage = Stage.READY
        boot.report.ready()
        self._wait(self._serve)
        boot.seat.stage = Stage.DRAINING
        return self._drain(mercy) or self._status

    def _serve(self) -> None:
        """Until told to leave."""
        if self._boot.application is not None:
            _turn()
        self._leave.wait()

    # Boot

    def _hooks(self) -> None:
        boot, moments = self._boot, self._boot.settings.hooks
        boot.hooks.perform("accepting", moments.hook_accepting)
        if boot.number == 1:
            boot.hooks.perform("accepting1", moments.hook_accepting1)

    def _obey_signals(self) -> None:
        """TERM drains, QUIT ends at once, TSTP pauses and CONT resumes.

        INT and HUP are the master's: a terminal, or `pkill -HUP`, sends them to all of us.
        """
        hub = get_hub()

        def drain(*_: Any) -> None:
            hub.loop.run_callback_threadsafe(self._leave.set)

        signal.signal(signal.SIGTERM, drain)
        signal.signal(signal.SIGQUIT, lambda *_: self._end())
        for masters in (signal.SIGINT, signal.SIGHUP):
            signal.signal(masters, lambda *_: None)
        signal.signal(signal.SIGTSTP, lambda *_: hub.loop.run_callback_threadsafe(self._pause, True))
        signal.signal(signal.SIGCONT, lambda *_: hub.loop.run_callback_threadsafe(self._pause, False))

    def _end(self) -> None:
        """End at once, and the CGI programs too: there may be no master to do that."""
        end_groups(self._boot.seat.programs())
        os._exit(0)

    def _make_service(self, application: Application) -> Service:
        boot, settings = self._boot, self._boot.settings
        deadlines = Deadlines()
        return Service(
            policy=RequestPolicy.of(settings),
            application=application,
            log=boot.log,
            access=self._access_log(),
            seat=boot.seat,
            total_requests=self._total_requests,
            deadlines=deadlines,
            slots=RequestSlots(settings.processes.async_, deadlines, settings.limits.queue_size),
            descriptor_owners=self._descriptor_owners,
            loop_budget=self._loop_budget,
            finished=self._finished if self._limits.requests < inf else None,
        )

    def _access_log(self) -> AccessLog | None:
        wanted = self._boot.settings.logging
        slow, big = wanted.log_slow / 1000 or None, wanted.log_big or None
        worthy = Worthy(wanted.log_4xx, wanted.log_5xx, wanted.log_zero, slow, big)
        if wanted.disable_logging and worthy == Worthy():
            return None
        return AccessLog(
            os.getpid(),
            self._boot.log.fd,
            worthy=worthy if wanted.disable_logging else None,
            micros=wanted.log_micros,
            memory=wanted.memory_report,
        )

    def _siblings_have_room(self, share: Container[int]) -> bool:
        """Has another worker of our generation, which serves and is one of those numbers, a free slot?"""
        boot = self._boot
        return any(
            seat.number in share and seat.stage is Stage.READY and not seat.counters[FULL]
            for seat in boot.board.seats
            if seat is not boot.seat
        )

    def _accept(self, service: Service) -> None:
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit == resource.RLIM_INFINITY:
            limit = 1 << 20
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        capacity = max(limit - DESCRIPTOR_RESERVE, limit // 2)
        workers = self._boot.settings.processes.processes
        fixed = fixed_part(multiprocess=workers > 1, node=os.uname().nodename)
        if self._boot.settings.python.wsgi_disable_file_wrapper:
            del fixed["wsgi.file_wrapper"]
        fixed["greenwsgi.draining"] = service.leaving
        requests = CurrentRequests(service.running)
        requests.start()
        fixed["greenwsgi.harakiri"] = requests.set_harakiri
        maps = dict(self._boot.settings.listening.map_socket)
        numbers = socket_numbers(self._boot.settings, [one.text for one in self._boot.listeners])
        for number, listener in zip(numbers, self._boot.listeners, strict=True):
            share = maps.get(number, range(1, workers + 1))
            if self._boot.number not in share:
                continue
            endpoint, admission = door(listener, self._boot.settings, self._boot.tls, fixed)
            room = partial(self._siblings_have_room, share) if len(share) > 1 else None
            acceptor = Acceptor(
                listener.fd, service, endpoint, siblings_have_room=room, capacity=capacity, admission=admission
            )
            acceptor.start()
            self._acceptors.append(acceptor)
        if self._boot.probation:
            CrashProbation(service, self._acceptors)
        if self._boot.paused:
            self._pause(True)

    def _total_requests(self) -> int:
        board = self._boot.board
        return board.past[REQUESTS] + sum(seat.counters[REQUESTS] for seat in board.seats)

    def _pause(self, paused: bool) -> None:
        for acceptor in self._acceptors:
            acceptor.pause(paused)

    # Leaving

    def _watch_limits(self) -> None:
        if self._limits.any:
            self._limits_timer = get_hub().loop.timer(LIMITS_LOOK, LIMITS_LOOK)
            self._limits_timer.start(self._look_at_limits)

    def _finished(self) -> None:
        """A request has ended. This is the hot path: only the count is looked at here."""
        if self._service.counts.requests >= self._limits.requests and not self._retiring:
            self._look_at_limits()

    def _look_at_limits(self) -> None:
        age = self._clock.monotonic() - self._born
        if reason := self._limits.reached(self._service.counts.requests, age, measure):
            self._retire(reason)

    def _look_at_descriptors(self) -> None:
        """The application has the same descriptors, and may close any of them: then another worker takes over.

        Without its listeners this one would be deaf, without the pipes it would outlive the master. Nothing more is
        written to a log that may be anybody's file by now.
        """
        descriptor_numbers.open_standard()
        lost = self._descriptor_owners.lost()
        if not lost:
            return
        self._descriptors_timer.stop()
        log, access = self._boot.log, self._service.access
        if log.fd in lost:
            log.lose()
            self._monitor.lose_log()
            if access is not None:
                access.fd = -1
        what = f"the application has closed descriptors of the server: {', '.join(map(str, lost))}"
        log.error(what)
        self._retire(what)
        if self._boot.report.fd in lost:  # the master has not heard that
            self._status = EXIT_FAILED
            self._leave.set()

    def _retire(self, reason: str) -> None:
        """Ask for a successor, once; the master says when to leave."""
        if not self._retiring:
            self._retiring = True
            self._boot.report.retire(reason)

    def _give_up(self, exchange: RunningExchange) -> None:
        """A request has swallowed every HarakiriTimeout: only the end of the process ends it."""
        self._boot.log.error(f"harakiri: {exchange.what} does not end; its worker is replaced")
        self._retire(f"harakiri: {exchange.what} does not end")

    def _orphaned(self) -> None:
        """The master is gone. Its end of the lifeline stays closed, and would wake the loop for ever."""
        self._lifeline.stop()
        self._orphan = True
        self._leave.set()

    def _wait(self, wait: Callable[[], object]) -> None:
        """Wait so that a greenlet which calls sys.exit() costs no request: its worker leaves, and has a successor.

        gevent throws SystemExit, SystemError and KeyboardInterrupt of any greenlet into the first one: into us.
        """
        try:
            wait()
        except BaseException as error:
            what = f"{type(error).__name__} in a greenlet of the application"
            self._boot.log.error(f"worker {self._boot.number} leaves: {what}:\n{tracebacks.of_application(error)}")
            self._status = EXIT_FAILED
            self._retire(what)

    def _close_doors(self) -> None:
        """Accept no more; but if the server ends, accept first what waits: no other process will."""
        grace = 0.0 if all(one.near for one in self._boot.listeners) else HANDSHAKE
        self._descriptor_owners.release(one.fd for one in self._boot.listeners)
        for acceptor in self._acceptors:
            if self._orphan:
                acceptor.drain(0.0, ORPHAN_DRAIN)
            elif self._boot.board.closing:
                acceptor.drain(grace)
            else:
                acceptor.close()

    def _drain(self, mercy: float) -> int:
        """Accept no more, finish what runs, within `mercy` seconds."""
        service = self._service
        service.draining = True
        service.leaving.set()
        self._close_doors()
        now = self._clock.monotonic()
        for connection in service.connections:
            connection.hurry(now)
        deadline = now + mercy
        while service.connections or not all(one.closed for one in self._acceptors):
            if self._clock.monotonic() >= deadline:
                count = len(service.running)
                self._boot.log.warning(
                    f"worker {self._boot.number} leaves with {count} requests unfinished: worker-reload-mercy {mercy:g}"
                )
                return 0
            given_up = [one for one in service.running.values() if one.strikes > STRIKES]
            if given_up and len(given_up) == len(service.connections):
                return EXIT_HARAKIRI  # nobody else is left: not in a queue, nor with half a request or answer
            self._wait(partial(gevent.sleep, 0.02))
        return 0
