"""Users, groups and the pidfile."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.process.lifecycle.pidfile import Pidfile, holder
from greenwsgi.process.lifecycle.user_identity import Identity, find

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def somebody() -> pwd.struct_passwd:
    """An account that is not root's, and whose group is not either."""
    return next(account for account in pwd.getpwall() if account.pw_uid and account.pw_gid)


def test_nobody_given_is_nobody() -> None:
    assert find("", "") == Identity(None, None, None)


def test_a_user_by_name_and_by_number_takes_his_own_groups() -> None:
    account = somebody()
    found = find(account.pw_name, "")
    assert (found.uid, found.gid) == (account.pw_uid, account.pw_gid)
    assert found.groups is not None
    assert set(found.groups) == set(os.getgrouplist(account.pw_name, account.pw_gid))
    assert find(str(account.pw_uid), "") == found


def test_a_group_by_name_and_by_number() -> None:
    group = next(group for group in grp.getgrall() if group.gr_gid)
    assert find("", group.gr_name) == find("", str(group.gr_gid)) == Identity(None, group.gr_gid, (group.gr_gid,))


def test_a_group_that_is_given_replaces_the_users_own() -> None:
    found = find(somebody().pw_name, "54321")
    assert found.gid == 54321
    assert found.groups is not None
    assert 54321 in found.groups


def test_numbers_need_no_account() -> None:
    assert find("54321", "54322") == Identity(54321, 54322, (54322,))
    assert find("54321", "") == Identity(54321, 54321, (54321,), from_uid=True)
    assert find("54321", "", ["54323"]) == Identity(54321, 54321, (54321, 54323), from_uid=True)


def test_a_number_without_an_account_that_it_is_already_keeps_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as any user, whose group is root's."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert find("54321", "") == Identity(54321, None, None)
    assert find("54321", "").possible


