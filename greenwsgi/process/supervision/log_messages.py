"""Texts of the master's log lines."""

from __future__ import annotations

from signal import Signals

from greenwsgi.process.supervision.fleet import Generation, GenerationStage, ReloadKind, WorkerState
from greenwsgi.shared.resources import BoundListener

RELOADS = {
    ReloadKind.WHOLE: "the application is loaded again",
    ReloadKind.CHAIN: "the application is loaded again, and workers are replaced one after the other",
    ReloadKind.WORKERS: "the application is loaded again, with the configuration as it was",
}


def ended(status: int | None) -> str:
    """How a process ended. status: its exit status, negative for a signal, None if it is not known."""
    if status is None:
        return "is gone"
    if status < 0:
        return f"died by signal {-status} ({_signal_name(-status)})"
    return f"ended with status {status}" if status else "ended"


def again(generation: Generation, worker: WorkerState, now: float) -> str:
    """Whether and when a dead worker's number is started again."""
    if worker.told is not None and not worker.stuck:
        return ""
    if generation.stage is GenerationStage.DRAINING or generation.team(worker.number):
        return ""
    wait = generation.wait(worker.number, now)
    before = " before it was ready" if worker.ready_at is None else ""
    return before + started_again(wait)


def started_again(wait: float) -> str:
    """That a process is started again. wait: in how many seconds."""
    return ", started again" + (f" in {wait:g} s" if wait > 0 else "")


def hastened(generation: Generation, most: int, seconds: float) -> str:
    """Why a generation that drains has no more time, and how little."""
    why = f"more than {most} generations drain (draining-generations)"
    return f"generation {generation.number} has {seconds:g} s left: {why}"


def cut(generation: Generation) -> str:
    """How a generation ended that had no more time."""
    requests = f"{generation.cut} request{'' if generation.cut == 1 else 's'}"
    return f"generation {generation.number} has ended, and {requests} of it did not finish"


def strength(generation: Generation) -> str:
    """`4 workers`, or `3 of 4 workers` and why one is missing."""
    serving, size = generation.serving(), generation.count
    if serving == size:
        return workers(size)
    return f"{serving} of {size} workers (others die before they are ready)"


def workers(count: int) -> str:
    """`1 worker`, `4 workers`."""
    return f"{count} worker{'' if count == 1 else 's'}"


def address(listener: BoundListener) -> str:
    """`http://127.0.0.1:8000`, `https://127.0.0.1:8443`, `uwsgi /run/app.sock` or `uwsgi over TLS /run/app.sock`."""
    if listener.protocol == "http" and not listener.name.startswith(("/", "@")):
        return f"http{'s' * listener.tls}://{listener.name}"
    return f"{listener.protocol}{' over TLS' * listener.tls} {listener.name}"


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:  # a real-time one
        return "a real-time signal"
