"""How many workers are needed: algorithms that get a sample of the server's load once a second and return a change.

Each is a pure function of the sample, the options and its own state, so tables test it. The change is what the
algorithm wants; `decide` keeps it within the bounds and the memory limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from greenwsgi.options.table.cheaper import CheaperOptions

HALF = 0.5
"""A worker that is less busy than this is spare."""

CALM = 10
"""How many times longer it takes to end a worker than to add one: adding is urgent, ending is not."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """The server's load in one second."""

    count: int
    """How many workers are wanted at present."""
    busy: tuple[float, ...]
    """How busy each worker is that serves, 0 to 1."""
    backlog: int = 0
    """Connections that wait to be accepted."""
    resident: int = 0
    """Resident memory of all workers, in bytes; 0 if no option limits it."""


@dataclass(frozen=True, slots=True)
class AlgorithmState:
    """What an algorithm remembers from one round to the next."""

    need: int = 0
    """Rounds in a row in which more workers were needed."""
    calm: int = 0
    """Rounds in a row in which fewer would do."""
    rounds: int = 0
    """Rounds of the present window of `busyness`."""
    sum: float = 0.0
    """The sum of the averages of these rounds."""
    patience: int = 0
    """Additional rounds of calm before a worker is ended: a penalty for having ended one too soon."""
    ended: int = 1 << 30
    """Rounds since a worker was ended."""
    kept: int = 0
    """Rounds for which no worker is ended, after a backlog."""
    waited: int = 0
    """Seconds in a row with a backlog."""
    said: float = -1.0
    """The result of the last window, in percent; -1 for none."""


Algorithm = Callable[[LoadSample, CheaperOptions, AlgorithmState], tuple[int, AlgorithmState]]


def manual(sample: LoadSample, rules: CheaperOptions, state: AlgorithmState) -> tuple[int, AlgorithmState]:
    """Only operators change the count."""
    return 0, state


def spare(sample: LoadSample, rules: CheaperOptions, state: AlgorithmState) -> tuple[int, AlgorithmState]:
    """Always have a worker that is not busy. None for more than `overload` rounds: add; two for long: end one."""
    spares = sum(one < HALF for one in sample.busy)
    if not spares:
        if state.need >= rules.cheaper_overload:
            return rules.cheaper_step, AlgorithmState()
        return 0, AlgorithmState(need=state.need + 1)
    need = max(0, state.need - 1)
    calm = state.calm + 1 if spares > 1 and not need else 0
    if calm >= CALM * rules.cheaper_overload:
        return -1, AlgorithmState()
    return 0, AlgorithmState(need=need, calm=calm)


def backlog(sample: LoadSample, rules: CheaperOptions, state: AlgorithmState) -> tuple[int, AlgorithmState]:
    """More than `overload` connections wait: add. None waits for long: end one."""
    if sample.backlog > rules.cheaper_overload:
        return rules.cheaper_step, AlgorithmState()
    calm = 0 if sample.backlog else state.calm + 1
    return (-1, AlgorithmState()) if calm >= CALM else (0, AlgorithmState(calm=calm))


def busyness(sample: LoadSample, rules: CheaperOptions, state: AlgorithmState) -> tuple[int, AlgorithmState]:
    """Keep the average between two percentages, over windows of `overload` rounds; a backlog is an alarm at once."""
    state = replace(state, waited=state.waited + 1 if sample.backlog else 0)
    if sample.backlog > rules.cheaper_busyness_backlog_alert:
        return rules.cheaper_busyness_backlog_step, AlgorithmState(kept=rules.cheaper_busyness_backlog_multiplier)
    if state.waited >= rules.cheaper_busyness_backlog_nonzero:
        return 1, AlgorithmState(kept=rules.cheaper_busyness_backlog_multiplier)
    average = sum(sample.busy) / len(sample.busy) if sample.busy else 0.0
    state = replace(state, rounds=state.rounds + 1, sum=state.sum + average)
    if state.rounds < rules.cheaper_overload:
        return 0, state
    return _window(100 * state.sum / state.rounds, rules, state)


def _window(percent: float, rules: CheaperOptions, state: AlgorithmState) -> tuple[int, AlgorithmState]:
    """A window of busyness has ended."""
    wanted = rules.cheaper_busyness_multiplier + state.patience
    state = replace(state, rounds=0, sum=0.0, said=percent, kept=max(0, state.kept - 1), ended=state.ended + 1)
    if percent > rules.cheaper_busyness_max:
        soon = state.ended <= wanted
        patience = state.patience + rules.cheaper_busyness_penalty if soon else 0
        return rules.cheaper_step, replace(state, calm=0, patience=patience)
    if percent >= rules.cheaper_busyness_min:
        return 0, replace(state, calm=0)
    if state.calm + 1 >= wanted and not state.kept:
        return -1, replace(state, calm=0, ended=0)
    return 0, replace(state, calm=state.calm + 1)


ALGORITHMS: Mapping[str, Algorithm] = {
    "spare": spare,
    "spare2": spare,
    "backlog": backlog,
    "busyness": busyness,
    "manual": manual,
}


def decide(sample: LoadSample, most: int, rules: CheaperOptions, state: AlgorithmState) -> tuple[int, AlgorithmState]:
    """How many workers there are to be, from `cheaper` to `most`; none is added while some are still starting."""
    change, state = ALGORITHMS[rules.cheaper_algo](sample, rules, state)
    if rules.cheaper_rss_limit_hard and sample.resident > rules.cheaper_rss_limit_hard:
        change = -1
    too_large = rules.cheaper_rss_limit_soft and sample.resident > rules.cheaper_rss_limit_soft
    if change > 0 and (too_large or len(sample.busy) < sample.count):
        change = 0
    return max(rules.cheaper, min(most, sample.count + change)), state
