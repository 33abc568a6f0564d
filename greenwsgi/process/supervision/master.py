"""The master: wait, record, plan, perform, until no process is left.

Plain Python: no gevent, no ssl, never the application. What it knows is the fleet, what it decides is the plan. Here is
only how each action is done, and what the log says of it.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from signal import SIGABRT, SIGCHLD, SIGKILL, SIGTERM, Signals, raise_signal
from typing import Any, assert_never

from greenwsgi.config.settings import Settings, decode
from greenwsgi.errors import USAGE_STATUS, GreenwsgiError
from greenwsgi.process.control import status
from greenwsgi.process.control.command_dispatch import CommandDispatch, CommandOutcome
from greenwsgi.process.lifecycle.handover import Handover
from greenwsgi.process.supervision import log_messages, plan, shared_resources
from greenwsgi.process.supervision.autoscaler import Autoscaler
from greenwsgi.process.supervision.build_view import build_view
from greenwsgi.process.supervision.child_roles import wanted_children
from greenwsgi.process.supervision.child_state import ChildState
from greenwsgi.process.supervision.command_sender import CommandSender
from greenwsgi.process.supervision.event_inbox import Signalled
from greenwsgi.process.supervision.event_recorder import EventRecorder
from greenwsgi.process.supervision.fleet import (
    Errand,
    Generation,
    GenerationStage,
    ReloadKind,
    Stop,
    WorkerState,
    ZygoteState,
)
from greenwsgi.process.supervision.generation_resources import GenerationResources
from greenwsgi.process.supervision.master_setup import MasterSetup
from greenwsgi.process.supervision.periodic_checks import PeriodicChecks
from greenwsgi.shared import safe_paths
from greenwsgi.shared.messages import ForkWorker
from greenwsgi.shared.resources import LOG, OpenFile, Resources
from greenwsgi.shared.scoreboard import LAYOUT, Totals

TICK = 0.25
"""Seconds between two looks at deadlines and heartbeats when nothing happens."""


class Master:
    """Supervises generations of workers. All its state is in `fleet`, `cycles` and `recorder`."""

    def __init__(self, setup: MasterSetup) -> None:
        self.fleet = setup.fleet
        self.cycles: dict[int, GenerationResources] = {}
        self._first = setup.settings
        self._reread = setup.reread
        self._log = setup.log
        self._inbox = setup.inbox
        self._system = setup.system
        self._clock = setup.clock
        self._ready = setup.ready
        self._refuse_connections = setup.refuse_connections
        self._errands = {Errand.STATISTICS: lambda _: self._log_statistics(), **setup.errands}
        self._dispatch = CommandDispatch(self.fleet, self._log, setup.signals, self.status)
        self._sender = CommandSender(self.cycles, self._system, self._log)
        self.recorder = EventRecorder(setup, self.cycles, self._dispatch, self._sender)
        self._autoscaler = Autoscaler(self.fleet, self.cycles, self.recorder.totals, self._log, setup.probe)
        self._checks = PeriodicChecks(self.fleet, self.cycles, self._log, setup.probe, self._autoscaler, setup.settings)
        self._listeners = setup.listeners
        self._log_file = setup.log_file
        self.resources = shared_resources.take(setup)
        self._over = False
        self._server_children = setup.server_children
        if setup.handed:
            self._take_over(setup.handed)
        serving = self.fleet.at(GenerationStage.SERVING)
        self._obey(self.cycles[serving.number].settings if serving else setup.settings)

    def _obey(self, settings: Settings) -> None:
        """Apply what these settings say of the master itself."""
        self.fleet.reload_mercy = settings.processes.reload_mercy
        self.fleet.most_draining = settings.processes.draining_generations
        self.fleet.want(wanted_children(self._server_children, settings))

    def open_log(self, path: str) -> None:
        """Open the log's file again, here and in all processes. Raises OSError."""
        self._log.reopen(path, safe_paths.open_log)
        self.recorder.log_opened = self._clock.monotonic()
        for generation in self.fleet.generations:
            self._sender.reopen_zygote_log(generation)
        for generation, worker in self.fleet.workers():
            if worker.pid:
                self._sender.reopen_log(generation, worker)

    def note_all(self) -> None:
        """Record what has come in. Signals are blocked: the next image of this process gets them."""
        while notes := self._inbox.wait(0):
            for note in notes:
                if isinstance(note, Signalled) and note.signal is not SIGCHLD:
                    raise_signal(note.signal)
            self.recorder.note([note for note in notes if not isinstance(note, Signalled)], self._clock.monotonic())
        self._dispatch.hang_up("the master is executed again; ask again")

    def hand_over(self) -> Handover:
        """All that the next image of this process needs from this one."""
        seats = [seat for cycle in self.cycles.values() for seat in cycle.board.seats]
        return Handover(
            fleet=self.fleet,
            cycles={number: cycle.keep() for number, cycle in self.cycles.items()},
            layout=LAYOUT,
            totals=self.recorder.totals.named(),
            living=Totals.of_living(seats).named(),
            starts=dict(self.recorder.starts),
            resources=self.resources + shared_resources.report_pipe(self._inbox),
            rest=self._inbox.rest,
        )

    def _take_over(self, handed: Handover) -> None:
        readable = handed.layout == LAYOUT
        for number, kept in handed.cycles.items():
            self.cycles[number] = GenerationResources(number, decode(kept.configuration), kept, readable=readable)
        self.recorder.totals.restore(handed.totals)
        if not readable:  # by another greenwsgi: what its workers count from now on is not seen
            self.recorder.totals.restore(handed.living)
        self.recorder.starts.update(handed.starts)
        for child in self.fleet.children:
            if not child.wanted.role.survives_reexec:
                child.outdated = "the master was executed again"
        self.recorder.show_past()

    def run(self) -> int:
        """Supervise until the end; the exit status."""
        timeout = 0.0
        while not self._over:
            timeout = self.step(timeout)
        return self.fleet.exit_status

    def step(self, timeout: float) -> float:
        """Wait for at most `timeout`, then do all there is to do; returns how long the next step may wait.

        An error in one part does not keep the next from running: a stop that was recorded is planned for in any case.
        """
        acted = False
        with self._border():
            self.recorder.note(self._inbox.wait(timeout), self._clock.monotonic())
        with self._border():
            if self.fleet.stop is not Stop.NO:
                self._prepare_stop()
            self._checks.take(self._clock.monotonic())
        with self._border():
            actions = plan.plan(self.fleet, self._clock.monotonic())
            for action in actions:
                self.perform(action)
            if self.fleet.stop is not Stop.NO:
                self._dispatch.hang_up("the server stops")
            acted = bool(actions)
        return 0.0 if acted else TICK

    @contextmanager
    def _border(self) -> Iterator[None]:
        """An error in it is logged, and the master goes on: the next step is another chance."""
        try:
            yield
        except Exception:
            self._log.error(f"in the master, which goes on:\n{traceback.format_exc()}")

    def _prepare_stop(self) -> None:
        """Tell the workers before they are signalled, so that they first accept what waits in the listeners' queues."""
        for cycle in self.cycles.values():
            cycle.board.closing = True
        self._refuse_connections(self.fleet.stop is Stop.NOW)

    def perform(self, action: plan.Action) -> None:
        """Do one action, and write down that it is done."""
        now = self._clock.monotonic()
        match action:
            case plan.StartGeneration():
                self._start_generation(now)
            case plan.StartZygote(generation):
                self._start_zygote(generation, now)
            case plan.Fork(generation, number, seat):
                self._fork(generation, number, seat, now)
            case plan.Promote(generation):
                self._promote(generation)
            case plan.TakeOver(generation):
                generation.taken += 1
                self._log.info(f"chain reload: generation {generation.number} has taken over worker {generation.taken}")
            case plan.GiveUp(generation, reason):
                self._give_up(generation, reason, now)
            case plan.Drain(generation):
                generation.stage = GenerationStage.DRAINING
            case plan.Hasten(generation, ends_at):
                generation.ends_at = ends_at
                self._log.warning(log_messages.hastened(generation, self.fleet.most_draining, ends_at - now))
            case plan.Tell(worker, signal, kill_at, why):
                self._tell(worker, signal, kill_at, why)
            case plan.StartChild(child):
                self._start_child(child, now)
            case plan.SignalChild(child, signal, kill_at, why):
                self._signal_child(child, signal, kill_at, why)
            case plan.Lose(generation, worker):
                self.recorder.worker_gone(generation, worker, 0, None, now)
            case plan.Dismiss(generation):
                self._dismiss(generation, now)
            case plan.AbortZygote(generation):
                self._abort_zygote(generation, now)
            case plan.KillZygote(generation, why):
                self._kill_zygote(generation, why)
            case plan.Forget(generation):
                self._forget(generation)
            case plan.SetPaused(worker, paused):
                worker.paused = paused
                self._sender.pause(self._generation_of(worker), worker, paused)
            case plan.Run(errand):
                self.fleet.errands.remove(errand)
                self._run(errand)
            case plan.Finish():
                self._over = True
                shared_resources.close(self.resources)
            case _:
                assert_never(action)

    def status(self, now: float) -> dict[str, Any]:
        """What `greenwsgi status` shows."""
        starts, listeners = self.recorder.starts, self._listeners
        return build_view(self.fleet, self.cycles, self.recorder.totals, starts, listeners, now).document()

    def _log_statistics(self) -> None:
        self._log.info(status.table(self.status(self._clock.monotonic())))

    def _run(self, errand: Errand) -> None:
        if errand not in self._errands:
            self._log.warning(f"nothing is done: {errand.needs}")
            return
        try:
            self._errands[errand](self)
        except (GreenwsgiError, OSError) as error:
            self._log.error(f"failed: {errand.value}: {error}")

    def _start_generation(self, now: float) -> None:
        """All that can fail comes first: a generation that is in the fleet has its resources."""
        kind, hurry = self.fleet.take_reload()
        try:
            settings = self._settings_for(kind)
            cycle = GenerationResources(self.fleet.born + 1, settings)
        except GreenwsgiError as error:
            self._reload_refused(str(error), now)
            return
        except Exception as error:  # a border: the client that asked must get an answer
            details = traceback.format_exc()
            self._log.error(f"while the configuration was read:\n{details}")
            self._reload_refused(f"{type(error).__name__}: {error}", now, details)
            return
        processes = settings.processes
        count = self._autoscaler.count_for(settings, kind)
        if settings.logging.log_reopen and self.fleet.born and Errand.REOPEN_LOG in self._errands:
            self._run(Errand.REOPEN_LOG)
        self.cycles[cycle.generation] = cycle
        generation = self.fleet.new_generation(processes.processes, processes.worker_reload_mercy, kind, hurry=hurry)
        generation.count = count
        self.recorder.show_past()

    def _reload_refused(self, why: str, now: float, details: str = "") -> None:
        """No generation is made; without a first one the server stops.

        One that still rises goes on, and answers those that asked before it was made.
        """
        if self.fleet.born:
            said, rising = f"reload refused, nothing has changed: {why}", self.fleet.at(GenerationStage.RISING)
            self._log.error(said)
            refused = range(rising.reloads + 1 if rising else 0, self.fleet.reloads + 1)
            self._dispatch.reloads_ended(refused, CommandOutcome(False, said, details))
            return
        self._log.error(f"the server cannot start: {why}")
        self.fleet.stop_asked(Stop.GRACEFUL, now)
        self.fleet.exit_status = USAGE_STATUS

    def _settings_for(self, kind: ReloadKind) -> Settings:
        """Read again, unless only the workers are replaced. Raises UsageError."""
        if not self.fleet.born:
            return self._first
        serving = self.fleet.at(GenerationStage.SERVING)
        settings = self.cycles[serving.number].settings if serving else self._first
        return settings if serving and kind is ReloadKind.WORKERS else self._reread(settings)

    def _start_zygote(self, generation: Generation, now: float) -> None:
        try:
            pid = self.cycles[generation.number].start_zygote(self._system, self._for_zygotes(), self._log_file)
            generation.zygote, generation.failure = ZygoteState(pid, now), ""
        except OSError as error:
            generation.fail(f"cannot start a process: {error}", 0)
            generation.zygote = ZygoteState(0, now)
            self.recorder.zygote_gone(generation, None, now)

    def _start_child(self, child: ChildState, now: float) -> None:
        serving, program = self.fleet.at(GenerationStage.SERVING), child.wanted.program
        try:
            pid = self._system.start_program(program.arguments, program.environment)
        except OSError as error:
            child.since = now
            child.gone(now)
            self._log.error(f"{child} cannot be started: {error}")
            return
        child.started(pid, now, serving.number if serving else 0)
        self._log.info(f"{child} is started")

    def _signal_child(self, child: ChildState, signal: Signals, kill_at: float, why: str) -> None:
        self._log.info(f"{child} {'is killed' if signal is SIGKILL else 'leaves'}: {why}")
        child.told, child.kill_at = signal, kill_at
        self._system.kill(child.pid, signal)

    def _for_zygotes(self) -> Resources:
        """What every zygote inherits of the server."""
        log = Resources((OpenFile(self._log.fd, LOG), *self._listeners))
        return self.resources + shared_resources.report_pipe(self._inbox) + log

    def _fork(self, generation: Generation, number: int, seat: int, now: float) -> None:
        assert generation.zygote is not None
        paused, probation = self.fleet.paused, number in generation.trouble and generation.trouble[number].crashed
        generation.workers[seat] = WorkerState(number, seat, generation.zygote.pid, now, paused=paused)
        self.cycles[generation.number].tell(ForkWorker(seat, number, paused, probation))

    def _generation_of(self, worker: WorkerState) -> Generation:
        return next(generation for generation, one in self.fleet.workers() if one is worker)

    def _promote(self, generation: Generation) -> None:
        self._obey(self.cycles[generation.number].settings)
        relieved = self.fleet.promote(generation)
        serves = f"generation {generation.number} serves with {log_messages.strength(generation)}"
        if relieved:
            said = f"reloaded: {serves}; generation {relieved.number} drains"
        else:
            where = ", ".join(log_messages.address(listener) for listener in self._listeners)
            said = f"ready: {serves}: {where} (pid {os.getpid()})"
        self._log.info(said)
        self._answer_with(
            generation, CommandOutcome(True, said)
        )  # of the first one too: a client may ask while it loads
        if not relieved:
            self._ready()

    def _give_up(self, generation: Generation, reason: str, now: float) -> None:
        if self.fleet.give_up(generation, now):
            serving = self.fleet.at(GenerationStage.SERVING)
            assert serving is not None
            said = f"reload failed: generation {generation.number}: {reason}; generation {serving.number} serves on"
        else:
            usage = generation.failure_status == USAGE_STATUS
            what = "the server cannot start" if usage else "the application did not come up, the server ends"
            said = f"{what}: {reason}"
        self._log.error(said)
        self._answer_with(generation, CommandOutcome(False, said, self.cycles[generation.number].failure()))

    def _answer_with(self, generation: Generation, outcome: CommandOutcome) -> None:
        self._dispatch.reloads_ended(range(generation.reloads + 1), outcome)

    def _forget(self, generation: Generation) -> None:
        self.fleet.generations.remove(generation)
        self.cycles.pop(generation.number).close()
        if generation.ends_at < inf:
            self._log.warning(log_messages.cut(generation))

    def _tell(self, worker: WorkerState, signal: Signals, kill_at: float, why: str) -> None:
        self._log.info(f"{worker} {'leaves' if signal is SIGTERM else f'gets {signal.name}'}: {why}")
        worker.tell(signal, kill_at)
        self._system.kill(worker.pid, signal)

    def _dismiss(self, generation: Generation, now: float) -> None:
        """The end of file on its command pipe tells the zygote to leave."""
        assert generation.zygote is not None
        generation.zygote.dismiss(now)
        self.cycles[generation.number].hang_up()

    def _abort_zygote(self, generation: Generation, now: float) -> None:
        zygote = generation.zygote
        assert zygote is not None
        self._log.info(f"zygote {generation.number} (pid {zygote.pid}) gets SIGABRT: {zygote.stuck}")
        zygote.dismissed, zygote.kill_at = True, now + plan.DUMP_TIME
        self._system.kill(zygote.pid, SIGABRT)

    def _kill_zygote(self, generation: Generation, why: str) -> None:
        assert generation.zygote is not None
        self._log.info(f"zygote {generation.number} (pid {generation.zygote.pid}) is killed: {why}")
        generation.zygote.dismissed = True
        generation.zygote.kill_at = inf
        self._system.kill(generation.zygote.pid, SIGKILL)
