"""What systemd is told, and when."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGHUP, SIGTERM
from typing import NoReturn

import pytest

from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.lifecycle.systemd_notify import SystemdNotifier
from tests.process.world import World


class Systemd:
    """Its end of the socket; said: all that came. `pass_time` lets the world live, with a notifier in it."""

    def __init__(self, world: World, address: str) -> None:
        self.said: list[str] = []
        self._world = world
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self._notifier = SystemdNotifier(world.master.fleet, {"NOTIFY_SOCKET": address}, world.master._log)

    def close(self) -> None:
        self._socket.close()

    def pass_time(self) -> None:
        until = self._world.now + 3
        while self._world.now < until and not self._world.over:
            self._world.step()
            self._notifier.look()
            with suppress(BlockingIOError):
                while True:
                    self.said.append(self._socket.recv(4096).decode())


@pytest.fixture
def systemd(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Systemd]:
    abstract = getattr(request, "param", False)
    systemd = Systemd(world, f"@greenwsgi-test-{os.getpid()}" if abstract else str(tmp_path / "notify"))
    yield systemd
    systemd.close()


READY = f"READY=1\nMAINPID={os.getpid()}\nSTATUS=generation {{}} serves with 2 workers"
RELOADING = "RELOADING=1\nMONOTONIC_USEC="


@pytest.mark.parametrize("systemd", [False, True], ids=["path", "abstract"], indirect=True)
def test_ready_reloading_ready_stopping(world: World, systemd: Systemd) -> None:
    systemd.pass_time()
    world.signal(SIGHUP)
    systemd.pass_time()
    world.signal(SIGTERM)
    systemd.pass_time()
    ready, reloading, *rest = systemd.said
    assert ready == READY.format(1)
    assert reloading.startswith(RELOADING)
    assert rest == [READY.format(2), "STOPPING=1"]


def test_a_reload_that_is_refused_began_all_the_same(world: World, systemd: Systemd) -> None:
    """systemctl reload waits for the word."""
    systemd.pass_time()
    with world.refusing("x.ini:1: no"):
        world.signal(SIGHUP)
        systemd.pass_time()
    ready, reloading, *rest = systemd.said
    assert ready == READY.format(1)
    assert reloading.startswith(RELOADING)
    assert rest == [ready]


def test_a_reload_that_meets_another_has_a_word_of_its_own(world: World, systemd: Systemd) -> None:
    systemd.pass_time()
    world.load = lambda generation: "never"
    for _ in range(2):
        world.signal(SIGHUP)
        systemd.pass_time()
    world.load = lambda generation: "ok"
    systemd.pass_time()
    _, first, second, *rest = systemd.said
    assert first.startswith(RELOADING)
    assert second.startswith(RELOADING)
    assert len(first) < len(second) or first < second, "with a time of its own"
    assert rest == [READY.format(3)]


def test_one_that_is_not_there_is_given_up(world: World, tmp_path: Path) -> None:
    notifier = SystemdNotifier(world.master.fleet, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}, world.master._log)
    world.run(1)
    notifier.look()
    notifier.look()
    assert world.log.count("nothing more is told there") == 1


def test_without_a_descriptor_it_is_told_later(world: World, systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("greenwsgi.process.lifecycle.systemd_notify.socket.socket", none_left)
        systemd._world.run(1)
        systemd._notifier.look()
    systemd.pass_time()
    assert systemd.said == [READY.format(1)]


def test_nobody_asked(world: World) -> None:
    world.run(1)
    SystemdNotifier(world.master.fleet, {}, ServerLog()).look()
