"""METRICS: everything a worker counts, one row each.

A row owns one or more consecutive words (u64) of `Seat.counters`; its constant is the place of the first one:
`seat.counters[REQUESTS] += 1`. Counters only grow and survive the worker they were counted in (they are folded into its
number's totals); gauges tell the present and end with it. A row with a label has one word for each of its values:
`seat.counters[REFUSED + Refused.ADDRESS] += 1`. A histogram has one word for each bucket, and one for the sum:
`observe(seat.counters, LOOP_LAG, microseconds)`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum


class MetricKind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row."""

    name: str
    """Its name in statistics."""
    help: str
    """What it says, in one sentence."""
    kind: MetricKind
    first: int
    """The place of its first word in `Seat.counters`."""
    label: str = ""
    """What its values are told apart by; "" for nothing."""
    values: tuple[str, ...] = ()
    """The values of the label. Their number is fixed."""
    bounds: tuple[int, ...] = ()
    """The upper bounds of a histogram's buckets, in increasing order. What is larger is in one more bucket."""

    @property
    def words(self) -> int:
        """How many words it has."""
        if self.kind is MetricKind.HISTOGRAM:
            return len(self.bounds) + 2
        return len(self.values) or 1

    @property
    def word_names(self) -> Iterator[str]:
        """A name for each of its words, by which they are known to another greenwsgi."""
        if self.kind is MetricKind.HISTOGRAM:
            yield from (f"{self.name}{{le={bound}}}" for bound in (*self.bounds, "inf"))
            yield f"{self.name}{{sum}}"
        elif self.label:
            yield from (f"{self.name}{{{self.label}={value}}}" for value in self.values)
        else:
            yield self.name


METRICS: list[Metric] = []


def _row(
    name: str,
    help: str,
    kind: MetricKind = MetricKind.COUNTER,
    *,
    label: str = "",
    values: type[IntEnum] | None = None,
    bounds: Sequence[int] = (),
) -> int:
    first = METRICS[-1].first + METRICS[-1].words if METRICS else 0
    texts = tuple(one.name.lower() for one in values) if values else ()
    METRICS.append(Metric(name, help, kind, first, label, texts, tuple(bounds)))
    return first


class Refused(IntEnum):
    """Why a client was refused before the application saw its request."""

    REQUEST = 0
    """It was malformed, too large or too slow."""
    ADDRESS = 1
    """The address may not connect, or holds too many connections."""


# The first four change with every request: Seat.account writes them at once, in this order.
REQUESTS = _row("requests", "Requests that were started.")
RUNNING_TIME_US = _row("running_time_us", "Time spent in requests, in microseconds.")
TX = _row("tx", "Bytes sent to clients.")
IN_FLIGHT = _row("in_flight", "Requests that are running.", MetricKind.GAUGE)
FULL = _row("full", "1 while all slots are taken: siblings look at it.", MetricKind.GAUGE)
EXCEPTIONS = _row("exceptions", "Requests whose application raised.")
HARAKIRIS = _row("harakiris", "Requests ended because they ran past their deadline.")
CLIENT_GONE = _row("client_gone", "Requests whose client left before the answer's end.")
REFUSED = _row("refused", "Clients refused before the application saw them.", label="reason", values=Refused)
OVERLOADED = _row("overloaded", "Requests answered 503 because no slot came free.")
BLOCKED_LOOPS = _row("blocked_loops", "Times that the loop stood still for longer than blocked-loop-warning.")
LOOP_LAG_US = _row("loop_lag_us", "How late the loop lately was, in microseconds.", MetricKind.GAUGE)
GREENLETS = _row("greenlets", "Greenlets made for connections; all other requests had one that was used before.")
LOOP_LAG = _row(
    "loop_lag",
    "How late the loop was at each look of the watchdog, in microseconds.",
    MetricKind.HISTOGRAM,
    bounds=(1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000),
)

WORDS = METRICS[-1].first + METRICS[-1].words
"""How many words all rows have together."""
WORD_NAMES = tuple(name for metric in METRICS for name in metric.word_names)
GAUGES = frozenset(metric.first for metric in METRICS if metric.kind is MetricKind.GAUGE)
"""The words that are gauges."""


def observe(counters: MutableSequence[int] | memoryview[int], histogram: int, value: int) -> None:
    """Count a value in a histogram: in its bucket, and in the sum."""
    metric = _histograms[histogram]
    counters[histogram + bisect_left(metric.bounds, value)] += 1
    counters[histogram + metric.words - 1] += value


_histograms = {metric.first: metric for metric in METRICS if metric.kind is MetricKind.HISTOGRAM}
