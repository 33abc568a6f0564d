"""Children of the server by the facts of their role: tables, and a toy daemon in a world with reloads and re-execs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM

import pytest

from greenwsgi.process.lifecycle.handover import plain, typed
from greenwsgi.process.supervision import plan
from greenwsgi.process.supervision.child_roles import (
    ROLES,
    SERVER_CHILDREN,
    ChildProgram,
    ChildRole,
    ServerChildren,
    StartsWhen,
    StopsWhen,
    WantedChild,
)
from greenwsgi.process.supervision.child_state import ChildState
from greenwsgi.process.supervision.fleet import ABRUPT_MERCY, Fleet, GenerationStage, Stop
from greenwsgi.process.supervision.restart_backoff import RestartBackoff
from tests.process.test_handover import execute, handed_over
from tests.process.test_plan import NOW, fleet, generation, ready, words
from tests.process.world import World

DAEMON = ChildRole(name="daemon", mercy=5.0)
CLOCK = ChildProgram("clock", ["clockd", "--fast"])


def test_roles_have_names_of_their_own() -> None:
    rows = [*ROLES, *(row.role for row in SERVER_CHILDREN)]
    assert len({role.name for role in rows}) == len(rows)


# Tables


def state(role: ChildRole, **known: object) -> ChildState:
    made = ChildState(WantedChild(role, CLOCK))
    for name, value in known.items():
        setattr(made, name, value)
    return made


def with_child(child: ChildState, *generations: object, wanted: bool = True, **known: object) -> Fleet:
    made = fleet(*generations, **known)  # type: ignore[arg-type]
    made.children = [child]
    made.wanted = [child.wanted] if wanted else []
    return made


SERVES = (generation(1, GenerationStage.SERVING, ready(1, 0), ready(2, 1)),)
RISES = (generation(1, GenerationStage.RISING, zygote=None),)
DRAINS = (generation(1, GenerationStage.DRAINING, ready(1, 0), ready(2, 1)),)
EARLY = replace(DAEMON, starts=StartsWhen.BEFORE_WORKERS)
FIRST = replace(DAEMON, stops=StopsWhen.BEFORE_WORKERS)
TOGETHER = replace(DAEMON, stops=StopsWhen.WITH_WORKERS)
OTHER_SIGNAL = replace(DAEMON, stop_signal=SIGINT)
RELOADED = replace(DAEMON, survives_reload=False)


def running(role: ChildRole, **known: object) -> ChildState:
    return state(role, **{"pid": 50, "since": NOW - 60, "generation": 1, **known})


TABLE: dict[str, tuple[Callable[[], Fleet], list[str]]] = {
    "it starts when a generation serves": (
        lambda: with_child(state(DAEMON), *SERVES),
        ["start daemon clock"],
    ),
    "not before": (lambda: with_child(state(DAEMON), *RISES), ["StartZygote 1"]),
    "or before the workers": (
        lambda: with_child(state(EARLY), *RISES),
        ["start daemon clock", "StartZygote 1"],
    ),
    "its back-off is kept": (
        lambda: with_child(state(DAEMON, backoff=RestartBackoff(3, NOW + 0.1)), *SERVES),
        [],
    ),
    "and over": (
        lambda: with_child(state(DAEMON, backoff=RestartBackoff(3, NOW)), *SERVES),
        ["start daemon clock"],
    ),
    "one that is to run once has ended": (lambda: with_child(state(DAEMON, ended=True), *SERVES), []),
    "it runs": (lambda: with_child(running(DAEMON), *SERVES), []),
    "none starts in a stop": (
        lambda: with_child(state(DAEMON), *SERVES, stop=Stop.GRACEFUL, stop_since=NOW),
        ["Drain 1"],
    ),
    "it is not configured any more": (
        lambda: with_child(running(DAEMON), *SERVES, wanted=False),
        ["SIGTERM daemon clock until 5"],
    ),
    "its role has another signal": (
        lambda: with_child(running(OTHER_SIGNAL), *SERVES, wanted=False),
        ["SIGINT daemon clock until 5"],
    ),
    "it was told": (
        lambda: with_child(running(DAEMON, told=SIGTERM, kill_at=NOW + 1), *SERVES, wanted=False),
        [],
    ),
    "and does not leave": (
        lambda: with_child(running(DAEMON, told=SIGTERM, kill_at=NOW), *SERVES, wanted=False),
        ["SIGKILL daemon clock until inf"],
    ),
    "it was killed": (
        lambda: with_child(running(DAEMON, told=SIGKILL, kill_at=inf), *SERVES, wanted=False),
        [],
    ),
    "it survives a reload": (lambda: with_child(running(DAEMON, generation=0), *SERVES), []),
    "it does not survive a reload": (
        lambda: with_child(running(RELOADED, generation=9), *SERVES),
        ["SIGTERM daemon clock until 5"],
    ),
    "one that does not, of this generation": (lambda: with_child(running(RELOADED), *SERVES), []),
    "it is older than the image of the master": (
        lambda: with_child(running(DAEMON, outdated="x"), *SERVES),
        ["SIGTERM daemon clock until 5"],
    ),
    "in a stop it stays until the workers have left": (
        lambda: with_child(running(DAEMON), *SERVES, stop=Stop.GRACEFUL, stop_since=NOW),
        ["Drain 1"],
    ),
    "then it leaves": (
        lambda: with_child(running(DAEMON), stop=Stop.GRACEFUL, stop_since=NOW),
        ["SIGTERM daemon clock until 5"],
    ),
    "and the server stays until it has": (
        lambda: with_child(running(DAEMON, told=SIGTERM, kill_at=NOW + 1), stop=Stop.GRACEFUL, stop_since=NOW),
        [],
    ),
    "it has left": (lambda: with_child(state(DAEMON), stop=Stop.GRACEFUL, stop_since=NOW), ["finish"]),
    "together with the workers": (
        lambda: with_child(running(TOGETHER), *SERVES, stop=Stop.GRACEFUL, stop_since=NOW),
        ["SIGTERM daemon clock until 5", "Drain 1"],
    ),
    "it has no longer than the workers": (
        lambda: with_child(running(TOGETHER), *SERVES, stop=Stop.GRACEFUL, stop_since=NOW - 28),
        ["SIGTERM daemon clock until 2", "Drain 1"],
    ),
    "nor if it was told before": (
        lambda: with_child(
            running(TOGETHER, told=SIGTERM, kill_at=NOW + 4), *SERVES, stop=Stop.GRACEFUL, stop_since=NOW - 28
        ),
        ["SIGTERM daemon clock until 2", "Drain 1"],
    ),
    "before the workers": (
        lambda: with_child(running(FIRST, told=SIGTERM, kill_at=NOW + 5), *DRAINS, stop=Stop.GRACEFUL, stop_since=NOW),
        [],
    ),
    "and after it they leave": (
        lambda: with_child(state(FIRST), *DRAINS, stop=Stop.GRACEFUL, stop_since=NOW),
        ["SIGTERM 10 until 32", "SIGTERM 21 until 32"],
    ),
    "at once": (
        lambda: with_child(running(DAEMON, told=SIGTERM, kill_at=NOW + 5), stop=Stop.NOW, stop_since=NOW),
        [f"SIGTERM daemon clock until {ABRUPT_MERCY:g}"],
    ),
}


@pytest.mark.parametrize(("known", "expected"), TABLE.values(), ids=TABLE)
def test_what_becomes_of_it(known: Callable[[], Fleet], expected: list[str]) -> None:
    assert [words(action) for action in plan.plan(known(), NOW)] == expected


def test_it_travels() -> None:
    child = running(replace(FIRST, stop_signal=SIGINT), told=SIGTERM, kill_at=9.0, backoff=RestartBackoff(2, 1.0))
    assert typed(ChildState, plain(child)) == child


# A world in which one row makes a toy daemon


@contextmanager
def serving_with(tmp_path: Path, role: ChildRole = DAEMON, count: list[int] | None = None) -> Iterator[World]:
    """A server of two workers with so many daemons; `count` can be changed between two reloads."""
    number = count if count is not None else [1]
    names = ("clock", "bell", "lamp")
    row = ServerChildren(role, lambda _: [ChildProgram(name, [f"{name}d"]) for name in names[: number[0]]])
    with closing(World(tmp_path / "log", server_children=(row,))) as world:
        world.run(1.0)
        assert world.serving() == [(1, 1), (1, 2)]
        yield world


def running_pids(world: World) -> dict[str, int]:
    return {one.arguments[0]: one.pid for one in world.programs()}


def test_it_survives_reloads_and_reexecs(tmp_path: Path) -> None:
    with serving_with(tmp_path) as world:
        before = running_pids(world)
        assert list(before) == ["clockd"]
        world.signal(SIGHUP)
        world.run(5)
        assert (world.serving(), running_pids(world)) == ([(2, 1), (2, 2)], before)
        execute(world, handed_over(world))
        world.signal(SIGHUP)
        world.run(5)
        assert (world.serving(), running_pids(world)) == ([(3, 1), (3, 2)], before)
        assert world.master.status(world.now)["children"][0]["pid"] == before["clockd"]
        world.finish()
        assert world.signalled[-1] == (before["clockd"], SIGTERM)
        assert f"daemon clock (pid {before['clockd']}) leaves: the server stops" in world.log


@pytest.mark.parametrize("way", ["reload", "reexec"])
def test_one_that_survives_neither_is_replaced(tmp_path: Path, way: str) -> None:
    with serving_with(tmp_path, replace(DAEMON, survives_reload=False, survives_reexec=False)) as world:
        before = running_pids(world)
        if way == "reload":
            world.signal(SIGHUP)
        else:
            execute(world, handed_over(world))
        world.run(5)
        after = running_pids(world)
        assert list(after) == ["clockd"]
        assert after != before
        why = "generation 2 serves" if way == "reload" else "the master was executed again"
        assert f"daemon clock (pid {before['clockd']}) leaves: {why}" in world.log
        world.finish()


def test_it_is_started_again_at_once_or_later_and_later(tmp_path: Path) -> None:
    with serving_with(tmp_path) as world:
        world.run(20)
        world.die(world.programs()[0], 3)
        world.run(1)
        assert "ended with status 3, started again\n" in world.log
        waits = []
        for _ in range(13):
            died, starts = world.now, world.log.count("is started")
            world.die(world.programs()[0], 3)
            while world.log.count("is started") == starts:
                world.step()
            waits.append(world.now - died)
        assert waits[1:] == [0, 0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30], "the first had run for a second"
        assert "ended with status 3, started again in 30 s\n" in world.log
        world.finish()


def test_one_that_runs_once_is_not_started_again(tmp_path: Path) -> None:
    with serving_with(tmp_path, replace(DAEMON, restarts=False)) as world:
        (child,) = world.programs()
        world.die(child, 0)
        world.signal(SIGHUP)
        world.run(60)
        assert world.programs() == []
        assert world.master.status(world.now)["children"][0]["stage"] == "ended"
        assert "ended\n" in world.log
        world.finish()


def test_the_configuration_of_the_next_generation_says_which_there_are(tmp_path: Path) -> None:
    count = [1]
    with serving_with(tmp_path, DAEMON, count) as world:
        before = running_pids(world)
        count[0] = 3
        world.signal(SIGHUP)
        world.run(5)
        assert running_pids(world).keys() == {"clockd", "belld", "lampd"}
        assert running_pids(world)["clockd"] == before["clockd"]
        count[0] = 0
        world.load = lambda generation: "fail"
        world.signal(SIGHUP)
        world.run(5)
        assert len(running_pids(world)) == 3, "a reload that fails changes nothing"
        world.load = lambda generation: "ok"
        world.signal(SIGHUP)
        world.run(5)
        assert running_pids(world) == {}
        assert world.master.fleet.children == []
        world.finish()


def test_one_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    with serving_with(tmp_path, DAEMON, count := [0]) as world:
        world.no_programs, count[0] = True, 1
        world.signal(SIGHUP)
        world.run(5)
        assert "daemon clock cannot be started: [Errno 11] Resource temporarily unavailable" in world.log
        assert world.log.count("cannot be started") < 12
        world.no_programs = False
        world.run(40)
        assert list(running_pids(world)) == ["clockd"]
        world.finish()


@pytest.mark.parametrize("number", [SIGTERM, SIGQUIT])
@pytest.mark.parametrize("stops", StopsWhen)
def test_a_stop_ends_it(tmp_path: Path, number: int, stops: StopsWhen) -> None:
    with serving_with(tmp_path, replace(DAEMON, stops=stops)) as world:
        (child,) = world.programs()
        workers = [one.pid for one in world.workers()]
        world.finish(SIGTERM if number == SIGTERM else SIGQUIT)
        order = [pid for pid, _ in world.signalled]
        earlier = stops is not StopsWhen.AFTER_WORKERS
        assert (order.index(child.pid) < min(map(order.index, workers))) is earlier


def test_one_that_does_not_leave_is_killed_and_a_stop_ends(tmp_path: Path) -> None:
    with serving_with(tmp_path) as world:
        (child,) = world.programs()
        world.stubborn = True
        world.finish()
        assert (child.pid, SIGKILL) in world.signalled


def test_a_master_without_its_role_ends_it(tmp_path: Path) -> None:
    with serving_with(tmp_path) as world:
        (child,) = world.programs()
        world.setup = replace(world.setup, server_children=())
        execute(world, handed_over(world))
        world.run(5)
        assert world.programs() == []
        assert f"daemon clock (pid {child.pid}) leaves: it is not configured any more" in world.log
        world.finish()
