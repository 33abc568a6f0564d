"""Random stories of deaths, reloads and broken applications, in the world of pretended processes."""

from __future__ import annotations

import functools
import gc
import os
import tempfile
from pathlib import Path
from signal import SIGHUP, SIGQUIT, SIGTERM, Signals

from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.process.supervision.fleet import ABRUPT_MERCY, MOST_DRAINING, GenerationStage
from tests.process.world import NOT_LONG, World

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("reload", "now", "chain", "workers", "count", "crowd"),
                *("kill-worker", "kill-zygote", "retire", "stubborn", "nothing"),
            ]
        ),
        st.integers(0, 9),
        st.sampled_from(["ok", "ok", "ok", "fail", "crash", "never"]),
        st.sampled_from(["ok", "ok", "ok", "die", "never"]),
        st.sampled_from([0.0, 0.0, 0.25, 3.0, 70.0]),
    ),
    max_size=25,
)


FIXED = ("processes=2",)
BY_NEED = ("processes=4", "cheaper=2", "cheaper-algo=backlog", "idle=50")


@given(EVENTS, st.sampled_from([FIXED, BY_NEED]), st.sampled_from([SIGTERM, SIGQUIT]))
def test_whatever_happens_it_comes_back_and_leaves_nothing(
    events: list[tuple[str, int, str, str, float]], options: tuple[str, ...], stop: Signals
) -> None:
    """Any story of deaths, reloads and broken applications ends, once all is well again, with one whole generation."""
    gc.collect()  # masters of other tests that were executed again: their maps have descriptors
    before = os.listdir("/dev/fd")
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "log", *options)
        world.run(NOT_LONG)
        for what, which, load, boot, pause in events:
            world.load, world.boot = functools.partial(_say, load), functools.partial(_say, boot)
            happen(world, what, which)
            world.step()
            world.run(pause)
            assert not world.over, "nothing of that ends a server that has served"
            world.run(ABRUPT_MERCY + 0.5)
            assert draining(world) <= MOST_DRAINING
        world.stubborn = False
        world.load, world.boot = functools.partial(_say, "ok"), functools.partial(_say, "ok")
        world.signal(SIGHUP)
        world.knocking, world.queue = True, 0
        until = world.now + 400
        while world.now < until and not is_well(world):
            world.step()
        world.run(NOT_LONG)
        (zygote,) = world.zygotes()
        assert world.serving() == [(zygote.generation, 1), (zygote.generation, 2)]
        assert len(world.workers()) == 2
        assert len(world.master.cycles) == len(world.master.fleet.generations) == 1
        world.finish(stop)
        world.close()
    assert os.listdir("/dev/fd") == before


def is_well(world: World) -> bool:
    """One generation, all of which serves, and nothing is under way."""
    generations = world.master.fleet.generations
    wanted = world.master.fleet.reload_wanted is not None or bool(world._notes)
    return not wanted and len(generations) == 1 and len(world.workers()) == len(world.serving()) == 2


def draining(world: World) -> int:
    """How many generations have workers that were told to leave, and no other ones."""
    generations = [one for one in world.master.fleet.generations if one.stage is GenerationStage.DRAINING]
    return sum(1 for one in generations if one.workers and all(worker.told for worker in one.workers.values()))


def _say(how: str, *_: int) -> str:
    return how


def happen(world: World, what: str, which: int) -> None:
    """One of EVENTS; a death or a retirement only if there is somebody."""
    workers, zygotes = world.workers(), world.zygotes()
    letters = {"reload": "r", "now": "R", "chain": "c", "workers": "w", "count": "+-"[which % 2]}
    if what in letters:
        world.command(letters[what])
    elif what == "stubborn":
        world.stubborn = which % 2 == 0
    elif what == "crowd":
        world.queue, world.knocking = which, which > 4
    elif what == "kill-worker" and workers:
        world.die(workers[which % len(workers)], -9)
    elif what == "kill-zygote" and zygotes:
        world.die(zygotes[which % len(zygotes)], -9)
    elif what == "retire" and workers:
        world.retire(workers[which % len(workers)], "max-requests 5")
    else:
        assert what in ("nothing", "kill-worker", "kill-zygote", "retire")
