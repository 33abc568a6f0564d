"""Waiting with deadlines: woken by the watcher, ended by the sweep, never both."""

from __future__ import annotations

import gevent
import pytest
from gevent.hub import get_hub

from greenwsgi.serve.deadlines import NEVER, Deadlines, PeerStalled


def test_a_wait_ends_when_its_watcher_fires() -> None:
    deadlines = Deadlines()
    deadlines.wait(get_hub().loop.timer(0), NEVER)
    assert deadlines.waiting == {}


def test_the_sweep_ends_those_whose_time_has_come() -> None:
    deadlines = Deadlines()
    ended: list[str] = []

    def waiter(name: str, until: float) -> None:
        try:
            deadlines.pause(until)
            ended.append(f"{name} woken")
        except PeerStalled:
            ended.append(f"{name} stalled")

    greenlets = [gevent.spawn(waiter, "early", 10.0), gevent.spawn(waiter, "late", 20.0)]
    gevent.idle()
    get_hub().loop.run_callback(deadlines.sweep, 9.9)
    gevent.idle()
    assert ended == []
    get_hub().loop.run_callback(deadlines.sweep, 10.0)
    gevent.idle()
    assert ended == ["early stalled"]
    assert list(deadlines.waiting) == [greenlets[1]]
    get_hub().loop.run_callback(greenlets[1].switch)
    gevent.joinall(greenlets)
    assert ended == ["early stalled", "late woken"]
    assert deadlines.waiting == {}


def test_one_that_is_ended_may_move_the_deadline_of_another() -> None:
    deadlines = Deadlines()
    stalled: list[str] = []

    def first() -> None:
        with pytest.raises(PeerStalled):
            deadlines.pause(1.0)
        stalled.append("first")
        deadlines.waiting[second] = NEVER

    def other() -> None:
        deadlines.pause(1.0)

    one = gevent.spawn(first)
    second = gevent.spawn(other)
    gevent.idle()
    get_hub().loop.run_callback(deadlines.sweep, 5.0)
    gevent.idle()
    assert stalled == ["first"]
    assert not second.dead
    second.kill()
    one.join()
