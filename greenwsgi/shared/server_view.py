"""What a running server looks like from outside: plain data, from which status output and statistics are made.

The master fills it (process/supervision/build_view.py). What shows it knows nothing of the fleet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from greenwsgi.shared.metrics import METRICS, MetricKind


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker."""

    worker: int
    """Its number, the same through all lives."""
    pid: int
    stage: str
    """booting, serving, paused, retiring or leaving."""
    age: float
    """Seconds."""
    memory: int
    """Resident bytes."""
    counters: tuple[int, ...]
    """The words of METRICS."""


@dataclass(frozen=True, slots=True)
class GenerationView:
    """One load of the application."""

    generation: int
    stage: str
    wanted: int
    """How many workers are wanted now."""
    zygote: int
    """The pid of its zygote, 0 for none."""
    age: float
    """Seconds since its zygote was started."""
    memory: int
    """Resident bytes of its zygote."""
    failure: str
    """Why it did not come up; "" if nothing failed."""
    workers: tuple[WorkerView, ...]


@dataclass(frozen=True, slots=True)
class ChildView:
    """A child of the server that is neither a zygote nor a worker."""

    role: str
    name: str
    pid: int
    """0 if no process runs."""
    stage: str
    """running, leaving, waiting (to be started) or ended."""
    age: float
    """Seconds since its process was started."""
    memory: int
    """Resident bytes."""


@dataclass(frozen=True, slots=True)
class WorkerTotals:
    """What one worker number has counted in all its lives."""

    worker: int
    respawns: int
    counters: tuple[int, ...]
    """The words of METRICS."""


@dataclass(frozen=True, slots=True)
class ServerView:
    """The whole server."""

    version: str
    pid: int
    """The master's."""
    state: str
    """serves, paused, or how it stops."""
    memory: int
    """Resident bytes of the master."""
    listeners: tuple[str, ...]
    """Their addresses."""
    generations: tuple[GenerationView, ...]
    children: tuple[ChildView, ...]
    """Those that belong to no generation."""
    totals: tuple[WorkerTotals, ...]

    def document(self) -> dict[str, Any]:
        """The view as plain JSON data; metrics by their names, see `metrics_by_name`."""
        return {
            **_without(self, "generations", "totals"),
            "listeners": list(self.listeners),
            "generations": [
                {**_without(one, "workers"), "workers": [_with_metrics(worker) for worker in one.workers]}
                for one in self.generations
            ],
            "totals": [_with_metrics(one) for one in self.totals],
        }


def metrics_by_name(counters: Sequence[int]) -> Iterator[tuple[str, Any]]:
    """Name and value of each metric.

    A metric with a label has its sum by its name, and a second entry with the count of each value:
    `refused` and `refused_by_reason`. A histogram is a dictionary of `bounds`, `counts` (one more) and `sum`.
    """
    for metric in METRICS:
        words = [*counters[metric.first : metric.first + metric.words]]
        if metric.kind is MetricKind.HISTOGRAM:
            yield metric.name, {"bounds": list(metric.bounds), "counts": words[:-1], "sum": words[-1]}
            continue
        yield metric.name, sum(words)
        if metric.label:
            yield f"{metric.name}_by_{metric.label}", dict(zip(metric.values, words, strict=True))


def _without(view: Any, *names: str) -> dict[str, Any]:
    found: Mapping[str, Any] = asdict(view)
    return {name: value for name, value in found.items() if name not in names}


def _with_metrics(view: WorkerView | WorkerTotals) -> dict[str, Any]:
    return _without(view, "counters") | dict(metrics_by_name(view.counters))
