"""A user who owns the folder of the server's places swaps names there, at every moment of the start and of the end.

Each system call that the server makes on the way is one moment: the places are taken again and again, and the user acts
before the first call, before the second, and so on. Whatever he does, nothing of root's changes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.errors import Origin, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.options.listen_addresses import Unix
from greenwsgi.options.table.listening import ListeningOptions
from greenwsgi.options.value_types import Address
from greenwsgi.process.control.control_socket import ControlSocket
from greenwsgi.process.control.master_fifo import MasterFifos
from greenwsgi.process.lifecycle import boot
from greenwsgi.process.lifecycle.pidfile import Pidfile
from greenwsgi.process.lifecycle.start_directory import StartDirectory
from greenwsgi.process.lifecycle.user_identity import Identity, Owner
from greenwsgi.process.listening import binding
from greenwsgi.process.supervision.event_inbox import EventInbox
from greenwsgi.shared.hooks import Hooks
from greenwsgi.shared.safe_paths import open_log

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to lose to another user")

USER = 65534
CALLS = (
    *("open", "mkdir", "mkfifo", "chmod", "chown", "fchmod", "fchown", "link", "rename", "unlink", "rmdir", "symlink"),
    *("stat", "lstat", "readlink", "listdir", "chdir", "fchdir", "utime"),
)
MOST_MOMENTS = 400


class World:
    """The user's folder, and root's files outside of it that he wants to reach."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "users" / "run"
        self.root = place / "roots"
        self.victim = self.root / "app"
        for folder in (self.folder.parent, self.folder, self.root):
            folder.mkdir(mode=0o755)
        for folder in (self.folder.parent, self.folder):
            os.chown(folder, USER, USER)
        self.sub = self.folder / "sub"
        self.sub.mkdir(mode=0o755)
        os.chown(self.sub, USER, USER)
        self.victim.write_text("precious\n")
        self.victim.chmod(0o600)
        (self.root / "empty").mkdir(mode=0o700)
        self.before = self.look()

    def look(self) -> dict[str, object]:
        """All that must stay as it is; how many names a file has is the user's doing."""
        found: dict[str, object] = {".": sorted(os.listdir(self.root)), "text": self.victim.read_text()}
        for path in (self.root, self.victim, self.root / "empty"):
            seen = path.lstat()
            found[str(path)] = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_ino)
        return found | {"empty": os.listdir(self.root / "empty")}


Attack = Callable[[World, str], None]


def by_link(world: World, name: str) -> None:
    """The name leads to root's file, or to root's folder."""
    path = world.folder / name
    is_folder = path.is_dir() and not path.is_symlink()
    _move_away(path)
    path.symlink_to(world.root if is_folder else world.victim)
    os.chown(path, USER, USER, follow_symlinks=False)


def by_roots_link(world: World, name: str) -> None:
    """The same, with a link that root has left in the folder for another purpose; the user can rename it."""
    by_link(world, name)
    os.chown(world.folder / name, 0, 0, follow_symlinks=False)


def by_hard_link(world: World, name: str) -> None:
    """The name is root's file, where the kernel lets a user make such a link (fs.protected_hardlinks = 0)."""
    path = world.folder / name
    if not path.is_dir() or path.is_symlink():
        _move_away(path)
        os.link(world.victim, path)


def by_fifo(world: World, name: str) -> None:
    path = world.folder / name
    _move_away(path)
    os.mkfifo(path)
    os.chown(path, USER, USER)


def by_folder(world: World, name: str) -> None:
    """The whole folder leads to root's, where there is a file of that name."""
    if not world.folder.is_symlink():
        _move_away(world.folder)
        world.folder.symlink_to(world.root)
        os.chown(world.folder, USER, USER, follow_symlinks=False)


def by_nothing(world: World, name: str) -> None:
    """What is there is taken away."""
    _move_away(world.folder / name)


