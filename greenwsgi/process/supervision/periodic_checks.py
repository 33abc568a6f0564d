"""What nobody reports is looked at once a second: touched files, memory, how much there is to do."""

from __future__ import annotations

from collections.abc import Mapping
from signal import SIGKILL
from typing import Protocol

from greenwsgi.config.settings import Settings
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.supervision import autoscaling_algorithms, log_messages
from greenwsgi.process.supervision.fleet import Fleet, Generation, GenerationStage, ReloadKind, Stop
from greenwsgi.process.supervision.generation_resources import GenerationResources
from greenwsgi.process.supervision.touch_files import TouchFiles, watched
from greenwsgi.shared.metrics import IN_FLIGHT, LOOP_LAG_US, REQUESTS
from greenwsgi.shared.process_memory import MB, Memory
from greenwsgi.shared.scoreboard import Seat, Totals

ROUND = 1.0

LATE = 100_000
"""Microseconds: a worker whose loop is so late is as busy as one can be."""


class Probe(Protocol):
    """What can be seen of the system; `surroundings.Surroundings` is the real one."""

    def knocked(self) -> bool: ...
    def backlog(self) -> int: ...
    def memory(self, pid: int) -> Memory: ...


class PeriodicChecks:
    """Looks around, and writes down in the fleet what is wanted because of it, as an operator would."""

    def __init__(
        self,
        fleet: Fleet,
        cycles: Mapping[int, GenerationResources],
        totals: Totals,
        log: ServerLog,
        around: Probe,
        first: Settings,
    ) -> None:
        self._fleet = fleet
        self._cycles = cycles
        self._totals = totals
        self._log = log
        self._around = around
        self._settings = first
        self._touches = TouchFiles()
        self._missed: set[str] = set()
        self._mood = autoscaling_algorithms.AlgorithmState()
        self._next = self._weigh_next = self._active_at = 0.0
        self._requests = -1
        self._asleep = False

    def take(self, now: float) -> None:
        """Look, if it is time to. Whether somebody knocks at a server that sleeps is looked at each time."""
        serving = self._fleet.at(GenerationStage.SERVING)
        if serving and not serving.count and self._fleet.stop is Stop.NO:
            self._wake(serving)
        self._look_for_sleep(serving, now)
        if now < self._next:
            return
        self._next = now + ROUND
        if serving:
            self._settings = self._cycles[serving.number].settings
        self._look_at_files(now)
        if self._fleet.stop is Stop.NO:
            self._weigh(now)
            if serving and serving.count:
                self._look_for_idleness(serving, now)
                self._adapt(serving)

    def count_for(self, settings: Settings, kind: ReloadKind) -> int:
        """How many workers a new generation shall begin with."""
        most, rules, serving = settings.processes.processes, settings.cheaper, self._fleet.at(GenerationStage.SERVING)
        if serving is None:
            return 0 if rules.cheap else min(most, rules.cheaper_initial or rules.cheaper or most)
        if not serving.count:
            return 0
        if rules.cheaper:
            return max(rules.cheaper, min(most, serving.count))
        return min(most, serving.count) if kind is ReloadKind.WORKERS else most

    def _look_at_files(self, now: float) -> None:
        files = watched(self._settings)
        for option, path, kind in self._touches.look(files):
            self._log.info(f"{option} {path}: {log_messages.RELOADS[kind]}")
            self._fleet.reload_asked(kind, now)
        missing = {f"{file[0]} {file[1]}" for file in files if self._touches.missing(file)}
        for named in sorted(missing - self._missed):
            self._log.info(f"{named}: there is no such file yet; it is waited for")
        self._missed |= missing

    def _weigh(self, now: float) -> None:
        """Condemn workers that are larger than the evil limits."""
        if now < self._weigh_next:
            return
        self._weigh_next = now + self._settings.processes.mem_collector_freq
        limits = self._settings.processes
        if not limits.evil_reload_on_as and not limits.evil_reload_on_rss:
            return
        for _, worker in self._fleet.workers():
            if not worker.pid or worker.stuck:
                continue
            memory = self._around.memory(worker.pid)
            if 0 < limits.evil_reload_on_as * MB < memory.space:
                worker.stuck = f"evil-reload-on-as {limits.evil_reload_on_as}: it has {memory.space / MB:.0f} MB"
            elif 0 < limits.evil_reload_on_rss * MB < memory.resident:
                worker.stuck = f"evil-reload-on-rss {limits.evil_reload_on_rss}: it has {memory.resident / MB:.0f} MB"
            else:
                continue
            worker.end_by = SIGKILL

    # How many workers are needed

    def _look_for_sleep(self, serving: Generation | None, now: float) -> None:
        """Whoever has just come, by a connection or because an operator asked, is not idle yet."""
        asleep = serving is not None and not serving.count
        if self._asleep and not asleep:
            self._active_at = now
        self._asleep = asleep

    def _wake(self, serving: Generation) -> None:
        if not self._around.knocked():
            return
        rules = self._settings.cheaper
        serving.count = min(serving.size, rules.cheaper_initial or rules.cheaper or serving.size)
        self._log.info(f"a connection has come: {log_messages.workers(serving.count)} shall run")

    def _look_for_idleness(self, serving: Generation, now: float) -> None:
        seats = [seat for cycle in self._cycles.values() for seat in cycle.board.seats]
        requests = self._totals.past()[REQUESTS] + sum(seat.counters[REQUESTS] for seat in seats)
        if requests != self._requests or any(seat.counters[IN_FLIGHT] for seat in seats):
            self._requests, self._active_at = requests, now
        rules = self._settings.cheaper
        if not rules.idle or now - self._active_at < rules.idle:
            return
        if rules.die_on_idle:
            self._log.info(f"idle {rules.idle:g}: no request has come; the server stops")
            self._fleet.stop_asked(Stop.GRACEFUL, now)
        else:
            self._log.info(f"idle {rules.idle:g}: no request has come; no worker shall run until a connection comes")
            serving.count = 0

    def _adapt(self, serving: Generation) -> None:
        rules = self._settings.cheaper
        if not rules.cheaper or not serving.count or self._fleet.at(GenerationStage.RISING):
            return
        look = self._look_at_work(serving)
        count, self._mood = autoscaling_algorithms.decide(look, serving.size, rules, self._mood)
        if rules.cheaper_busyness_verbose and self._mood.said >= 0 and not self._mood.rounds:
            self._log.info(f"busyness: {self._mood.said:.0f} %, {look.backlog} connections wait")
        if count != serving.count:
            busy = ", ".join(f"{100 * one:.0f} %" for one in look.busy)
            self._log.info(
                f"cheaper-algo {rules.cheaper_algo}: {log_messages.workers(count)} shall run, not {serving.count}"
                f" (busy: {busy or 'none'}; {look.backlog} connections wait)"
            )
            serving.count = count

    def _look_at_work(self, serving: Generation) -> autoscaling_algorithms.LoadSample:
        rules, slots = self._settings.cheaper, self._settings.processes.async_
        seats = self._cycles[serving.number].board.seats
        workers = [worker for worker in serving.workers.values() if worker.serves]
        limited = rules.cheaper_rss_limit_soft or rules.cheaper_rss_limit_hard
        return autoscaling_algorithms.LoadSample(
            count=serving.count,
            busy=tuple(_busy(seats[worker.seat], slots) for worker in workers),
            backlog=self._around.backlog() if rules.cheaper_algo in ("backlog", "busyness") else 0,
            resident=sum(self._around.memory(worker.pid).resident for worker in workers) if limited else 0,
        )


def _busy(seat: Seat, slots: int) -> float:
    """How busy a worker is, 0 to 1: by its slots that are taken, or by its loop, whichever is more."""
    return min(1.0, max(seat.counters[IN_FLIGHT] / slots, seat.counters[LOOP_LAG_US] / LATE))
