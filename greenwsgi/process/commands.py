"""COMMANDS: what the operator can ask of a running server, one row a signal.

The letters of a fifo and the verbs of a control socket come to this table as well, when there are such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, Signals

from greenwsgi.process.fleet import Fleet, Reload, Stop


@dataclass(frozen=True, slots=True)
class Command:
    """One row. `apply(fleet, now)` writes down what is wanted; the plan does the rest."""

    name: str
    signal: Signals
    help: str
    apply: Callable[[Fleet, float], None]


def _stop(fleet: Fleet, now: float) -> None:
    fleet.stop_asked(Stop.GRACEFUL, now)


def _stop_now(fleet: Fleet, now: float) -> None:
    fleet.stop_asked(Stop.NOW, now)


def _reload(fleet: Fleet, now: float) -> None:
    fleet.reload_asked(Reload.WHOLE, now)


def _nothing(fleet: Fleet, now: float) -> None:
    """The signal's default would end the master."""


COMMANDS = (
    Command("reload", SIGHUP, "Load the application anew; the old workers leave when the new ones are ready.", _reload),
    Command("stop", SIGTERM, "Stop: finish what runs, within reload-mercy. A second time: at once.", _stop),
    Command("stop", SIGINT, "As SIGTERM.", _stop),
    Command("stop-now", SIGQUIT, "Stop at once.", _stop_now),
    Command("none", SIGUSR1, "Ignored.", _nothing),
    Command("none", SIGUSR2, "Ignored.", _nothing),
)

BY_SIGNAL = {command.signal: command for command in COMMANDS}
