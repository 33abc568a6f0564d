"""What the master does when it cannot have what it needs, or errs: it refuses, goes on, and can be stopped."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from signal import SIGHUP, SIGKILL, SIGTERM
from typing import NoReturn

import pytest

from greenwsgi.errors import USAGE_STATUS
from tests.process.world import NOT_LONG, World

SCOREBOARD = "greenwsgi.shared.scoreboard"
SHORTAGES = {
    "memory": (f"{SCOREBOARD}.mmap.mmap", errno.ENOMEM),
    "a descriptor": (f"{SCOREBOARD}.anonymous_file", errno.EMFILE),
    "another descriptor": ("greenwsgi.process.supervision.generation_resources.anonymous_file", errno.EMFILE),
}
short_of = pytest.mark.parametrize(("function", "number"), SHORTAGES.values(), ids=SHORTAGES.keys())


def fail_with(number: int) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@short_of
def test_without_room_for_a_scoreboard_a_reload_is_refused(
    function: str, number: int, serving: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.listdir("/dev/fd")
    with monkeypatch.context() as patch:
        patch.setattr(function, fail_with(number))
        serving.signal(SIGHUP)
        serving.run(NOT_LONG)
    assert os.listdir("/dev/fd") == before
    assert re.search(rf"reload refused, nothing has changed: no .*: {os.strerror(number)}", serving.log)
    assert serving.serving() == [(1, 1), (1, 2)]
    serving.finish()


@short_of
def test_without_room_for_a_scoreboard_the_server_does_not_start(
    function: str, number: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function, fail_with(number))
    world.run(NOT_LONG)
    assert world.over
    assert world.master.fleet.exit_status == USAGE_STATUS
    assert world.log.count("\n") == 1
    assert "the server cannot start: no " in world.log


def test_zygotes_that_cannot_be_started_leave_nothing_open(serving: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("greenwsgi.process.supervision.generation_resources.anonymous_file", fail_with(errno.EMFILE))
        serving.die(serving.zygotes()[0], -SIGKILL)
        serving.run(NOT_LONG)
        before = os.listdir("/dev/fd")
        serving.run(20)
        assert os.listdir("/dev/fd") == before
    serving.run(30)
    assert len(serving.zygotes()) == 1
    serving.finish()


def test_a_stop_is_planned_for_whatever_else_goes_wrong(serving: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(serving, "reap", None)
        serving.signal(SIGTERM)
        serving.step()
    assert serving.log.count("in the master, which goes on") == 1
    assert "the server stops gracefully" in serving.log
    serving.step()
    assert serving.workers() == []