def _move_away(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.rename(path.with_name(f"{path.name}.moved"))


ATTACKS = (by_link, by_roots_link, by_hard_link, by_folder, by_fifo, by_nothing)


class Moments:
    """Counts the calls, and lets the user act before the one of that number."""

    def __init__(self, patch: pytest.MonkeyPatch, world: World, attack: Attack, moment: int) -> None:
        self.passed = 0
        self._acts = False
        self._world, self._attack, self._moment = world, attack, moment
        for name in CALLS:
            patch.setattr(os, name, self._counted(getattr(os, name)))

    @property
    def came(self) -> bool:
        return self.passed > self._moment

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        elsewhere = {"/", "/proc", *self._world.root.parent.parts}  # folders that are not the user's

        def counted(*args: Any, **named: Any) -> Any:
            if not self._acts and args[0] not in elsewhere:
                if self.passed == self._moment:
                    self._act()
                self.passed += 1
            return call(*args, **named)

        return counted

    def _act(self) -> None:
        self._acts = True
        for name in {"app", "app.link", *os.listdir(self._world.folder)}:
            if not name.endswith(".moved"):
                self._attack(self._world, name)
        self._acts = False


# What the server does there


def listener(world: World, end: ExitStack) -> None:
    options = ListeningOptions(listen=16, chmod_socket=0o666)
    owner = Owner(USER, USER, "uid", Origin("x.ini", 1))
    made = binding.bind(Address("http", "x", Origin("x.ini", 2)), Unix(str(world.folder / "app")), options, owner)
    end.callback(made.close)


def control(world: World, end: ExitStack) -> None:
    inbox = EventInbox([])
    end.callback(inbox.close)
    paths = [str(world.folder / "app"), str(world.folder / "app.link")]
    made = ControlSocket(paths, Identity(USER, USER, None), inbox)
    end.callback(made.close)
    made.link(lambda text: None)


def fifo(world: World, end: ExitStack) -> None:
    inbox = EventInbox([])
    end.callback(inbox.close)
    made = MasterFifos([str(world.folder / "app")], Identity(USER, USER, None), inbox, ServerLog(-1))
    made.open()
    end.callback(made.close)


def pidfile(world: World, end: ExitStack) -> None:
    made = Pidfile(str(world.folder / "app"))
    end.callback(made.remove)
    made.write()
    made.write()


def log(world: World, end: ExitStack) -> None:
    fd = open_log(str(world.folder / "app"))
    end.callback(os.close, fd)
    os.write(fd, b"a line\n")
    boot._move_aside(str(world.folder / "app"), 1)


def hooks(world: World, end: ExitStack) -> None:
    path = world.folder / "app"
    actions = [f"{name}:{path} words" for name in ("write", "append", "writen")] + [f"touch:{path}", f"unlink:{path}"]
    Hooks(ServerLog(-1), lambda _: 0).perform("as-root", actions)


def led_by_a_hook(world: World, end: ExitStack) -> None:
    end.callback(os.chdir, os.getcwd())
    names = [f"{name}:app words" for name in ("write", "append", "create")] + ["mkdir:new", "touch:app", "unlink:app"]
    Hooks(ServerLog(-1), lambda _: 0).perform("as-root", [f"touch:{world.folder}/first", f"cd:{world.sub}", *names])


def home_and_back(world: World, end: ExitStack) -> None:
    """As for the name of the log, while a hook has led elsewhere."""
    start = os.getcwd()
    end.callback(os.chdir, start)
    os.chdir(world.folder)
    home = StartDirectory()
    Hooks(ServerLog(-1), lambda _: 0).perform("as-root", [f"cd:{world.sub}"])
    with home.back():
        Hooks(ServerLog(-1), lambda _: 0).perform("as-root", ["create:app", "unlink:app"])
    Hooks(ServerLog(-1), lambda _: 0).perform("as-root", ["write:app words"])


ACTS = (listener, control, fifo, pidfile, log, hooks, led_by_a_hook, home_and_back)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_nothing_of_roots_changes(
    act: Callable[[World, ExitStack], None], attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 0
    while True:
        world = World(_fresh(tmp_path / "world"))
        with monkeypatch.context() as patch:
            moments = Moments(patch, world, attack, moment)
            with suppress(OSError, UsageError), ExitStack() as end:
                act(world, end)
        assert world.look() == world.before, f"changed by what the user did before call {moment}"
        if not moments.came:
            break
        moment += 1
    assert 5 < moment < MOST_MOMENTS


def _fresh(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


@pytest.fixture(autouse=True)
def _no_descriptor_is_lost() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before
