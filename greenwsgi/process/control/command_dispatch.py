"""Applies the commands of operators, whichever way they come, and answers their questions."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from signal import Signals
from typing import Any

from greenwsgi import __version__
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.control.commands import BY_NAME, Command
from greenwsgi.process.supervision.event_inbox import Answer, Asked, Signalled
from greenwsgi.process.supervision.fleet import Fleet, GenerationStage

QUESTIONS = ("ping", "status")


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How a reload ended."""

    ok: bool
    """A new generation serves."""
    said: str
    """What happened, in one line."""
    details: str = ""
    """The traceback of an application that cannot be loaded, or ""."""


class CommandDispatch:
    """Applies commands to the fleet, answers questions, and keeps clients waiting that ask how a reload ends.

    signals: the command of each signal. status: gives the answer to the question `status`.
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
        self._waiting: list[tuple[int, Answer]] = []
        """The answers that are due, each with the number of its reload."""

    def take(self, note: Signalled | Asked, now: float) -> None:
        """Apply a command, or answer a question."""
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
        reply = command.apply(self._fleet, now)
        name = f"{note.name}: " if note.by == "control socket" else ""
        self._log.info(f"{note.by}: {name}{reply.text}")
        if note.wait and command.reloads and reply.accepted:
            self._waiting.append((self._fleet.reloads, note.answer))
        else:
            note.answer({"ok": reply.accepted, "said": reply.text})

    def reloads_ended(self, reloads: range, outcome: CommandOutcome) -> None:
        """The reloads of these numbers have ended so: answer the clients that wait for them."""
        for answer in self._take(reloads):
            answer({"ok": outcome.ok, "said": outcome.said, "details": outcome.details})

    def hang_up(self, why: str) -> None:
        """Answer all clients that still wait."""
        self.reloads_ended(range(self._fleet.reloads + 1), CommandOutcome(False, why))

    def _take(self, reloads: range) -> list[Answer]:
        ended = [answer for number, answer in self._waiting if number in reloads]
        self._waiting = [one for one in self._waiting if one[0] not in reloads]
        return ended

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
