"""METRICS: everything a worker counts, one row each.

A row's constant is its place in `Seat.counters`: `seat.counters[REQUESTS] += 1`. Counters only grow and survive the
worker they were counted in (they are folded into its number's totals); gauges tell the present and end with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class MetricKind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: its name in statistics, what it says, and whether it only grows."""

    name: str
    help: str
    kind: MetricKind = MetricKind.COUNTER


METRICS: list[Metric] = []


def _row(name: str, help: str, kind: MetricKind = MetricKind.COUNTER) -> int:
    METRICS.append(Metric(name, help, kind))
    return len(METRICS) - 1


# The first four change with every request: Seat.account writes them at once, in this order.
REQUESTS = _row("requests", "Requests that were started.")
RUNNING_TIME_US = _row("running_time_us", "Time spent in requests, in microseconds.")
TX = _row("tx", "Bytes sent to clients.")
IN_FLIGHT = _row("in_flight", "Requests that are running.", MetricKind.GAUGE)
FULL = _row("full", "1 while all slots are taken: siblings look at it.", MetricKind.GAUGE)
EXCEPTIONS = _row("exceptions", "Requests whose application raised.")
HARAKIRIS = _row("harakiris", "Requests ended because they ran past their deadline.")
CLIENT_GONE = _row("client_gone", "Requests whose client left before the answer's end.")
REFUSED = _row("refused", "Requests refused before the application saw them: malformed, too large, too slow.")
OVERLOADED = _row("overloaded", "Requests answered 503 because no slot came free.")
BLOCKED_LOOPS = _row("blocked_loops", "Times that the loop stood still for longer than blocked-loop-warning.")
LOOP_LAG_US = _row("loop_lag_us", "How late the loop lately was, in microseconds.", MetricKind.GAUGE)
GREENLETS = _row("greenlets", "Greenlets made for connections; all other requests had one that was used before.")
