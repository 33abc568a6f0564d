"""What systemd is told, and when."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGTERM

import pytest

from greenwsgi.log.server import ServerLog
from greenwsgi.process.notify import Notifier
from tests.process.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "log")
    yield world
    world.close()


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_reloading_ready_stopping(world: World, tmp_path: Path, abstract: bool) -> None:
    address = f"@greenwsgi-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if abstract else address)
        listening.setblocking(False)
        notifier = Notifier(world.master.fleet, {"NOTIFY_SOCKET": address}, world.master._log)
        said: list[str] = []

        def pass_time() -> None:
            until = world.now + 3
            while world.now < until and not world.over:
                world.step()
                notifier.look()
                with_more = True
                while with_more:
                    try:
                        said.append(listening.recv(4096).decode())
                    except BlockingIOError:
                        with_more = False

        pass_time()
        world.signal(SIGHUP)
        pass_time()
        world.signal(SIGTERM)
        pass_time()
    ready = f"READY=1\nMAINPID={os.getpid()}\nSTATUS=generation {{}} serves with 2 workers"
    assert said[0] == ready.format(1)
    assert said[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert said[2:] == [ready.format(2), "STOPPING=1"]


def test_one_that_is_not_there_is_given_up(world: World, tmp_path: Path) -> None:
    notifier = Notifier(world.master.fleet, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}, world.master._log)
    world.run(1)
    notifier.look()
    notifier.look()
    assert world.log.count("nothing more is told there") == 1


def test_nobody_asked(world: World) -> None:
    world.run(1)
    Notifier(world.master.fleet, {}, ServerLog()).look()
