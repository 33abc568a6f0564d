"""What no process reports is checked once a second: touched files, the workers' memory, how much there is to do."""

from __future__ import annotations

from collections.abc import Mapping
from signal import SIGKILL

from greenwsgi.config.settings import Settings
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.supervision import log_messages
from greenwsgi.process.supervision.autoscaler import Autoscaler
from greenwsgi.process.supervision.fleet import Fleet, GenerationStage, Stop
from greenwsgi.process.supervision.generation_resources import GenerationResources
from greenwsgi.process.supervision.system_probe import Probe
from greenwsgi.process.supervision.touch_files import TouchFiles, watched
from greenwsgi.shared.process_memory import MB

ROUND = 1.0
"""Seconds between two rounds of checks."""


class PeriodicChecks:
    """Writes down in the fleet what is wanted because of what it found, as an operator would."""

    def __init__(
        self,
        fleet: Fleet,
        cycles: Mapping[int, GenerationResources],
        log: ServerLog,
        probe: Probe,
        autoscaler: Autoscaler,
        first: Settings,
    ) -> None:
        """first: the settings until a generation serves."""
        self._fleet = fleet
        self._cycles = cycles
        self._log = log
        self._probe = probe
        self._autoscaler = autoscaler
        self._settings = first
        self._touches = TouchFiles()
        self._missed: set[str] = set()
        self._next = self._weigh_next = 0.0

    def take(self, now: float) -> None:
        """Do the checks that are due. Whether a connection waits at a server without workers is checked each time."""
        serving = self._fleet.at(GenerationStage.SERVING)
        self._autoscaler.wake(serving, now)
        if now < self._next:
            return
        self._next = now + ROUND
        if serving:
            self._settings = self._cycles[serving.number].settings
        self._check_files(now)
        if self._fleet.stop is Stop.NO:
            self._check_memory(now)
            if serving and serving.count:
                self._autoscaler.adapt(serving, now)

    def _check_files(self, now: float) -> None:
        files = watched(self._settings)
        for option, path, kind in self._touches.look(files):
            self._log.info(f"{option} {path}: {log_messages.RELOADS[kind]}")
            self._fleet.reload_asked(kind, now)
        missing = {f"{file[0]} {file[1]}" for file in files if self._touches.missing(file)}
        for named in sorted(missing - self._missed):
            self._log.info(f"{named}: there is no such file yet; it is waited for")
        self._missed |= missing

    def _check_memory(self, now: float) -> None:
        """Mark workers as stuck that are larger than the evil limits."""
        if now < self._weigh_next:
            return
        self._weigh_next = now + self._settings.processes.mem_collector_freq
        limits = self._settings.processes
        if not limits.evil_reload_on_as and not limits.evil_reload_on_rss:
            return
        for _, worker in self._fleet.workers():
            if not worker.pid or worker.stuck:
                continue
            memory = self._probe.memory(worker.pid)
            if 0 < limits.evil_reload_on_as * MB < memory.space:
                worker.stuck = f"evil-reload-on-as {limits.evil_reload_on_as}: it has {memory.space / MB:.0f} MB"
            elif 0 < limits.evil_reload_on_rss * MB < memory.resident:
                worker.stuck = f"evil-reload-on-rss {limits.evil_reload_on_rss}: it has {memory.resident / MB:.0f} MB"
            else:
                continue
            worker.end_by = SIGKILL
