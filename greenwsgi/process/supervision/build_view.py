"""The server as it is, for status output and statistics: a ServerView of the fleet and its scoreboards."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from greenwsgi import __version__
from greenwsgi.process.supervision import log_messages
from greenwsgi.process.supervision.child_state import ChildState
from greenwsgi.process.supervision.fleet import Fleet, Generation, Stop, WorkerStage, WorkerState
from greenwsgi.process.supervision.generation_resources import GenerationResources
from greenwsgi.shared import process_memory
from greenwsgi.shared.resources import BoundListener
from greenwsgi.shared.scoreboard import Seat, Totals
from greenwsgi.shared.server_view import ChildView, GenerationView, ServerView, WorkerTotals, WorkerView


def build_view(
    fleet: Fleet,
    cycles: Mapping[int, GenerationResources],
    totals: Totals,
    starts: Mapping[int, int],
    listeners: Iterable[BoundListener],
    now: float,
) -> ServerView:
    """The view at this moment. starts: how often each worker number was started. now: monotonic seconds."""
    seats = [seat for cycle in cycles.values() for seat in cycle.board.seats if seat.number]
    numbers = sorted({seat.number for seat in seats} | set(starts))
    return ServerView(
        version=__version__,
        pid=os.getpid(),
        state=_state(fleet),
        memory=process_memory.of(os.getpid()).resident,
        listeners=tuple(log_messages.address(listener) for listener in listeners),
        generations=tuple(_generation(one, cycles[one.number], now) for one in fleet.generations),
        children=tuple(_child(one, now) for one in fleet.children),
        totals=tuple(
            WorkerTotals(number, max(0, starts.get(number, 0) - 1), tuple(totals.of(number, seats)))
            for number in numbers
        ),
    )


def _state(fleet: Fleet) -> str:
    if fleet.stop is not Stop.NO:
        return f"stops {fleet.stop.value}"
    return "paused" if fleet.paused else "serves"


def _generation(generation: Generation, cycle: GenerationResources, now: float) -> GenerationView:
    zygote = generation.zygote
    workers = sorted(generation.workers.values(), key=lambda worker: worker.number)
    return GenerationView(
        generation=generation.number,
        stage=generation.stage.value,
        wanted=generation.count,
        zygote=zygote.pid if zygote else 0,
        age=round(now - zygote.since, 1) if zygote else 0,
        memory=process_memory.of(zygote.pid).resident if zygote else 0,
        failure=generation.failure,
        workers=tuple(_worker(worker, cycle.board.seats[worker.seat], now) for worker in workers),
    )


def _worker(worker: WorkerState, seat: Seat, now: float) -> WorkerView:
    return WorkerView(
        worker=worker.number,
        pid=worker.pid,
        stage=_stage(worker),
        age=round(now - worker.since, 1),
        memory=process_memory.of(worker.pid).resident,
        counters=tuple(seat.counters),
    )


def _child(child: ChildState, now: float) -> ChildView:
    return ChildView(
        role=child.wanted.role.name,
        name=child.wanted.program.name,
        pid=child.pid,
        stage=_child_stage(child),
        age=round(now - child.since, 1) if child.pid else 0,
        memory=process_memory.of(child.pid).resident if child.pid else 0,
    )


def _child_stage(child: ChildState) -> str:
    if child.pid:
        return "running" if child.told is None else "leaving"
    return "ended" if child.ended else "waiting"


def _stage(worker: WorkerState) -> str:
    if worker.stage is WorkerStage.SERVING:
        return "retiring" if worker.retiring else "paused" if worker.paused else "serving"
    return "booting" if worker.stage in (WorkerStage.ASKED, WorkerStage.BOOTING) else "leaving"
