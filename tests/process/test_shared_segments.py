"""Shared memory of the server as a whole: one row of a table, over reloads and re-execs, for zygotes and workers."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from signal import SIGHUP

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.process.supervision import shared_resources
from greenwsgi.process.supervision.master import Master
from greenwsgi.process.supervision.shared_segments import SEGMENTS, Segment
from greenwsgi.shared.descriptor_numbers import file_of
from greenwsgi.shared.resources import SharedMemory
from tests.process.test_handover import execute, handed_over
from tests.process.world import World

TOY = Segment("toy", lambda settings: 4096 * settings.processes.processes)
NONE = Segment("none", lambda settings: 0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two workers of a server with a segment."""
    world = World(tmp_path / "log", segments=(*SEGMENTS, TOY, NONE))
    world.run(1.0)
    assert world.serving() == [(1, 1), (1, 2)]
    yield world
    world.close()


def content(fd: int) -> bytes:
    return os.pread(fd, 3, 0)


def all_open() -> list[tuple[int, int] | None]:
    return [file_of(int(fd)) for fd in os.listdir("/dev/fd")]


def test_zygotes_get_it_over_a_reload_and_a_reexec(world: World) -> None:
    (first,) = world.zygotes()
    fd = first.resources.fd("toy")
    assert os.fstat(fd).st_size == 8192
    assert first.resources.fd("none") == -1
    os.pwrite(fd, b"abc", 0)
    toy = file_of(fd)

    world.signal(SIGHUP)
    world.run(5)
    (second,) = world.zygotes()
    assert (second.generation, content(second.resources.fd("toy"))) == (2, b"abc")

    handed = handed_over(world)
    assert handed.resources.find("toy") == SharedMemory(fd, "toy")
    assert fd in handed.descriptors()
    execute(world, handed)
    world.signal(SIGHUP)
    world.run(5)
    (third,) = world.zygotes()
    assert (third.generation, content(third.resources.fd("toy"))) == (3, b"abc")
    world.finish()
    assert toy not in all_open()


def test_one_that_is_no_row_any_more_is_given_back(world: World) -> None:
    handed = handed_over(world)
    toy = file_of(handed.resources.fd("toy"))
    assert toy in all_open()
    world.master = Master(replace(world.setup, fleet=handed.fleet, handed=handed, segments=()))
    assert toy not in all_open()
    world.finish()


def test_no_memory_is_the_operators_mistake_and_leaves_nothing_open(world: World) -> None:
    gc.collect()  # masters of other tests that were executed again: their maps have descriptors
    before = os.listdir("/dev/fd")
    huge = Segment("huge", lambda settings: -1)
    with pytest.raises(UsageError, match=r"no shared memory of -1 bytes for huge: Invalid argument"):
        shared_resources.take(replace(world.setup, segments=(TOY, huge)))
    assert os.listdir("/dev/fd") == before
