"""Where a path leads: whose links are followed, what a log may be, and how what is made aside gets its name.

That nothing can be swapped meanwhile is shown by tests/process/test_swaps.py.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from greenwsgi.process.lifecycle import pidfile
from greenwsgi.shared import safe_paths
from greenwsgi.shared.safe_paths import aside, at, being_in, go_to, open_log, opener, put, remove

USER, OTHER = 54321, 54322

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's files")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these links in /proc")


def led_to(path: str | Path, *, follow: bool = False) -> str:
    """The file that a path means, by the names of its real folders."""
    with at(str(path), follow=follow) as spot:
        found = os.stat(spot.folder)
        for folder, folders, _ in os.walk(Path(path).anchor and Path(path).parents[-5]):
            if os.path.samestat(os.stat(folder), found):
                return os.path.join(folder, spot.name)
            folders[:] = [one for one in folders if not os.path.islink(os.path.join(folder, one))]
    raise AssertionError(f"{path} leads to no folder here")


@pytest.fixture(params=["with O_PATH", "without"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two others in it, on a system that has O_PATH and on one that has not (all but Linux)."""
    if request.param == "without":
        monkeypatch.setattr(safe_paths, "_PATH_ONLY", 0)
        monkeypatch.setattr(safe_paths, "_FOLDER", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    elif sys.platform != "linux":
        pytest.skip("only Linux has O_PATH")
    place = tmp_path / "a" / "b" / "c"
    for name in ("one", "two"):
        (place / name).mkdir(parents=True)
    return place


def link(path: Path, target: str | Path, user: int = -1) -> Path:
    path.symlink_to(target)
    os.chown(path, user, user, follow_symlinks=False)
    return path


@pytest.mark.parametrize("text", ["one/x", "./one//x", "one/../one/x", "one/./x", "two/../one/x"])
def test_a_path(text: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert led_to(world / text) == str(world / "one" / "x")
    monkeypatch.chdir(world)
    with at(text) as spot:
        assert os.path.samestat(os.fstat(spot.folder), os.stat("one"))
        assert (spot.name, spot.path) == ("x", text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("nowhere/x", errno.ENOENT),
        ("file/x", errno.ENOTDIR),
        ("loop/x", errno.ELOOP),
        ("one/..", errno.EISDIR),
        ("/", errno.EISDIR),
        (".", errno.EISDIR),
    ],
)
def test_a_path_that_leads_nowhere(text: str, number: int, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world / "file").touch()
    link(world / "loop", "loop")
    monkeypatch.chdir(world)
    with pytest.raises(OSError) as caught, at(text):  # noqa: PT011
        pass
    assert caught.value.errno == number


def test_ones_own_links_are_followed(world: Path) -> None:
    link(world / "relative", "one")
    link(world / "absolute", world / "one")
    link(world / "twice", "relative/../relative")
    for name in ("relative", "absolute", "twice"):
        assert led_to(world / name / "x") == str(world / "one" / "x")
    last = link(world / "two" / "x", "../one/y")
    assert led_to(last) == str(last)
    assert led_to(last, follow=True) == str(world / "one" / "y")


@needs_root
def test_another_users_link_may_lead_to_his_own_folders_only(world: Path) -> None:
    """`current`, which a deploy user sets, leads on; but not to a folder of root's or of a third user's."""
    current = link(world / "current", "one", USER)
    os.chown(world, USER, USER)
    whose = f"user {USER}" if safe_paths._PATH_ONLY else "another user"
    with pytest.raises(PermissionError, match=f"link of {whose} leads there, and the folder is user 0's"):
        led_to(current / "x")
    os.chown(world / "one", OTHER, OTHER)
    with pytest.raises(PermissionError, match=f"link of {whose} leads there, and the folder is user {OTHER}'s"):
        led_to(current / "x")
    os.chown(world / "one", USER, USER)
    if safe_paths._PATH_ONLY:
        assert led_to(current / "x") == str(world / "one" / "x")
    else:  # whose a link was when it was read cannot be known there
        with pytest.raises(PermissionError):
            led_to(current / "x")


@needs_root
def test_another_users_link_to_a_file_may_lead_to_his_own_folders_only(world: Path) -> None:
    os.chown(world, USER, USER)
    last = link(world / "x", "one/y", USER)
    with pytest.raises(PermissionError, match="name it directly"):
        led_to(last, follow=True)
    os.chown(world / "one", USER, USER)
    if safe_paths._PATH_ONLY:
        assert led_to(last, follow=True) == str(world / "one" / "y")


@needs_root
@pytest.mark.parametrize(
    ("owner", "mode", "refused"),
    [
        (0, 0o755, ""),
        (0, 0o1777, ""),
        (0, 0o1775, ""),
        (0, 0o775, "in a folder where other users may write"),
        (0, 0o777, "in a folder where other users may write"),
        (USER, 0o755, f"in a folder of user {USER}"),
        (USER, 0o700, f"in a folder of user {USER}"),
        (USER, 0o1777, f"in a folder of user {USER}"),
    ],
)
@pytest.mark.parametrize("follow", [False, True], ids=["to a folder", "to a file"])
def test_a_link_of_roots_is_trusted_as_far_as_its_folder(
    owner: int, mode: int, refused: str, follow: bool, world: Path
) -> None:
    """The owner of the folder can rename it to the name of a log, for one that a deploy has left there."""
    place = world / "place"
    place.mkdir()
    current, last = link(place / "current", world / "one"), link(place / "x", "../one/x")
    os.chown(place, owner, owner)
    place.chmod(mode)
    path = last if follow else current / "x"
    if not refused:
        assert led_to(path, follow=follow) == str(world / "one" / "x")
        return
    why = f"{refused} leads there" if safe_paths._PATH_ONLY else "link of another user"
    with pytest.raises(PermissionError, match=why):
        led_to(path, follow=follow)
    os.chown(world / "one", owner, owner)
    if owner and safe_paths._PATH_ONLY:
        assert led_to(path, follow=follow) == str(world / "one" / "x")
    else:
        with pytest.raises(PermissionError, match=why):
            led_to(path, follow=follow)


@needs_root
def test_a_server_that_is_not_root_follows_roots_links(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(world, USER, USER)
    current = link(world / "current", "one")
    monkeypatch.setattr(os, "geteuid", lambda: USER)
    assert led_to(current / "x") == str(world / "one" / "x")


@needs_root
@pytest.mark.parametrize("us", [0, OTHER])
def test_no_link_of_another_user_is_followed_where_everybody_may_write(
    us: int, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, last = link(world / "current", "one", USER), link(world / "x", "one/y", USER)
    os.chown(world / "one", USER, USER)
    monkeypatch.setattr(os, "geteuid", lambda: us)
    if us or safe_paths._PATH_ONLY:
        assert led_to(current / "x") == str(world / "one" / "x")
        assert led_to(last, follow=True) == str(world / "one" / "y")
    world.chmod(0o1777)
    for path in (current / "x", last):
        with pytest.raises(PermissionError, match="where everybody may write"):
            led_to(path, follow=True)


@needs_root
def test_a_server_that_is_not_root_follows_a_deploy_users_links(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    current = link(world / "current", "one", USER)
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    assert led_to(current / "x") == str(world / "one" / "x")


# The current folder


@pytest.mark.parametrize("text", ["one", "one/", "./one/.", "one/../one", "relative", "{place}/relative"])
def test_going_to_a_folder(text: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link(world / "relative", "one")
    monkeypatch.chdir(world)
    with being_in(text.format(place=world)):
        assert os.getcwd() == str(world / "one")
    assert os.getcwd() == str(world)
    go_to(text.format(place=world))
    assert os.getcwd() == str(world / "one")
    go_to("..")
    assert os.getcwd() == str(world)
    go_to("/")
    assert os.getcwd() == "/"


@needs_linux
def test_going_to_a_folder_of_the_kernels(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    for path, there in (("/proc/self/cwd/one", str(world / "one")), ("/proc", "/proc"), ("/proc/self/root", "/")):
        go_to(path)
        assert os.getcwd() == there


@pytest.mark.parametrize(
    ("name", "number"), [("nowhere", errno.ENOENT), ("file", errno.ENOTDIR), ("loop", errno.ELOOP)]
)
def test_going_nowhere(name: str, number: int, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    (world / "file").touch()
    link(world / "loop", "loop")
    with pytest.raises(OSError) as caught:  # noqa: PT011
        go_to(name)
    assert caught.value.errno == number
    assert os.getcwd() == str(world)


@needs_root
def test_another_users_link_leads_to_no_folder_of_roots(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    current = link(world / "current", "one", USER)
    with pytest.raises(PermissionError, match="leads there, and the folder is user 0's"):
        go_to(str(current))
    os.chown(world / "one", USER, USER)
    if safe_paths._PATH_ONLY:
        go_to(str(current))
        assert os.getcwd() == str(world / "one")


# Logs


def test_a_log_is_made_and_appended_to(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        fd = open_log(str(tmp_path / "log"))
        os.write(fd, text)
        assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
        os.close(fd)
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
    assert (tmp_path / "log").stat().st_mode & 0o137 == 0


def test_devices_are_logs(tmp_path: Path) -> None:
    os.close(open_log(os.devnull))
    terminal, slave = os.openpty()
    try:
        fd = open_log(os.ttyname(slave))
        os.write(fd, b"to a terminal")
        assert os.read(terminal, 100) == b"to a terminal"
        assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
        os.close(fd)
    finally:
        os.close(terminal)
        os.close(slave)


@needs_linux
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "{folder}/link"])
@pytest.mark.parametrize("out", ["pipe", "file"])
def test_standard_output_is_a_log(name: str, out: str, tmp_path: Path) -> None:
    """Also by a link of the operator's, as images for containers have them."""
    link(tmp_path / "link", "/dev/stdout")
    code = "import os, sys; from greenwsgi.shared.safe_paths import open_log; os.write(open_log(sys.argv[1]), b'said')"
    command = [sys.executable, "-c", code, name.format(folder=tmp_path)]
    with (tmp_path / "out").open("wb") as file:
        to = subprocess.PIPE if out == "pipe" else file
        done = subprocess.run(command, stdout=to, check=True)
    assert (done.stdout if out == "pipe" else (tmp_path / "out").read_bytes()) == b"said"


@pytest.mark.parametrize("kind", ["fifo", "fifo that is read", "socket", "folder"])
def test_what_is_no_log(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    reader = -1
    if kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
    else:
        os.mkfifo(path)
    if kind == "fifo that is read":
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(FileExistsError, match=f"there is a {kind.split()[0]} of that name: name a file"):
        open_log(str(path))
    if reader >= 0:
        os.close(reader)


@needs_root
def test_a_hard_link_in_another_users_folder_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "roots").write_text("precious\n")
    (tmp_path / "users").mkdir()
    os.chown(tmp_path / "users", USER, USER)
    os.link(tmp_path / "roots", tmp_path / "users" / "log")
    for name in ("log", "roots"):
        with closing(Held()) as held:
            if name == "log":
                with pytest.raises(PermissionError, match="another name too"):
                    held.fd = open_log(str(tmp_path / "users" / name))
            else:  # in root's own folder that is the operator's wish
                tmp_path.chmod(0o755)
                held.fd = open_log(str(tmp_path / name))
    with pytest.raises(PermissionError, match="another name too"):
        opener(str(tmp_path / "users" / "log"), os.O_WRONLY | os.O_TRUNC)
    assert (tmp_path / "roots").read_text() == "precious\n"


def _truncating(path: str) -> int:
    return opener(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def _in_place(path: str) -> int:
    with at(path) as spot:
        return pidfile._write_in_place(spot)


@needs_root
@pytest.mark.parametrize("before", ["nothing", "a file"])
@pytest.mark.parametrize("act", [open_log, _truncating, _in_place])
@pytest.mark.parametrize("times", [1, 1000])
def test_a_hard_link_that_is_there_only_while_a_file_is_opened(
    act: Callable[[str], int], before: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user can make it where fs.protected_hardlinks is 0: the file that is open has one name again."""
    victim, log = tmp_path / "roots", tmp_path / "users" / "log"
    victim.write_text("precious\n")
    log.parent.mkdir()
    os.chown(log.parent, USER, USER)
    if before == "a file":
        log.touch()
    plain, left = os.open, [times]

    def open_at_the_moment(path: str, flags: int, *args: int, **named: int) -> int:
        if path != "log" or not left[0]:
            return plain(path, flags, *args, **named)
        left[0] -= 1
        if log.exists():
            log.rename(log.with_name("aside"))
        os.link(victim, log)
        try:
            return plain(path, flags, *args, **named)
        finally:
            log.unlink()
            if before == "a file":
                log.with_name("aside").rename(log)

    monkeypatch.setattr(os, "open", open_at_the_moment)
    with closing(Held()) as held:
        if times == 1 and not (act is _in_place and before == "nothing"):
            held.fd = act(str(log))
            assert os.path.samestat(os.fstat(held.fd), log.stat())
        else:
            with pytest.raises((PermissionError, FileNotFoundError)):
                held.fd = act(str(log))
    assert victim.read_text() == "precious\n"


class Held:
    fd = -1

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


# Making


@pytest.fixture(params=["with hard links", "without"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems that have them, and those that have not."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if request.param == "without":
        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("links")
def test_what_is_made_aside_gets_its_name_unless_there_is_one(tmp_path: Path) -> None:
    before = os.umask(0o177)  # it keeps us out of no folder that we make
    try:
        with at(str(tmp_path / "x")) as spot:
            with aside(spot) as made:
                os.close(made.open(os.O_WRONLY | os.O_CREAT, 0o600))
                (private,) = os.listdir(tmp_path)
                assert (tmp_path / private).stat().st_mode & 0o777 == 0o700
                put(made, spot)
            assert os.listdir(tmp_path) == ["x"]
            (tmp_path / "x").write_text("precious")
            with aside(spot) as made:
                os.close(made.open(os.O_WRONLY | os.O_CREAT, 0o600))
                with pytest.raises(FileExistsError):
                    put(made, spot)
    finally:
        os.umask(before)
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "precious"


def test_only_the_file_that_was_made_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    made = safe_paths.file_id(path.stat())
    path.rename(tmp_path / "moved")
    assert not remove(str(path), made)
    path.touch()
    assert not remove(str(path), made)
    path.unlink()
    link(path, "moved")
    assert not remove(str(path), made)
    assert remove(str(path), made, follow=True)
    assert os.listdir(tmp_path) == ["x"]
    assert not remove(str(tmp_path / "nowhere" / "x"), made)
