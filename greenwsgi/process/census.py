"""What nobody reports is looked at once a second: files that were touched."""

from __future__ import annotations

from collections.abc import Mapping

from greenwsgi.config.settings import Settings
from greenwsgi.log.server import ServerLog
from greenwsgi.process import words
from greenwsgi.process.cycle import Cycle
from greenwsgi.process.fleet import Fleet, GenerationStage
from greenwsgi.process.touch import Touches, watched

ROUND = 1.0


class Census:
    """Looks around, and writes down in the fleet what is wanted because of it, as an operator would."""

    def __init__(self, fleet: Fleet, cycles: Mapping[int, Cycle], log: ServerLog, first: Settings) -> None:
        self._fleet = fleet
        self._cycles = cycles
        self._log = log
        self._settings = first
        self._touches = Touches()
        self._next = 0.0
        self._missed: set[str] = set()

    def take(self, now: float) -> None:
        """Look, if it is time to."""
        if now < self._next:
            return
        self._next = now + ROUND
        if serving := self._fleet.at(GenerationStage.SERVING):
            self._settings = self._cycles[serving.number].settings
        self._look_at_files(now)

    def _look_at_files(self, now: float) -> None:
        files = watched(self._settings)
        for option, path, kind in self._touches.look(files):
            self._log.info(f"{option} {path}: {words.RELOADS[kind]}")
            self._fleet.reload_asked(kind, now)
        missing = {f"{file[0]} {file[1]}" for file in files if self._touches.missing(file)}
        for named in sorted(missing - self._missed):
            self._log.info(f"{named}: there is no such file yet; it is waited for")
        self._missed |= missing
