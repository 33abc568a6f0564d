"""The desk: where what operators ask comes in, whichever way, and where they get their answers."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from signal import Signals
from typing import Any

from greenwsgi import __version__
from greenwsgi.log.server import ServerLog
from greenwsgi.process.commands import BY_NAME, Command
from greenwsgi.process.fleet import Fleet, GenerationStage, Stop
from greenwsgi.process.inbox import Answer, Asked, Signalled

QUESTIONS = ("ping", "status")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reload ended. details: the traceback of an application that cannot be loaded, or ""."""

    ok: bool
    said: str
    details: str = ""


class Desk:
    """Applies commands to the fleet, answers questions, and keeps those waiting who want to know how a reload ends.

    signals: what each asks for. status: the answer to that question.
    """

    def __init__(
        self,
        fleet: Fleet,
        log: ServerLog,
        signals: Mapping[Signals, Command],
        status: Callable[[float], dict[str, Any]],
    ) -> None:
        self._fleet = fleet
        self._log = log
        self._signals = signals
        self._status = status
        self._waiting: list[Answer] = []
        self._outcome: Outcome | None = None

    def take(self, note: Signalled | Asked, now: float) -> None:
        """Do, or begin, what is asked for."""
        if isinstance(note, Signalled):
            command = self._signals[note.signal]
            note = Asked(command.name, note.signal.name)
        elif note.name in QUESTIONS:
            note.answer({"ok": True} | (self._ping() if note.name == "ping" else {"status": self._status(now)}))
            return
        elif note.name not in BY_NAME:
            note.answer({"ok": False, "said": _unknown(note.name)})
            return
        else:
            command = BY_NAME[note.name]
        said = command.apply(self._fleet, now)
        self._log.info(f"{note.by}: {said}" if note.by != "control socket" else f"{note.by}: {note.name}: {said}")
        refused = said.startswith("ignored")
        if note.wait and command.reloads and not refused:
            self._outcome = None
            self._waiting.append(note.answer)
        else:
            note.answer({"ok": not refused, "said": said})

    def reload_ended(self, outcome: Outcome) -> None:
        """A reload has come to this end. Whether it is the one that is waited for, `settle` knows."""
        self._outcome = outcome

    def settle(self) -> None:
        """Tell those who wait, once no reload is under way any more."""
        if not self._waiting or self._is_reloading():
            return
        outcome = self._outcome
        if self._fleet.stop is not Stop.NO:
            outcome = Outcome(False, "the server stops")
        if outcome is None:
            return
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer({"ok": outcome.ok, "said": outcome.said, "details": outcome.details})

    def hang_up(self, why: str) -> None:
        """Nobody is kept waiting any more."""
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer({"ok": False, "said": why})

    def _is_reloading(self) -> bool:
        return self._fleet.reload_wanted is not None or self._fleet.at(GenerationStage.RISING) is not None

    def _ping(self) -> dict[str, Any]:
        serving = self._fleet.at(GenerationStage.SERVING)
        return {
            "said": "pong",
            "pid": os.getpid(),
            "version": __version__,
            "generation": serving.number if serving else 0,
            "stop": self._fleet.stop.value,
        }


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name[:64], [*BY_NAME, *QUESTIONS], n=1, cutoff=0.6)
    return f"there is no command {name[:64]!r}" + (f", did you mean {near[0]}?" if near else "")
