"""Slots: as many as there are, in line when there are none, none lost whatever happens to those who wait."""

from __future__ import annotations

import gevent
import pytest
from gevent.hub import get_hub

from greenwsgi.serve.deadlines import NEVER, Deadlines
from greenwsgi.serve.request_slots import Overloaded, RequestSlots


def test_the_highest_free_slot_is_taken_first_as_uwsgi_does() -> None:
    slots = RequestSlots(3, Deadlines())
    assert [slots.take(), slots.take()] == [2, 1]
    slots.give(2)
    assert slots.take() == 2


def test_those_in_line_are_served_in_order() -> None:
    slots = RequestSlots(1, Deadlines(), 5)
    held = slots.take()
    served: list[str] = []

    def request(name: str) -> None:
        core = slots.take()
        served.append(name)
        slots.give(core)

    greenlets = [gevent.spawn(request, name) for name in ("a", "b", "c")]
    gevent.idle()
    assert served == []
    assert len(slots.queue) == 3
    slots.give(held)
    gevent.joinall(greenlets)
    assert served == ["a", "b", "c"]
    assert slots.free == [0]


def test_one_that_waited_too_long_leaves_the_line() -> None:
    deadlines = Deadlines()
    slots = RequestSlots(1, deadlines)
    held = slots.take()
    waiting = gevent.spawn(pytest.raises, Overloaded, slots.take, 5.0)
    gevent.idle()
    get_hub().loop.run_callback(deadlines.sweep, 5.0)
    waiting.join()
    assert waiting.successful()
    assert not slots.queue
    slots.give(held)
    assert slots.free == [0]


def test_a_slot_given_to_one_that_is_just_being_ended_goes_on_to_the_next() -> None:
    slots = RequestSlots(1, Deadlines(), 5)
    held = slots.take()
    doomed, lucky = gevent.spawn(slots.take), gevent.spawn(slots.take)
    gevent.idle()
    doomed.kill(block=False)
    slots.give(held)  # doomed is still first in line
    assert lucky.get() == held
    assert slots.free == []


def test_an_early_wake_does_not_get_a_slot() -> None:
    slots = RequestSlots(1, Deadlines(), 5)
    held = slots.take(NEVER)
    waiting = gevent.spawn(slots.take)
    gevent.idle()
    get_hub().loop.run_callback(waiting.switch)
    gevent.idle()
    assert not waiting.dead
    slots.give(held)
    assert waiting.get() == held


def test_a_full_line_turns_others_away_at_once() -> None:
    slots = RequestSlots(1, Deadlines(), 1)
    held = slots.take()
    waiting = gevent.spawn(slots.take)
    gevent.idle()
    with pytest.raises(Overloaded, match="queue-size"):
        slots.take()
    slots.give(held)
    assert waiting.get() == held


def test_the_line_is_as_long_as_there_are_slots_unless_said_otherwise() -> None:
    assert RequestSlots(7, Deadlines()).most_waiting == 7
    assert RequestSlots(7, Deadlines(), 0).most_waiting == 0
