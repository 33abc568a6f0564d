"""How many workers are needed: each algorithm as a story of looks, one a second, and the counts it gives."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest

from greenwsgi.options.table.cheaper import ALGORITHM_NAMES, CheaperOptions
from greenwsgi.process.supervision.autoscaling_algorithms import ALGORITHMS, AlgorithmState, LoadSample, decide

MB = 1 << 20
RULES = CheaperOptions(cheaper=1, cheaper_overload=3)


def story(rules: CheaperOptions, *looks: tuple[int, float, int], most: int = 4, count: int = 1) -> list[int]:
    """The counts, each as often as it changed to it. looks: how many seconds, how busy every worker, the backlog."""
    mood, counts = AlgorithmState(), [count]
    for seconds, busy, queue in looks:
        for _ in range(seconds):
            count, mood = decide(LoadSample(count, (busy,) * count, queue), most, rules, mood)
            counts.append(count)
    return [one for one, _ in groupby(counts)]


def rules(name: str, **known: Any) -> CheaperOptions:
    return replace(RULES, cheaper_algo=name, **known)


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (((100, 0.1, 0),), [1]),
        (((3, 0.9, 0),), [1]),
        (((4, 0.9, 0),), [1, 2]),
        (((8, 0.9, 0),), [1, 2, 3]),
        (((100, 0.9, 0),), [1, 2, 3, 4]),
        (((3, 0.9, 0), (1, 0.1, 0), (1, 0.9, 0)), [1]),
        (((4, 0.9, 0), (29, 0.1, 0)), [1, 2]),
        (((4, 0.9, 0), (30, 0.1, 0)), [1, 2, 1]),
        (((4, 0.9, 0), (20, 0.1, 0), (1, 0.9, 0), (29, 0.1, 0)), [1, 2]),
        (((100, 0.9, 0), (400, 0.0, 0)), [1, 2, 3, 4, 3, 2, 1]),
    ],
)
def test_spare(looks: tuple[tuple[int, float, int], ...], expected: list[int]) -> None:
    assert story(rules("spare"), *looks) == expected
    assert story(rules("spare2"), *looks) == expected


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (((10, 1.0, 3),), [1]),
        (((1, 0.0, 4),), [1, 2]),
        (((10, 0.0, 4),), [1, 2, 3, 4]),
        (((1, 0.0, 4), (9, 0.0, 0)), [1, 2]),
        (((1, 0.0, 4), (11, 0.0, 0)), [1, 2, 1]),
        (((1, 0.0, 4), (9, 0.0, 0), (1, 0.0, 1), (9, 0.0, 0)), [1, 2]),
    ],
)
def test_backlog(looks: tuple[tuple[int, float, int], ...], expected: list[int]) -> None:
    assert story(rules("backlog"), *looks) == expected


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (((100, 0.4, 0),), [1]),
        (((2, 0.9, 0),), [1]),
        (((3, 0.9, 0),), [1, 2]),
        (((1, 0.0, 0), (2, 0.9, 0)), [1, 2]),
        (((100, 0.9, 0),), [1, 2, 3, 4]),
        (((3, 0.9, 0), (30, 0.1, 0)), [1, 2, 1]),
        (((3, 0.9, 0), (27, 0.1, 0), (3, 0.3, 0), (27, 0.1, 0)), [1, 2]),
        (((1, 0.0, 34),), [1, 2]),
        (((1, 0.0, 33),), [1]),
        (((59, 0.3, 1),), [1]),
        (((60, 0.3, 1),), [1, 2]),
    ],
)
def test_busyness(looks: tuple[tuple[int, float, int], ...], expected: list[int]) -> None:
    assert story(rules("busyness"), *looks) == expected


def test_busyness_is_patient_when_it_was_wrong() -> None:
    """A worker that is needed again soon after one was ended: the next one is ended two windows later."""
    wrong = ((3, 0.9, 0), (30, 0.1, 0), (3, 0.9, 0))
    assert story(rules("busyness"), *wrong) == [1, 2, 1, 2]
    assert story(rules("busyness"), *wrong, (35, 0.1, 0)) == [1, 2, 1, 2]
    assert story(rules("busyness"), *wrong, (36, 0.1, 0)) == [1, 2, 1, 2, 1]


def test_busyness_after_a_backlog() -> None:
    """Two workers at once, and none of them is ended for five windows."""
    alarm = rules(
        "busyness",
        cheaper_busyness_backlog_step=2,
        cheaper_busyness_backlog_multiplier=5,
        cheaper_busyness_multiplier=1,
    )
    assert story(alarm, (1, 0.0, 99), (12, 0.0, 0)) == [1, 3]
    assert story(alarm, (1, 0.0, 99), (15, 0.0, 0)) == [1, 3, 2]


def test_manual() -> None:
    assert story(rules("manual"), (500, 1.0, 99), count=2) == [2]


@pytest.mark.parametrize("name", ALGORITHM_NAMES)
def test_bounds(name: str) -> None:
    one = rules(name, cheaper=2, cheaper_step=10)
    for looks in (((500, 1.0, 99),), ((500, 0.0, 0),)):
        assert set(story(one, *looks, count=3)) <= {2, 3, 4}
    assert name in ALGORITHMS


def test_none_is_added_while_those_asked_for_are_missing() -> None:
    count, _ = decide(LoadSample(3, (1.0, 1.0), 50), 4, rules("backlog"), AlgorithmState())
    assert count == 3


def test_memory_limits() -> None:
    limits = rules("backlog", cheaper_rss_limit_soft=100 * MB, cheaper_rss_limit_hard=200 * MB)
    for resident, expected in ((99, 3), (101, 2), (201, 1)):
        assert decide(LoadSample(2, (1.0, 1.0), 50, resident * MB), 4, limits, AlgorithmState())[0] == expected
    assert decide(LoadSample(1, (1.0,), 50, 201 * MB), 4, limits, AlgorithmState())[0] == 1, "never below cheaper"
