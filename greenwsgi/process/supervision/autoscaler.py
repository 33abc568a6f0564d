"""How many workers run: none while the server is idle, as many as the load needs (cheaper, idle, cheap)."""

from __future__ import annotations

from collections.abc import Mapping

from greenwsgi.config.settings import Settings
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.supervision import autoscaling_algorithms, log_messages
from greenwsgi.process.supervision.fleet import Fleet, Generation, GenerationStage, ReloadKind, Stop
from greenwsgi.process.supervision.generation_resources import GenerationResources
from greenwsgi.process.supervision.system_probe import Probe
from greenwsgi.shared.metrics import IN_FLIGHT, LOOP_LAG_US, REQUESTS
from greenwsgi.shared.scoreboard import Seat, Totals

LATE = 100_000
"""Microseconds: a worker whose loop is so late is as busy as one can be."""


class Autoscaler:
    """Sets the number of workers of the generation that serves (`Generation.count`), as an operator would."""

    def __init__(
        self,
        fleet: Fleet,
        cycles: Mapping[int, GenerationResources],
        totals: Totals,
        log: ServerLog,
        probe: Probe,
    ) -> None:
        self._fleet = fleet
        self._cycles = cycles
        self._totals = totals
        self._log = log
        self._probe = probe
        self._state = autoscaling_algorithms.AlgorithmState()
        self._active_at = 0.0
        self._requests = -1
        self._asleep = False

    def count_for(self, settings: Settings, kind: ReloadKind) -> int:
        """How many workers a new generation begins with."""
        most, rules, serving = settings.processes.processes, settings.cheaper, self._fleet.at(GenerationStage.SERVING)
        if serving is None:
            return 0 if rules.cheap else min(most, rules.cheaper_initial or rules.cheaper or most)
        if not serving.count:
            return 0
        if rules.cheaper:
            return max(rules.cheaper, min(most, serving.count))
        return min(most, serving.count) if kind is ReloadKind.WORKERS else most

    def wake(self, serving: Generation | None, now: float) -> None:
        """End the sleep of a server without workers if a connection waits. To be called often: a client waits."""
        if serving and not serving.count and self._fleet.stop is Stop.NO and self._probe.knocked():
            rules = self._cycles[serving.number].settings.cheaper
            serving.count = min(serving.size, rules.cheaper_initial or rules.cheaper or serving.size)
            self._log.info(f"a connection has come: {log_messages.workers(serving.count)} will run")
        self._note_sleep(serving, now)

    def adapt(self, serving: Generation, now: float) -> None:
        """Set the number of workers by the load, and to none after `idle` seconds without a request."""
        self._look_for_idleness(serving, now)
        self._follow_load(serving)

    def _note_sleep(self, serving: Generation | None, now: float) -> None:
        """A server that was woken just now, by a connection or by an operator, is not idle yet."""
        asleep = serving is not None and not serving.count
        if self._asleep and not asleep:
            self._active_at = now
        self._asleep = asleep

    def _look_for_idleness(self, serving: Generation, now: float) -> None:
        seats = [seat for cycle in self._cycles.values() for seat in cycle.board.seats]
        requests = self._totals.past()[REQUESTS] + sum(seat.counters[REQUESTS] for seat in seats)
        if requests != self._requests or any(seat.counters[IN_FLIGHT] for seat in seats):
            self._requests, self._active_at = requests, now
        rules = self._cycles[serving.number].settings.cheaper
        if not rules.idle or now - self._active_at < rules.idle:
            return
        if rules.die_on_idle:
            self._log.info(f"idle {rules.idle:g}: no request has come; the server stops")
            self._fleet.stop_asked(Stop.GRACEFUL, now)
        else:
            self._log.info(f"idle {rules.idle:g}: no request has come; no worker will run until a connection comes")
            serving.count = 0

    def _follow_load(self, serving: Generation) -> None:
        rules = self._cycles[serving.number].settings.cheaper
        if not rules.cheaper or not serving.count or self._fleet.at(GenerationStage.RISING):
            return
        sample = self._sample(serving)
        count, self._state = autoscaling_algorithms.decide(sample, serving.size, rules, self._state)
        if rules.cheaper_busyness_verbose and self._state.said >= 0 and not self._state.rounds:
            self._log.info(f"busyness: {self._state.said:.0f} %, {sample.backlog} connections wait")
        if count != serving.count:
            busy = ", ".join(f"{100 * one:.0f} %" for one in sample.busy)
            self._log.info(
                f"cheaper-algo {rules.cheaper_algo}: {log_messages.workers(count)} will run, not {serving.count}"
                f" (busy: {busy or 'none'}; {sample.backlog} connections wait)"
            )
            serving.count = count

    def _sample(self, serving: Generation) -> autoscaling_algorithms.LoadSample:
        settings = self._cycles[serving.number].settings
        rules, slots = settings.cheaper, settings.processes.async_
        seats = self._cycles[serving.number].board.seats
        workers = [worker for worker in serving.workers.values() if worker.serves]
        limited = rules.cheaper_rss_limit_soft or rules.cheaper_rss_limit_hard
        return autoscaling_algorithms.LoadSample(
            count=serving.count,
            busy=tuple(_busy(seats[worker.seat], slots) for worker in workers),
            backlog=self._probe.backlog() if rules.cheaper_algo in ("backlog", "busyness") else 0,
            resident=sum(self._probe.memory(worker.pid).resident for worker in workers) if limited else 0,
        )


def _busy(seat: Seat, slots: int) -> float:
    """How busy a worker is, 0 to 1: by its slots that are taken, or by its loop, whichever is more."""
    return min(1.0, max(seat.counters[IN_FLIGHT] / slots, seat.counters[LOOP_LAG_US] / LATE))
