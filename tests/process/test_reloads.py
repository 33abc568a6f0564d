"""Reloads that meet each other: what is left of one that failed, or that another one took the place of."""

from __future__ import annotations

from signal import SIGHUP

import pytest

from greenwsgi.process.fleet import Reload
from greenwsgi.shared.messages import Word
from tests.process.world import NOT_LONG, World

# In a hurry


def test_a_reload_in_a_hurry_cuts_requests(serving: World) -> None:
    serving.stubborn = True
    serving.command("R")
    serving.run(4)
    assert serving.serving() == [(2, 1), (2, 2)]
    serving.stubborn = False
    serving.finish()


def test_the_hurry_of_a_reload_that_failed_is_over(serving: World) -> None:
    serving.load = lambda generation: "fail"
    serving.command("R")
    serving.run(NOT_LONG)
    serving.load, serving.stubborn = (lambda generation: "ok"), True
    serving.master.fleet.reload_asked(Reload.WHOLE, serving.now)  # as a touched file does
    serving.run(30)
    assert serving.serving() == [(1, 1), (1, 2), (3, 1), (3, 2)], "the old workers have their mercy"
    serving.stubborn = False
    serving.finish()


def test_the_hurry_of_a_reload_is_not_spent_on_the_one_before(serving: World) -> None:
    serving.boot, serving.stubborn = (lambda generation, number: "never"), True
    serving.signal(SIGHUP)
    serving.run(NOT_LONG)
    serving.command("R")
    serving.boot = lambda generation, number: "ok"
    for worker in serving.workers()[2:]:
        worker.ready = True
        serving.say(worker, Word.READY)
    serving.run(10)
    assert serving.serving() == [(1, 1), (1, 2), (3, 1), (3, 2)], "those of the second generation had to hurry alone"
    serving.stubborn = False
    serving.finish()


@pytest.mark.parametrize("moment", [0, NOT_LONG], ids=["asked for at once", "while it loads"])
def test_a_reload_after_one_in_a_hurry_is_in_a_hurry_too(serving: World, moment: float) -> None:
    serving.load, serving.stubborn = (lambda generation: "never"), True
    serving.command("R")
    serving.run(moment)
    serving.load = lambda generation: "ok"
    serving.signal(SIGHUP)
    serving.run(5)
    newest = serving.master.fleet.born
    assert serving.serving() == [(newest, 1), (newest, 2)]
    serving.stubborn = False
    serving.finish()
