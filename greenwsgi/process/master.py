"""The master: wait, note, plan, perform, until there is nobody left to look after.

Plain Python all through: no gevent, no ssl, never the application. What it knows is the fleet, what it decides is the
plan; here is only how each action is done, and what the log says of it.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from math import inf
from signal import SIGABRT, SIGCONT, SIGKILL, SIGTERM, SIGTSTP, Signals
from typing import Any, Protocol, assert_never

from greenwsgi.clock import Clock, SystemClock
from greenwsgi.config.settings import Settings
from greenwsgi.errors import GreenwsgiError
from greenwsgi.log.access import Access, AccessLog
from greenwsgi.log.server import ServerLog
from greenwsgi.process import control, fifo, identity, listeners, plan, status, words
from greenwsgi.process.binding import Listener
from greenwsgi.process.census import Census
from greenwsgi.process.commands import BY_SIGNAL, Command, by_signal
from greenwsgi.process.cycle import Cycle, System, Wiring
from greenwsgi.process.desk import Desk, Outcome
from greenwsgi.process.fleet import Errand, Fleet, Generation, GenerationStage, Reload, WorkerSeen, ZygoteSeen
from greenwsgi.process.inbox import Inbox, Note
from greenwsgi.process.spawn import Processes
from greenwsgi.process.witness import KilledLine, Witness
from greenwsgi.shared import title
from greenwsgi.shared.messages import BoundListener, Message, Word
from greenwsgi.shared.scoreboard import RunningRequest

TICK = 0.25
"""Seconds between two looks at deadlines and heartbeats when nothing happens."""


def serve(
    settings: Settings,
    log: ServerLog,
    killed_line: KilledLine | None = None,
    reread: Callable[[], Settings] | None = None,
    ready: Callable[[], None] | None = None,
) -> int:
    """Serve until told to stop; the exit status. Whatever is made on the way is gone again at the end.

    reread: gives the configuration for each generation after the first. ready: called when the first one serves.
    Raises UsageError, before anything is started, for an address, user or pidfile that cannot be had.
    """
    signals = by_signal(settings.processes.sigterm_reloads)
    with ExitStack() as made:
        inbox = Inbox(signals)
        made.callback(inbox.close)
        last = made.enter_context(ExitStack())
        places, pidfile = _take_places(settings, inbox, log, made, last)
        title.show("master")
        line = killed_line or _KilledLine(log.fd)
        bound = [one.bound for one in places]
        master = Master(settings, bound, log, inbox, Processes(), SystemClock(), line, reread, signals)
        master.ready = ready or master.ready
        if pidfile:
            master.errands[Errand.WRITE_PIDFILE] = pidfile.write
        status = master.run()
    log.info("stopped")
    return status


def _take_places(
    settings: Settings, inbox: Inbox, log: ServerLog, made: ExitStack, last: ExitStack
) -> tuple[list[Listener], identity.Pidfile | None]:
    """Bind the listeners, write the pidfile, open the doors for operators, and become who we shall be.

    In this order, since only root may do all. What goes to `last` is closed after all that goes to `made`.
    """
    who = identity.find(settings.processes.uid, settings.processes.gid)
    vacuum = settings.listening.vacuum
    if settings.listening.umask is not None:
        os.umask(settings.listening.umask)

    def close_at_the_end(listener: Listener) -> None:
        made.callback(_clean, lambda: listener.close(vacuum=vacuum), log)

    places = listeners.listen(settings, os.environ, log, close_at_the_end)
    pidfile = _write_pidfile(settings.processes.pidfile, log, made, vacuum=vacuum)
    _open_doors(settings, who, inbox, log, last)
    who.assume()
    return places, pidfile


def _write_pidfile(path: str, log: ServerLog, made: ExitStack, *, vacuum: bool) -> identity.Pidfile | None:
    if not path:
        return None
    pidfile = identity.Pidfile(path)
    if other := pidfile.write():
        log.warning(f"pidfile {pidfile.path} named process {other}, which lives; now it names this one")
    if vacuum:
        made.callback(_clean, pidfile.remove, log)
    return pidfile


def _open_doors(settings: Settings, who: identity.Identity, inbox: Inbox, log: ServerLog, made: ExitStack) -> None:
    """The ways by which operators ask, besides signals. They are closed last: who waits for the end sees it there."""
    processes = settings.processes
    paths = control.places(processes.control_socket, (processes.pidfile, *processes.master_fifo))
    if paths:
        made.callback(_clean, control.ControlSocket(paths[0], paths[1:], who, inbox).close, log)
    if processes.master_fifo:
        fifos = fifo.Fifos(processes.master_fifo, who, inbox, log)
        made.callback(_clean, fifos.close, log)
        inbox.look = fifos.look


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


class Waiting(Protocol):
    """Where notes come from; `inbox.Inbox` is the real one."""

    report: int

    def wait(self, timeout: float) -> list[Note]: ...


class Master:
    """Supervises generations of workers on listeners that are bound already.

    reread gives the configuration for each generation after the first. signals: what each asks for. errands: how those
    are done that are not the master's own. All state is in `fleet`, `cycles` and `witness`.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: Sequence[BoundListener],
        log: ServerLog,
        inbox: Waiting,
        system: System,
        clock: Clock,
        killed_line: KilledLine,
        reread: Callable[[], Settings] | None = None,
        signals: Mapping[Signals, Command] = BY_SIGNAL,
    ) -> None:
        self.fleet = Fleet(reload_mercy=settings.processes.reload_mercy)
        self.cycles: dict[int, Cycle] = {}
        self.desk = Desk(self.fleet, log, signals, self.status)
        self.witness = Witness(self.fleet, self.cycles, system, log, killed_line, self.desk)
        self.census = Census(self.fleet, self.cycles, log, settings)
        self.errands: dict[Errand, Callable[[], object]] = {Errand.STATISTICS: self._log_statistics}
        self.ready: Callable[[], None] = lambda: None
        self._first = settings
        self._reread = reread or (lambda: settings)
        self._log = log
        self._inbox = inbox
        self._system = system
        self._clock = clock
        self._lifeline, self._life = os.pipe()
        self._wiring = Wiring(listeners, inbox.report, self._lifeline, log.fd)
        self._over = False

    def run(self) -> int:
        """Supervise until the end; the exit status."""
        timeout = 0.0
        while not self._over:
            timeout = self.step(timeout)
        return self.fleet.exit_status

    def step(self, timeout: float) -> float:
        """Wait for at most `timeout`, then do all there is to do; returns how long the next step may wait."""
        try:
            notes = self._inbox.wait(timeout)
            self.witness.note(notes, self._clock.monotonic())
            self.census.take(self._clock.monotonic())
            actions = plan.plan(self.fleet, self._clock.monotonic())
            for action in actions:
                self.perform(action)
            self.desk.settle()
            return 0.0 if actions else TICK
        except Exception:  # a border: whatever goes wrong here, the workers go on and the next step is another chance
            self._log.error(f"in the master, which goes on:\n{traceback.format_exc()}")
            return TICK

    def perform(self, action: plan.Action) -> None:
        """Do one action, and write down that it is done."""
        now = self._clock.monotonic()
        match action:
            case plan.StartGeneration():
                self._start_generation()
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
            case plan.Tell(worker, signal, kill_at, why):
                self._tell(worker, signal, kill_at, why)
            case plan.Lose(generation, worker):
                self.witness.worker_gone(generation, worker, 0, None, now)
            case plan.Dismiss(generation):
                self._dismiss(generation, now)
            case plan.AbortZygote(generation):
                self._abort_zygote(generation, now)
            case plan.KillZygote(generation, why):
                self._kill_zygote(generation, why)
            case plan.Forget(generation):
                self.cycles.pop(generation.number).close()
                self.fleet.generations.remove(generation)
            case plan.Pause(worker, paused):
                worker.paused = paused
                self._system.kill(worker.pid, SIGTSTP if paused else SIGCONT)
            case plan.Run(errand):
                self.fleet.errands.remove(errand)
                self._run(errand)
            case plan.Finish():
                self._over = True
                os.close(self._life)
                os.close(self._lifeline)
            case _:
                assert_never(action)

    def status(self, now: float) -> dict[str, Any]:
        """What `greenwsgi status` shows."""
        starts, listeners = self.witness.starts, self._wiring.listeners
        return status.snapshot(self.fleet, self.cycles, self.witness.totals, starts, listeners, now)

    def _log_statistics(self) -> None:
        self._log.info(status.table(self.status(self._clock.monotonic())))

    def _run(self, errand: Errand) -> None:
        if errand not in self.errands:
            self._log.warning(f"nothing is done: {errand.needs}")
            return
        try:
            self.errands[errand]()
        except (GreenwsgiError, OSError) as error:
            self._log.error(f"failed: {errand.value}: {error}")

    def _reload_failed(self, said: str, details: str = "") -> None:
        self._log.error(said)
        self.desk.reload_ended(Outcome(False, said, details))

    def _start_generation(self) -> None:
        kind, self.fleet.reload_wanted = self.fleet.reload_wanted or Reload.WHOLE, None
        try:
            settings = self._settings_for(kind)
        except GreenwsgiError as error:
            self._reload_failed(f"reload refused, nothing has changed: {error}")
            return
        processes = settings.processes
        generation = self.fleet.new_generation(processes.processes, processes.worker_reload_mercy, kind)
        if kind is Reload.WORKERS and (serving := self.fleet.at(GenerationStage.SERVING)):
            generation.count = min(generation.size, serving.count)
        self.cycles[generation.number] = Cycle(generation.number, settings)
        self.witness.show_past()

    def _settings_for(self, kind: Reload) -> Settings:
        """Read again, unless only the workers are replaced. Raises UsageError."""
        if not self.fleet.born:
            return self._first
        serving = self.fleet.at(GenerationStage.SERVING)
        return self.cycles[serving.number].settings if serving and kind is Reload.WORKERS else self._reread()

    def _start_zygote(self, generation: Generation, now: float) -> None:
        try:
            pid = self.cycles[generation.number].start_zygote(self._system, self._wiring)
            generation.zygote, generation.failure = ZygoteSeen(pid, now), ""
        except OSError as error:
            generation.fail(f"cannot start a process: {error}", 0)
            generation.zygote = ZygoteSeen(0, now)
            self.witness.zygote_gone(generation, None, now)

    def _fork(self, generation: Generation, number: int, seat: int, now: float) -> None:
        assert generation.zygote is not None
        generation.workers[seat] = WorkerSeen(number, seat, generation.zygote.pid, now)
        self.cycles[generation.number].tell(Message(Word.FORK, seat=seat, number=number))

    def _promote(self, generation: Generation) -> None:
        relieved = self.fleet.promote(generation)
        serves = f"generation {generation.number} serves with {words.strength(generation)}"
        if relieved:
            said = f"reloaded: {serves}; generation {relieved.number} drains"
            self._log.info(said)
            self.desk.reload_ended(Outcome(True, said))
        else:
            where = ", ".join(words.address(listener) for listener in self._wiring.listeners)
            self._log.info(f"ready: {serves}: {where} (pid {os.getpid()})")
            self.ready()

    def _give_up(self, generation: Generation, reason: str, now: float) -> None:
        if self.fleet.give_up(generation, now):
            serving = self.fleet.at(GenerationStage.SERVING)
            assert serving is not None
            self._reload_failed(
                f"reload failed: generation {generation.number}: {reason}; generation {serving.number} serves on",
                self.cycles[generation.number].failure(),
            )
        else:
            self._log.error(f"the application did not come up, the server ends: {reason}")

    def _tell(self, worker: WorkerSeen, signal: Signals, kill_at: float, why: str) -> None:
        self._log.info(f"{worker} {'leaves' if signal is SIGTERM else f'gets {signal.name}'}: {why}")
        worker.told, worker.kill_at = signal, kill_at
        self._system.kill(worker.pid, signal)

    def _dismiss(self, generation: Generation, now: float) -> None:
        """The end of its command pipe is the word."""
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
