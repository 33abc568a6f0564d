"""Records events in the fleet: signals, reports, deaths of children, and what no process reports."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from math import inf
from signal import SIGCHLD, SIGTERM

from greenwsgi.process.control.command_dispatch import CommandDispatch
from greenwsgi.process.lifecycle.child_processes import lives
from greenwsgi.process.supervision import log_messages
from greenwsgi.process.supervision.child_state import ChildState
from greenwsgi.process.supervision.command_sender import CommandSender
from greenwsgi.process.supervision.crash_suspects import CrashSuspects
from greenwsgi.process.supervision.event_inbox import Asked, Note
from greenwsgi.process.supervision.fleet import Generation, GenerationStage, Stop, WorkerState
from greenwsgi.process.supervision.generation_resources import GenerationResources
from greenwsgi.process.supervision.master_setup import MasterSetup
from greenwsgi.shared.messages import Died, Failed, Forked, Loaded, Ready, Reap, Report, Retire
from greenwsgi.shared.scoreboard import Totals

BLOCKED = 1.5
OVERDUE = 1.0
"""Harakiri's second level, the master's side: a loop has not turned for BLOCKED seconds, a request is OVERDUE seconds
past its deadline. The worker's own thread acts earlier, unless C code keeps the GIL from it."""


class EventRecorder:
    """Keeps the fleet in step with the processes.

    It starts and ends no process, with two exceptions that the plan cannot know of: a zygote may reap a dead worker
    when the death is recorded, and a worker that reports after it was given up for lost is told to leave. A worker
    whose first report comes after the log was reopened is told to open it again.
    """

    def __init__(
        self,
        setup: MasterSetup,
        cycles: Mapping[int, GenerationResources],
        dispatch: CommandDispatch,
        sender: CommandSender,
    ) -> None:
        self.totals = Totals()
        self.starts: Counter[int] = Counter()
        """How often a worker of each number has become ready."""
        self.log_opened = -inf
        """When the log was last opened again. Workers that were asked for before and report later have missed that."""
        self._dispatch = dispatch
        self._sender = sender
        self._fleet = setup.fleet
        self._cycles = cycles
        self._system = setup.system
        self._log = setup.log
        self._killed_line = setup.killed_line
        self._other_child_died = setup.other_child_died
        self._looked = self._woke = -inf
        self._suspects = CrashSuspects()

    def note(self, notes: list[Note], now: float) -> None:
        """Record what came in, and look for what no process reports."""
        for note in notes:
            if isinstance(note, Report):
                self._reported(note, now)
            elif isinstance(note, Asked) or note.signal is not SIGCHLD:
                self._dispatch.take(note, now)
        for pid, status in self._system.reap(self._programs):
            self._reaped(pid, status, now)
        if not self._system.adopts:
            self._miss_orphans(now)
        self._find_stuck(now)
        self._find_unready(now)

    def _reported(self, report: Report, now: float) -> None:
        generation = self._fleet.generation(report.generation)
        if generation is None:
            return
        match report:
            case Loaded():
                if generation.zygote and generation.zygote.pid == report.pid:
                    generation.zygote.loaded, generation.zygote.loaded_at = True, now
            case Died():
                self._died(generation, report, now)
            case Failed():
                self._meet(generation, report.seat, report.pid)
                self._failed(generation, report, now)
            case Forked() | Ready() | Retire():
                worker = self._meet(generation, report.seat, report.pid)
                if worker is None:  # it was given up for lost, since its zygote died over it
                    self._system.kill(report.pid, SIGTERM)
                elif isinstance(report, Ready):
                    self._ready(generation, worker, now)
                elif isinstance(report, Retire):
                    if not worker.retiring:
                        worker.retiring_since = now
                    worker.retiring = report.reason

    def _meet(self, generation: Generation, seat: int, pid: int) -> WorkerState | None:
        """The worker on that seat, if it has that pid. Its first report says which one it has."""
        worker = generation.workers.get(seat)
        if worker and not worker.pid:
            worker.heard(pid)
            if worker.since <= self.log_opened:
                self._sender.reopen_log(generation, worker)
        return worker if worker and worker.pid == pid else None  # else another worker has its seat by now

    def _ready(self, generation: Generation, worker: WorkerState, now: float) -> None:
        worker.ready(now)
        self.starts[worker.number] += 1
        generation.proven = True
        if generation.stage is GenerationStage.SERVING:
            generation.failure, generation.failure_status = "", 0  # a worker's under lazy-apps; it is over

    def _failed(self, generation: Generation, report: Failed, now: float) -> None:
        if generation.zygote and generation.zygote.pid == report.pid:
            generation.zygote.dismiss(now)  # it leaves by itself
        generation.fail(report.reason, report.status)
        if generation.stage is GenerationStage.SERVING:
            self._log.error(f"generation {generation.number} serves on, but its application fails: {report.reason}")

    def _died(self, generation: Generation, report: Died, now: float) -> None:
        """Its zygote saw it, and reaps it when told to: no one signals that pid any more. (0: it could not fork.)"""
        worker = generation.workers.get(report.seat)
        if worker and worker.pid in (0, report.pid):
            self.worker_gone(generation, worker, report.pid, report.status, now)
        if report.pid:
            self._cycles[generation.number].tell(Reap(report.pid))

    def _reaped(self, pid: int, status: int, now: float) -> None:
        for generation in self._fleet.generations:
            if generation.zygote and generation.zygote.pid == pid:
                self.zygote_gone(generation, status, now)
                return
        for generation, worker in self._fleet.workers():
            if worker.pid == pid:
                self.worker_gone(generation, worker, pid, status, now)
                return
        for child in self._fleet.children:
            if child.pid == pid:
                self._child_gone(child, status, now)
                return
        self._other_child_died(pid, status)

    def _child_gone(self, child: ChildState, status: int, now: float) -> None:
        said = f"{child} {log_messages.ended(status)}"
        asked = child.told is not None
        self._fleet.child_gone(child, now)
        again = not asked and not child.ended and self._fleet.stop is Stop.NO
        self._log.info(said + (log_messages.started_again(child.backoff.not_before - now) if again else ""))

    def _miss_orphans(self, now: float) -> None:
        """Where orphans do not become our children, no process tells us of their death."""
        for generation, worker in self._fleet.workers():
            orphaned = generation.zygote is None or generation.zygote.pid != worker.parent
            if worker.pid and orphaned and not lives(worker.pid):
                self.worker_gone(generation, worker, worker.pid, None, now)

    def worker_gone(
        self, generation: Generation, worker: WorkerState, pid: int, status: int | None, now: float
    ) -> None:
        seat = self._cycles[generation.number].board.seats[worker.seat]
        running = seat.running()
        for request in running:
            self._killed_line(worker.number, pid, request)
        for leader, started in seat.programs():
            self._system.end_group(leader, started)
        if seat.number:  # it lived long enough to take its seat
            self.totals.fold(seat)
            self.show_past()
        seat.wipe()
        generation.worker_gone(worker, now)
        self._log.info(f"{worker} {log_messages.ended(status)}{log_messages.again(generation, worker, now)}")
        if not worker.crashed:
            generation.cut += len(running)
        elif worker.ready_at is not None:
            for line in self._suspects.died(f"worker {worker.number} {log_messages.ended(status)}", running):
                self._log.warning(line)

    def _programs(self) -> dict[int, int]:
        """All CGI programs that workers run, or ran when they died: when each started, by its pid."""
        seats = [seat for cycle in self._cycles.values() for seat in cycle.board.seats]
        return {pid: started for seat in seats for pid, started in seat.programs()}

    def show_past(self) -> None:
        """Workers tell in each access line how many requests the server had."""
        past = array("Q", self.totals.past())
        for cycle in self._cycles.values():
            cycle.board.past[:] = memoryview(past)

    def zygote_gone(self, generation: Generation, status: int | None, now: float) -> None:
        zygote = generation.zygote
        assert zygote is not None
        generation.zygote_gone(now)
        self._cycles[generation.number].hang_up()
        if zygote.dismissed or generation.stage is GenerationStage.DRAINING:
            return
        if not zygote.loaded:
            generation.fail(
                f"its zygote (pid {zygote.pid}) {log_messages.ended(status)} while it loaded the application", 0
            )
        self._log.warning(f"zygote {generation.number} (pid {zygote.pid}) {log_messages.ended(status)}")

    def _find_unready(self, now: float) -> None:
        """An application's import may hang, in the zygote or, under lazy-apps, in a worker."""
        for generation in self._fleet.generations:
            limit = self._cycles[generation.number].settings.processes.boot_timeout or inf
            why = f"its application was not loaded within boot-timeout {limit:g}"
            zygote = generation.zygote
            if zygote and not zygote.loaded and not zygote.stuck and now - zygote.since >= limit:
                zygote.stuck = why
                generation.fail(why, 0)
            for worker in generation.workers.values():
                if worker.pid and worker.ready_at is None and not worker.stuck and now - worker.since >= limit:
                    worker.stuck = why
                    generation.fail(f"worker {worker.number}: {why}", 0)

    def _find_stuck(self, now: float) -> None:
        if now - self._looked >= BLOCKED:  # all of us were stopped: a loop is to blame from now on
            self._woke = now
        self._looked = now
        for generation, worker in self._fleet.workers():
            if worker.ready_at is None or worker.stuck:
                continue
            seat = self._cycles[generation.number].board.seats[worker.seat]
            beat = seat.heartbeat()
            if not beat or now - max(beat, self._woke) <= BLOCKED:
                continue
            if now - seat.monitor_heartbeat() <= BLOCKED:
                continue  # its monitor can run, and knows what blocks the loop
            late = [one for one in seat.running() if now - one.deadline > OVERDUE]
            if late:
                worker.stuck = f"harakiri: {late[0].method} {late[0].uri} blocks its loop for {now - beat:.1f} s"
