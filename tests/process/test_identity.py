"""Users, groups and the pidfile."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.process.identity import Identity, Pidfile, find, holder

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
    assert find("54321", "") == Identity(54321, None, None)


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
    prelude = "import os\nfrom greenwsgi.process.identity import Identity, find\n"
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


@pytest.mark.parametrize("locks", [True, False], ids=["still locked", "not any more"])
def test_a_pidfile_that_goes_while_it_is_taken_over(
    locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.pid"

    def goes(fd: int, how: int) -> None:
        """The server that has it gives it up: it had it locked when we asked, or had not."""
        monkeypatch.undo()
        path.unlink()
        if locks:
            raise BlockingIOError

    monkeypatch.setattr(fcntl, "flock", goes)
    pidfile = Pidfile(str(path))
    pidfile.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert holder(str(path)) == os.getpid()
    pidfile.remove()


def test_a_pidfile_is_locked_until_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a server that starts then would write into it, and lose it."""
    pidfile = Pidfile(str(tmp_path / "app.pid"))
    pidfile.write()
    unlink = os.unlink

    def unlink_it(path: str) -> None:
        assert holder(path) == os.getpid()
        unlink(path)

    monkeypatch.setattr(os, "unlink", unlink_it)
    pidfile.remove()
    assert not (tmp_path / "app.pid").exists()


def test_a_pidfile_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pidfile: cannot write .*/none/app.pid: No such file or directory"):
        Pidfile(str(tmp_path / "none" / "app.pid")).write()
