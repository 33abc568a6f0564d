"""When a worker has done its share."""

from __future__ import annotations

from math import inf

import pytest

from greenwsgi.options.table.processes import ProcessesOptions
from greenwsgi.shared.process_memory import MB, Memory
from greenwsgi.worker.worker_limits import WorkerLimits, measure


def reached(limits: WorkerLimits, requests: int = 0, age: float = 100.0, space: float = 0, resident: float = 0) -> str:
    return limits.reached(requests, age, lambda: Memory(int(space * MB), int(resident * MB)))


def test_no_limit() -> None:
    limits = WorkerLimits.of_worker(3, ProcessesOptions())
    assert not limits.any
    assert reached(limits, 10**9, 1e9, 1e6, 1e6) == ""


def test_later_workers_may_do_more() -> None:
    options = ProcessesOptions(
        max_requests=100, max_requests_delta=10, max_worker_lifetime=60, max_worker_lifetime_delta=5, reload_on_rss=7
    )
    assert WorkerLimits.of_worker(1, options) == WorkerLimits(100, 60, inf, 7 * MB, 10)
    assert WorkerLimits.of_worker(3, options) == WorkerLimits(120, 70, inf, 7 * MB, 10)
    assert not WorkerLimits.of_worker(3, ProcessesOptions(max_requests_delta=10)).any


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"requests": 99}, ""),
        ({"requests": 100}, "max-requests 100"),
        ({"requests": 100, "age": 9.9}, ""),
        ({"age": 200.0}, "max-worker-lifetime 200"),
        ({"space": 50}, ""),
        ({"space": 50.6}, "reload-on-as 50: it has 51 MB"),
        ({"resident": 30.6}, "reload-on-rss 30: it has 31 MB"),
        ({"resident": 30.6, "age": 9.9}, ""),
    ],
)
def test_limits(known: dict[str, float], expected: str) -> None:
    limits = WorkerLimits(requests=100, lifetime=200, space=50 * MB, resident=30 * MB, patience=10)
    assert reached(limits, **known) == expected  # type: ignore[arg-type]


def test_memory_is_not_measured_for_nothing() -> None:
    def must_not() -> Memory:
        raise AssertionError

    assert WorkerLimits(requests=100).reached(5, 5, must_not) == ""


def test_here() -> None:
    memory = measure()
    if memory.space == 0:
        pytest.skip("this system has no /proc that tells")
    assert 5 * MB < memory.resident <= memory.space
