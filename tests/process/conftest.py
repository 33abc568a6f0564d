"""A pretended world, and one that serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.world import NOT_LONG, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "log")
    yield world
    world.close()


@pytest.fixture
def serving(world: World) -> World:
    world.run(NOT_LONG)
    assert world.serving() == [(1, 1), (1, 2)]
    return world
