"""Metrics with labels, and histograms: their words, and what is made of them."""

from __future__ import annotations

import pytest

from greenwsgi.shared.metrics import (
    LOOP_LAG,
    METRICS,
    REFUSED,
    REQUESTS,
    WORD_NAMES,
    WORDS,
    MetricKind,
    Refused,
    observe,
)
from greenwsgi.shared.scoreboard import Scoreboard, Totals
from greenwsgi.shared.server_view import metrics_by_name

BOUNDS = next(metric.bounds for metric in METRICS if metric.first == LOOP_LAG)


def test_every_word_has_one_row_and_one_name() -> None:
    assert [metric.first for metric in METRICS[1:]] == [one.first + one.words for one in METRICS[:-1]]
    assert len(WORD_NAMES) == len(set(WORD_NAMES)) == WORDS


def test_a_label_has_a_word_for_each_value() -> None:
    names = WORD_NAMES[REFUSED : REFUSED + len(Refused)]
    assert names == ("refused{reason=request}", "refused{reason=address}")


@pytest.mark.parametrize(
    ("value", "bucket"), [(0, 0), (1_000, 0), (1_001, 1), (3_000_000, 7), (3_000_001, 8), (1 << 40, 8)]
)
def test_a_value_is_in_the_bucket_that_it_does_not_exceed(value: int, bucket: int) -> None:
    counters = [0] * WORDS
    observe(counters, LOOP_LAG, value)
    (found,) = (one for name, one in metrics_by_name(counters) if name == "loop_lag")
    assert found == {"bounds": list(BOUNDS), "counts": [int(at == bucket) for at in range(9)], "sum": value}


def test_what_is_shown_of_a_label() -> None:
    counters = [0] * WORDS
    counters[REFUSED + Refused.ADDRESS] = 2
    counters[REFUSED + Refused.REQUEST] = 3
    shown = dict(metrics_by_name(counters))
    assert shown["refused"] == 5
    assert shown["refused_by_reason"] == {"request": 3, "address": 2}


def test_a_dead_worker_s_counts_stay_and_survive_a_re_exec() -> None:
    board = Scoreboard.create(2, 1)
    try:
        seat = board.seats[0]
        seat.occupy(1, 1, 42)
        seat.counters[REQUESTS] = 7
        seat.counters[REFUSED + Refused.ADDRESS] = 2
        observe(seat.counters, LOOP_LAG, 5_000)
        totals = Totals()
        totals.fold(seat)
        image = Totals()
        image.restore(totals.named())
        shown = dict(metrics_by_name(image.of(1, [])))
    finally:
        board.close()
    assert shown["requests"] == 7
    assert shown["refused_by_reason"] == {"request": 0, "address": 2}
    assert shown["loop_lag"]["sum"] == 5_000
    assert sum(shown["loop_lag"]["counts"]) == 1


def test_what_an_older_greenwsgi_counted_without_a_label_is_kept() -> None:
    totals = Totals()
    totals.restore({1: {"refused": 4, "requests": 9, "unknown": 1}})
    shown = dict(metrics_by_name(totals.of(1, [])))
    assert (shown["refused"], shown["requests"]) == (4, 9)


def test_kinds_and_helps() -> None:
    assert {metric.kind for metric in METRICS} == set(MetricKind)
    assert all(metric.help.endswith(".") for metric in METRICS)
    assert all([*metric.bounds] == sorted(metric.bounds) for metric in METRICS)
