"""COMMANDS: what the operator can ask of a running server, one row each.

A row can be asked for by its signals, by its letters on a master-fifo (uWSGI's letters), and by its name on the control
socket. docs/operating.md shows the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from signal import (
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGURG,
    SIGUSR1,
    SIGUSR2,
    SIGWINCH,
    Signals,
)

from greenwsgi.process.supervision import log_messages
from greenwsgi.process.supervision.fleet import Errand, Fleet, GenerationStage, ReloadKind, Stop


@dataclass(frozen=True, slots=True)
class CommandReply:
    """What becomes of a command; it goes to the log and to the client that asked."""

    text: str
    """In one line; of a command that is not accepted it begins with `ignored`."""
    accepted: bool = True
    """False: nothing has changed."""


def _ignored(why: str) -> CommandReply:
    return CommandReply(f"ignored: {why}", accepted=False)


Apply = Callable[[Fleet, float], CommandReply]
"""Writes down in the fleet what is wanted, which the plan then does."""


@dataclass(frozen=True, slots=True)
class Command:
    """One row. `reloads`: its success shows only when a generation serves, so one can wait for it."""

    name: str
    help: str
    apply: Apply
    signals: tuple[Signals, ...] = ()
    letters: str = ""
    reloads: bool = False


def _reload(kind: ReloadKind, *, now_or_never: bool = False) -> Apply:
    def apply(fleet: Fleet, now: float) -> CommandReply:
        if fleet.stop is not Stop.NO:
            return _ignored("the server stops")
        fleet.reload_asked(kind, now, hurry=now_or_never)
        return CommandReply(log_messages.RELOADS[kind])

    return apply


def _stop(how: Stop) -> Apply:
    def apply(fleet: Fleet, now: float) -> CommandReply:
        before = fleet.stop
        fleet.stop_asked(how, now)
        if fleet.stop is before:
            return _ignored(f"the server stops {fleet.stop.value} already")
        mercy = f", within reload-mercy {fleet.reload_mercy:g}" if fleet.stop is Stop.GRACEFUL else ""
        return CommandReply(f"the server stops {fleet.stop.value}{mercy}")

    return apply


def _pause(fleet: Fleet, now: float) -> CommandReply:
    if fleet.paused:
        return _ignored("the server is paused already")
    fleet.paused = True
    return CommandReply("paused: workers accept no connections, which wait in the backlog")


def _resume(fleet: Fleet, now: float) -> CommandReply:
    if not fleet.paused:
        return _ignored("the server is not paused")
    fleet.paused = False
    return CommandReply("resumed: workers accept connections again")


def _pause_or_resume(fleet: Fleet, now: float) -> CommandReply:
    return _resume(fleet, now) if fleet.paused else _pause(fleet, now)


def _workers(change: int) -> Apply:
    def apply(fleet: Fleet, now: float) -> CommandReply:
        if fleet.stop is not Stop.NO:
            return _ignored("the server stops")
        count = fleet.workers_asked(change)
        return CommandReply(f"{log_messages.workers(count)} will run") if count else _ignored("no worker will run")

    return apply


def _cheap(fleet: Fleet, now: float) -> CommandReply:
    """As idleness does; a generation that rises takes over without workers too."""
    if fleet.stop is not Stop.NO:
        return _ignored("the server stops")
    shall_run = [one for one in fleet.generations if one.stage is not GenerationStage.DRAINING and one.count]
    if not shall_run:
        return _ignored("no worker runs already")
    for generation in shall_run:
        generation.count = 0
    return CommandReply("no worker will run until a connection comes")


def _errand(errand: Errand) -> Apply:
    def apply(fleet: Fleet, now: float) -> CommandReply:
        if errand not in fleet.errands:
            fleet.errands.append(errand)
        return CommandReply(errand.value)

    return apply


def _reexec(fleet: Fleet, now: float) -> CommandReply:
    if fleet.stop is not Stop.NO:
        return _ignored("the server stops")
    return _errand(Errand.REEXEC)(fleet, now)


def _nothing(why: str) -> Apply:
    return lambda fleet, now: _ignored(why)


COMMANDS = (
    Command(
        "reload",
        "Read the configuration and load the application again. The old workers leave when the new ones are ready;"
        " if they never are, the old ones serve on.",
        _reload(ReloadKind.WHOLE),
        (SIGHUP,),
        "r",
        reloads=True,
    ),
    Command(
        "reload-now",
        "The same, but then the old workers have one second to finish.",
        _reload(ReloadKind.WHOLE, now_or_never=True),
        letters="R",
        reloads=True,
    ),
    Command(
        "reload-chain",
        "Load the application again, and replace the workers one after the other.",
        _reload(ReloadKind.CHAIN),
        letters="c",
        reloads=True,
    ),
    Command(
        "reload-workers",
        "Load the application again, with the configuration as it was.",
        _reload(ReloadKind.WORKERS),
        letters="w",
        reloads=True,
    ),
    Command(
        "reload-workers-now",
        "The same, but then the old workers have one second to finish.",
        _reload(ReloadKind.WORKERS, now_or_never=True),
        letters="W",
        reloads=True,
    ),
    Command(
        "reexec",
        "Execute the master again, after an upgrade of greenwsgi or Python: same pid, same sockets. Then reload. What"
        " could not start is not executed.",
        _reexec,
        (SIGUSR2,),
        "f",
    ),
    Command(
        "stop",
        "Stop: finish what runs and what waits to be accepted, within reload-mercy. A second time: at once.",
        _stop(Stop.GRACEFUL),
        (SIGTERM, SIGINT),
        "q",
    ),
    Command("stop-now", "Stop at once.", _stop(Stop.NOW), (SIGQUIT,), "Q"),
    Command("pause", "Accept no connections: they wait in the backlog. Those that are open go on.", _pause),
    Command("resume", "Accept connections again.", _resume),
    Command("pause-or-resume", "Whichever of the two changes something.", _pause_or_resume, (SIGTSTP,), "p"),
    Command("more-workers", "One worker more.", _workers(+1), (SIGTTIN,), "+"),
    Command("fewer-workers", "One worker less.", _workers(-1), (SIGTTOU,), "-"),
    Command(
        "statistics", "Write what `greenwsgi status` shows to the log.", _errand(Errand.STATISTICS), (SIGUSR1,), "s"
    ),
    Command("reopen-log", "Open the file of logto again; it was moved away.", _errand(Errand.REOPEN_LOG), letters="l"),
    Command(
        "rotate-log",
        "Move the file of logto away, to its name and the time in seconds, and open a new one.",
        _errand(Errand.ROTATE_LOG),
        letters="L",
    ),
    Command("write-pidfile", "Write the pidfile again.", _errand(Errand.WRITE_PIDFILE), letters="P"),
    Command(
        "wake",
        "Ignored: there is no spooler here.",
        _nothing("there is no spooler to wake"),
        (SIGURG, SIGWINCH),
    ),
    Command(
        "cheap",
        "End all workers; they finish what runs. The next connection brings back as many as the server begins with.",
        _cheap,
        letters="C",
    ),
    Command(
        "emperor",
        "Ignored: there is no emperor here.",
        _nothing("there is no emperor"),
        letters="BE",
    ),
    Command(
        "subscriptions",
        "Ignored: there are no subscriptions here.",
        _nothing("there are no subscriptions"),
        letters="S",
    ),
)

BY_NAME = {command.name: command for command in COMMANDS}
BY_LETTER = {letter: command for command in COMMANDS for letter in command.letters}
BY_SIGNAL = {signal: command for command in COMMANDS for signal in command.signals}


def by_signal(sigterm_reloads: bool) -> Mapping[Signals, Command]:
    """What each signal asks for; with uWSGI's old meaning SIGTERM reloads at once."""
    return BY_SIGNAL | {SIGTERM: BY_NAME["reload-now"]} if sigterm_reloads else BY_SIGNAL