@pytest.mark.parametrize(
    ("user", "group", "said"),
    [
        ("no-such-user", "", "uid: no such user: no-such-user"),
        ("", "no-such-group", "gid: no such group: no-such-group"),
        ("-1", "", "uid: no such user: -1"),
        ("٣", "", "uid: no such user: ٣"),
        ("4294967295", "", "uid: no such user: 4294967295"),
        ("", "9" * 30, f"gid: no such group: {'9' * 30}"),
    ],
)
def test_unknown(user: str, group: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(user, group)
    assert str(caught.value) == said


def in_child(code: str) -> str:
    """Run code that changes who the process is in a process of its own."""
    prelude = "import os\nfrom greenwsgi.process.lifecycle.user_identity import Identity, find\n"
    done = subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@needs_root
def test_assume() -> None:
    print_all = "print(os.getresuid(), os.getresgid(), os.getgroups())"
    code = f"Identity(54321, 54322, (54322, 54323)).assume(); {print_all}"
    assert in_child(code) == "(54321, 54321, 54321) (54322, 54322, 54322) [54322, 54323]"


@needs_root
def test_a_user_without_a_group_is_not_left_with_roots() -> None:
    assert in_child(f"find({somebody().pw_name!r}, '').assume(); print(os.getegid(), 0 in os.getgroups())") == (
        f"{somebody().pw_gid} False"
    )


@needs_root
@pytest.mark.parametrize(
    ("find_it", "groups"),
    [("find('54321', '')", "[54321]"), ("find('54321', '', ['7'])", "[7, 54321]"), ("find('54321', '9')", "[9]")],
)
def test_without_an_account_nothing_of_roots_is_left(find_it: str, groups: str) -> None:
    gid = 9 if "'9'" in find_it else 54321
    code = (
        f"os.setgroups([0, 4, 42]); {find_it}.assume(); print(os.getresuid(), os.getresgid(), sorted(os.getgroups()))"
    )
    assert in_child(code) == f"(54321, 54321, 54321) ({gid}, {gid}, {gid}) {groups}"


@needs_root
def test_no_part_of_roots_group_is_left() -> None:
    """Where it started with another effective group."""
    code = "os.setresgid(0, 54322, 0); Identity(54321, 54322, ()).assume(); print(os.getresgid())"
    assert in_child(code) == "(54322, 54322, 54322)"


@needs_root
def test_only_root_can_become_somebody_else() -> None:
    code = """
Identity(54321, 54322, ()).assume()
print(find("54321", "54322").possible)  # who it is already
find("54321", "54322").assume()
print(Identity(0, None, None).possible, Identity(None, 0, (0,)).possible, find("", "").possible)
"""
    assert in_child(code).split() == ["True", "False", "False", "True"]


def test_assuming_nobody_changes_nothing() -> None:
    before = os.getresuid(), os.getresgid(), os.getgroups()
    find("", "").assume()
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before


def test_pidfile(tmp_path: Path) -> None:
    path = tmp_path / "app.pid"
    pidfile = Pidfile(str(path))
    assert pidfile.write() == 0
    assert path.read_text() == f"{os.getpid()}\n"
    pidfile.remove()
    assert not path.exists()
    pidfile.remove()


@pytest.mark.parametrize("text", ["", "nonsense", "-1", "0", "٣", "\xff"])
def test_a_pidfile_without_a_pid_is_written_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "app.pid"
    path.write_bytes(text.encode("latin-1", "replace"))
    assert Pidfile(str(path)).write() == 0
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_pidfile_of_the_dead(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    path = tmp_path / "app.pid"
    path.write_text(str(process.pid))
    assert Pidfile(str(path)).write() == 0


def test_a_pidfile_of_the_living_is_taken_over_and_told_of(tmp_path: Path) -> None:
    path = tmp_path / "app.pid"
    path.write_text(f"{os.getppid()}\n")
    assert Pidfile(str(path)).write() == os.getppid()
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_pidfile_that_became_anothers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "app.pid"
    pidfile = Pidfile(str(path))
    pidfile.write()
    path.write_text("1\n")
    pidfile.remove()
    assert path.read_text() == "1\n"


def test_a_pidfile_is_locked_until_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a server that starts then would write into it, and lose it."""
    path = str(tmp_path / "app.pid")
    pidfile = Pidfile(path)
    pidfile.write()
    unlink = os.unlink
    seen: list[str] = []

    def unlink_it(name: str, **folder: int) -> None:
        seen.append(asked_for_holder(path))
        unlink(name, **folder)

    monkeypatch.setattr(os, "unlink", unlink_it)
    pidfile.remove()
    assert seen == [str(os.getpid())]
    assert not (tmp_path / "app.pid").exists()


def asked_for_holder(path: str) -> str:
    """Who has the pidfile, as another process sees it: to ask here would give the lock up."""
    return in_child(f"""
from greenwsgi.errors import UsageError
from greenwsgi.process.lifecycle.pidfile import holder
try:
    print(holder({path!r}).pid)
except UsageError as error:
    print(error)
""").strip()


def test_a_pidfile_that_is_written_again_stays_locked(tmp_path: Path) -> None:
    path = str(tmp_path / "app.pid")
    pidfile = Pidfile(path)
    assert [pidfile.write(), pidfile.write()] == [0, 0]
    assert asked_for_holder(path) == str(os.getpid())
    again = Pidfile(path, pidfile.fd)  # after a re-exec
    assert again.write() == 0
    assert asked_for_holder(path) == str(os.getpid())
    os.unlink(path)
    assert again.write() == 0
    assert asked_for_holder(path) == str(os.getpid())
    again.remove()


def test_a_lock_for_reading_keeps_no_server_from_its_pidfile(tmp_path: Path) -> None:
    """Everybody may read a pidfile, and so lock it for reading: the server makes a new one."""
    path = tmp_path / "app.pid"
    path.write_text("1\n")
    with path.open() as reader:
        fcntl.lockf(reader, fcntl.LOCK_SH | fcntl.LOCK_NB)
        code = "from greenwsgi.process.lifecycle.pidfile import Pidfile"
        code += f"; p = Pidfile({str(path)!r}); print(p.write()); p.remove()"
        assert in_child(code).split() == ["1"]
    pidfile = Pidfile(str(path))
    pidfile.write()
    assert asked_for_holder(str(path)) == str(os.getpid())
    pidfile.remove()


@pytest.mark.parametrize(
    "lock", ["flock(file, fcntl.LOCK_EX)", "lockf(file, fcntl.LOCK_SH)", "flock(file, fcntl.LOCK_SH)"]
)
def test_a_readers_lock_makes_no_server_of_a_stranger(lock: str, tmp_path: Path) -> None:
    path = tmp_path / "app.pid"
    path.write_text(f"{os.getpid()}\n")
    with (
        locked(path, "r", lock),
        pytest.raises(UsageError, match=f"no greenwsgi has this pidfile: process {os.getpid()}"),
    ):
        holder(str(path))


def test_who_has_the_lock_must_be_who_the_file_names(tmp_path: Path) -> None:
    path = tmp_path / "app.pid"
    path.write_text(f"{os.getpid()}\n")
    with locked(path, "r+", "lockf(file, fcntl.LOCK_EX)") as locker:
        with pytest.raises(UsageError) as caught:
            holder(str(path))
        assert str(caught.value) == (
            f"{path}: it names process {os.getpid()}, but process {locker} has it locked: neither is signalled"
        )
        path.write_text(f"{locker}\n")
        assert holder(str(path)) == (locker, os.geteuid())


@pytest.mark.parametrize("seen", [0, -1])
def test_a_holder_that_cannot_be_seen_from_here(seen: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another pid namespace; or a lock that belongs to no process."""
    (tmp_path / "app.pid").write_text("1\n")
    monkeypatch.setattr("greenwsgi.process.lifecycle.file_locks.writer", lambda fd: seen)
    with pytest.raises(UsageError, match="cannot be seen from here"):
        holder(str(tmp_path / "app.pid"))


@contextmanager
def locked(path: Path, mode: str, lock: str) -> Iterator[int]:
    """The pid of another process that has the file locked meanwhile."""
    code = f"import fcntl, sys; file = open({str(path)!r}, {mode!r}); fcntl.{lock}; print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "device"])
def test_what_is_no_pidfile_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "app.pid"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
    else:
        path = Path(os.devnull)
    with pytest.raises(UsageError, match=f"cannot write {path}: there is a {kind} of that name, and it is no pidfile"):
        Pidfile(str(path)).write()
    if kind != "socket":
        with pytest.raises(UsageError, match="this is no pidfile"):
            holder(str(path))
    assert kind == "device" or os.listdir(tmp_path) == ["app.pid"]


def test_a_pidfile_in_a_folder_that_takes_no_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator has made it for the server's user; or it is mounted."""
    path = tmp_path / "app.pid"
    path.write_text("")
    before = path.stat().st_ino

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    pidfile = Pidfile(str(path))
    assert pidfile.write() == 0
    assert (path.read_text(), path.stat().st_ino) == (f"{os.getpid()}\n", before)
    assert os.listdir(tmp_path) == ["app.pid"]
    pidfile.remove()
    assert not path.exists()


def test_a_pidfile_that_cannot_be_replaced_and_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.pid"
    path.write_text("")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refuse)
    with (
        locked(path, "r", "lockf(file, fcntl.LOCK_SH)"),
        pytest.raises(UsageError, match="another process has it locked"),
    ):
        Pidfile(str(path)).write()


def test_a_pidfile_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pidfile: cannot write .*/none/app.pid: No such file or directory"):
        Pidfile(str(tmp_path / "none" / "app.pid")).write()
