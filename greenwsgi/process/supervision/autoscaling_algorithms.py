"""How many workers are needed: algorithms that are given a look at the server once a second, and say a change.

Each is a pure function of the look, the rules and its own mood, so tables test it. A change is what the algorithm
wants; `decide` keeps it within the bounds and the memory limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from greenwsgi.options.table.cheaper import CheaperOptions

HALF = 0.5
"""A worker that is less busy than this is spare."""

CALM = 10
"""So many rounds as overload takes to add a worker, one is ended later than that: adding is urgent, ending is not."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """The server in one second. count: workers that there shall be. busy: of each that serves, 0 to 1. backlog:
    connections that wait to be accepted. resident: bytes of all workers."""

    count: int
    busy: tuple[float, ...]
    backlog: int = 0
    resident: int = 0


@dataclass(frozen=True, slots=True)
class AlgorithmState:
    """What an algorithm remembers. need: how often in a row there was need, calm: there was none.

    rounds, sum: of busyness' present window. patience: rounds of calm that are wanted more, as a penalty. ended: rounds
    since a worker was ended. kept: rounds for which nobody is ended. waited: seconds in a row with a backlog. said: the
    last window's result in percent.
    """

    need: int = 0
    calm: int = 0
    rounds: int = 0
    sum: float = 0.0
    patience: int = 0
    ended: int = 1 << 30
    kept: int = 0
    waited: int = 0
    said: float = -1.0


Algorithm = Callable[[LoadSample, CheaperOptions, AlgorithmState], tuple[int, AlgorithmState]]


def manual(look: LoadSample, rules: CheaperOptions, mood: AlgorithmState) -> tuple[int, AlgorithmState]:
    """Only operators change the count."""
    return 0, mood


def spare(look: LoadSample, rules: CheaperOptions, mood: AlgorithmState) -> tuple[int, AlgorithmState]:
    """Always have a worker that is not busy. None for more than `overload` rounds: add; two for long: end one."""
    spares = sum(one < HALF for one in look.busy)
    if not spares:
        if mood.need >= rules.cheaper_overload:
            return rules.cheaper_step, AlgorithmState()
        return 0, AlgorithmState(need=mood.need + 1)
    need = max(0, mood.need - 1)
    calm = mood.calm + 1 if spares > 1 and not need else 0
    if calm >= CALM * rules.cheaper_overload:
        return -1, AlgorithmState()
    return 0, AlgorithmState(need=need, calm=calm)


def backlog(look: LoadSample, rules: CheaperOptions, mood: AlgorithmState) -> tuple[int, AlgorithmState]:
    """More than `overload` connections wait: add. None waits for long: end one."""
    if look.backlog > rules.cheaper_overload:
        return rules.cheaper_step, AlgorithmState()
    calm = 0 if look.backlog else mood.calm + 1
    return (-1, AlgorithmState()) if calm >= CALM else (0, AlgorithmState(calm=calm))


def busyness(look: LoadSample, rules: CheaperOptions, mood: AlgorithmState) -> tuple[int, AlgorithmState]:
    """Keep the average between two percentages, over windows of `overload` rounds; a backlog is an alarm at once."""
    mood = replace(mood, waited=mood.waited + 1 if look.backlog else 0)
    if look.backlog > rules.cheaper_busyness_backlog_alert:
        return rules.cheaper_busyness_backlog_step, AlgorithmState(kept=rules.cheaper_busyness_backlog_multiplier)
    if mood.waited >= rules.cheaper_busyness_backlog_nonzero:
        return 1, AlgorithmState(kept=rules.cheaper_busyness_backlog_multiplier)
    average = sum(look.busy) / len(look.busy) if look.busy else 0.0
    mood = replace(mood, rounds=mood.rounds + 1, sum=mood.sum + average)
    if mood.rounds < rules.cheaper_overload:
        return 0, mood
    return _window(100 * mood.sum / mood.rounds, rules, mood)


def _window(percent: float, rules: CheaperOptions, mood: AlgorithmState) -> tuple[int, AlgorithmState]:
    """A window of busyness has ended."""
    wanted = rules.cheaper_busyness_multiplier + mood.patience
    mood = replace(mood, rounds=0, sum=0.0, said=percent, kept=max(0, mood.kept - 1), ended=mood.ended + 1)
    if percent > rules.cheaper_busyness_max:
        soon = mood.ended <= wanted
        patience = mood.patience + rules.cheaper_busyness_penalty if soon else 0
        return rules.cheaper_step, replace(mood, calm=0, patience=patience)
    if percent >= rules.cheaper_busyness_min:
        return 0, replace(mood, calm=0)
    if mood.calm + 1 >= wanted and not mood.kept:
        return -1, replace(mood, calm=0, ended=0)
    return 0, replace(mood, calm=mood.calm + 1)


ALGORITHMS: Mapping[str, Algorithm] = {
    "spare": spare,
    "spare2": spare,
    "backlog": backlog,
    "busyness": busyness,
    "manual": manual,
}


def decide(look: LoadSample, most: int, rules: CheaperOptions, mood: AlgorithmState) -> tuple[int, AlgorithmState]:
    """How many workers there shall be, from `cheaper` to `most`; none is added while those asked for are not there."""
    change, mood = ALGORITHMS[rules.cheaper_algo](look, rules, mood)
    if rules.cheaper_rss_limit_hard and look.resident > rules.cheaper_rss_limit_hard:
        change = -1
    too_large = rules.cheaper_rss_limit_soft and look.resident > rules.cheaper_rss_limit_soft
    if change > 0 and (too_large or len(look.busy) < look.count):
        change = 0
    return max(rules.cheaper, min(most, look.count + change)), mood
