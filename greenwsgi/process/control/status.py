"""What a running server looks like: plain data for tools, and a table for people."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from greenwsgi import __version__
from greenwsgi.process.supervision import log_messages
from greenwsgi.process.supervision.fleet import Fleet, Generation, Stop, WorkerStage, WorkerState
from greenwsgi.process.supervision.generation_resources import GenerationResources
from greenwsgi.shared import process_memory
from greenwsgi.shared.messages import BoundListener
from greenwsgi.shared.metrics import METRICS
from greenwsgi.shared.scoreboard import Seat, Totals


def snapshot(
    fleet: Fleet,
    cycles: Mapping[int, GenerationResources],
    totals: Totals,
    starts: Mapping[int, int],
    listeners: Iterable[BoundListener],
    now: float,
) -> dict[str, Any]:
    """The server as it is. Ages in seconds, memory in bytes; `totals` by worker number, over all its lives."""
    seats = [seat for cycle in cycles.values() for seat in cycle.board.seats if seat.number]
    numbers = sorted({seat.number for seat in seats} | set(starts))
    return {
        "version": __version__,
        "pid": os.getpid(),
        "state": _state(fleet),
        "memory": process_memory.of(os.getpid()).resident,
        "listeners": [log_messages.address(listener) for listener in listeners],
        "generations": [_generation(generation, cycles[generation.number], now) for generation in fleet.generations],
        "totals": [
            {"worker": number, "respawns": max(0, starts.get(number, 0) - 1), **_named(totals.of(number, seats))}
            for number in numbers
        ],
    }


def _state(fleet: Fleet) -> str:
    if fleet.stop is not Stop.NO:
        return f"stops {fleet.stop.value}"
    return "paused" if fleet.paused else "serves"


def _generation(generation: Generation, cycle: GenerationResources, now: float) -> dict[str, Any]:
    zygote = generation.zygote
    return {
        "generation": generation.number,
        "stage": generation.stage.value,
        "wanted": generation.count,
        "zygote": zygote.pid if zygote else 0,
        "age": round(now - zygote.since, 1) if zygote else 0,
        "memory": process_memory.of(zygote.pid).resident if zygote else 0,
        "failure": generation.failure,
        "workers": [
            _worker(worker, cycle.board.seats[worker.seat], now)
            for worker in sorted(generation.workers.values(), key=lambda worker: worker.number)
        ],
    }


def _worker(worker: WorkerState, seat: Seat, now: float) -> dict[str, Any]:
    return {
        "worker": worker.number,
        "pid": worker.pid,
        "stage": _stage(worker),
        "age": round(now - worker.since, 1),
        "memory": process_memory.of(worker.pid).resident,
        **_named(seat.counters),
    }


def _stage(worker: WorkerState) -> str:
    if worker.stage is WorkerStage.SERVING:
        return "retiring" if worker.retiring else "paused" if worker.paused else "serving"
    return "booting" if worker.stage in (WorkerStage.ASKED, WorkerStage.BOOTING) else "leaving"


def _named(counters: Iterable[int]) -> dict[str, int]:
    return {metric.name: count for metric, count in zip(METRICS, counters, strict=True)}


# For people

_COLUMNS: tuple[str, ...] = (
    "generation",
    "worker",
    "pid",
    "stage",
    "age",
    "memory",
    "requests",
    "in flight",
    "exceptions",
    "harakiris",
)
_COUNTED: tuple[str, ...] = (
    *("worker", "respawns", "requests", "exceptions", "harakiris", "client gone", "refused", "overloaded"),
)


def table(status: Mapping[str, Any]) -> str:
    """Some lines about the server, a row for each zygote and worker, and what each worker number counted so far."""
    listeners = ", ".join(status["listeners"])
    lines = [
        f"greenwsgi {status['version']} {status['state']}: {listeners} (pid {status['pid']}, {_size(status['memory'])})"
    ]
    rows = [_COLUMNS]
    for generation in status["generations"]:
        rows.append(_zygote_row(generation))
        rows += [_worker_row(generation["generation"], worker) for worker in generation["workers"]]
    lines += _aligned(rows)
    lines += [f"generation {one['generation']}: {one['failure']}" for one in status["generations"] if one["failure"]]
    totals = [_COUNTED]
    totals += [tuple(str(one[name.replace(" ", "_")]) for name in _COUNTED) for one in status["totals"]]
    return "\n".join([*lines, "since the start:", *_aligned(totals)]) + "\n"


def _zygote_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    pid = str(one["zygote"] or "-")
    return (str(one["generation"]), "zygote", pid, one["stage"], _age(one["age"]), _size(one["memory"]), *[""] * 4)


def _worker_row(generation: int, one: Mapping[str, Any]) -> tuple[str, ...]:
    counts = (str(one[name]) for name in ("requests", "in_flight", "exceptions", "harakiris"))
    pid = str(one["pid"] or "-")
    return (str(generation), str(one["worker"]), pid, one["stage"], _age(one["age"]), _size(one["memory"]), *counts)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _age(seconds: float) -> str:
    """`12.3s`, `5m03s`, `2h05m`, `3d04h`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 24 else f"{hours // 24}d{hours % 24:02}h"


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f}M" if size else "-"
