"""`python -m tests.soak [SCENARIO ...]`: the long runs, a line each; status 1 when one broke its promise."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tests.soak import faults, floods, handshakes, held, memory, reloads, slow

GAP = 0.2
RETURN = 0.5
GROWTH = 2e6
NOTICE = 1.0
WAIT = 0.1

Lines = Iterator[tuple[object, bool]]
"""What came of each run, and whether it kept its promise."""


def run_reloads(given: argparse.Namespace, *options: str) -> Lines:
    for kind in given.kind or reloads.KINDS:
        for workers in given.workers:
            run = reloads.run(kind, workers, given.reloads, *options)
            yield run, not run.failed and run.longest_gap < GAP
            for failure in run.failures[:5]:
                yield failure, False


def run_recycling(given: argparse.Namespace) -> Lines:
    yield from run_reloads(given, "--max-requests", "500", "--min-worker-lifetime", "0")


def run_kill(given: argparse.Namespace) -> Lines:
    killings = faults.workers(given.seconds)
    yield killings, killings.all_told and killings.longest_return < RETURN


def run_held(given: argparse.Namespace) -> Lines:
    notices = held.notices(100)
    yield notices, notices.longest_notice < NOTICE and held.MERCY - 1 < notices.gone < held.MERCY + 2


def run_memory(given: argparse.Namespace) -> Lines:
    growth = memory.growth(given.memory_reloads)
    same = all(before == after for before, after in (growth.master, growth.zygote, growth.worker))
    yield growth, growth.rss[1] - growth.rss[0] < GROWTH and same


def run_slow(given: argparse.Namespace) -> Lines:
    yield slow.felt(given.seconds / 4), True  # a figure, no promise: what a probe feels is the machine's as well


def run_handshakes(given: argparse.Namespace) -> Lines:
    halves = handshakes.halves(given.handshakes)
    yield halves, halves.closed == halves.lines == halves.sent and not halves.failed


def run_floods(given: argparse.Namespace) -> Lines:
    for flood in floods.FLOODS:
        for clients in floods.COUNTS:
            found = floods.beside(flood, clients, given.seconds / 12)
            yield found, found.beside[1] - found.alone[1] < WAIT


SCENARIOS: dict[str, Callable[[Any], Lines]] = {
    "reloads": run_reloads,
    "recycling": run_recycling,
    "kill": run_kill,
    "held": run_held,
    "memory": run_memory,
    "slow": run_slow,
    "handshakes": run_handshakes,
    "floods": run_floods,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], help="all of them, if none is named")
    parser.add_argument("--kind", action="append", choices=reloads.KINDS, help="kinds of reload; all")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--memory-reloads", type=int, default=200)
    parser.add_argument("--handshakes", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    kept_all = True
    for name in given.scenario or SCENARIOS:
        for line, kept in SCENARIOS[name](given):
            kept_all = kept_all and kept
            print(f"{'kept  ' if kept else 'BROKEN'} {name}: {line}", flush=True)
    return 0 if kept_all else 1


if __name__ == "__main__":
    sys.exit(main())
