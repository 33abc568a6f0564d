"""Places taken at the start: what comes before what, and what is no reason not to start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from greenwsgi.config.settings import Assignment, build
from greenwsgi.errors import Origin, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.control.control_socket import ControlSocket
from greenwsgi.process.control.master_fifo import MasterFifos
from greenwsgi.process.lifecycle.server_resources import ResourceOpener, ServerResources
from greenwsgi.process.lifecycle.start_directory import StartDirectory
from greenwsgi.process.lifecycle.user_identity import NOBODY_ELSE, Identity
from greenwsgi.process.supervision.event_inbox import EventInbox

Take = Callable[..., ServerResources]


@pytest.fixture
def inbox() -> Iterator[EventInbox]:
    inbox = EventInbox([])
    yield inbox
    inbox.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def take(inbox: EventInbox, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Take]:
    """Takes the places that options name, in a folder of its own; all are given back at the end."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as made, log.open("wb") as file:

        def take_them(**options: str) -> ServerResources:
            given = [Assignment(name.replace("_", "-"), text, Origin("x.ini", 3)) for name, text in options.items()]
            settings = build([*given, Assignment("http-socket", "127.0.0.1:0", Origin("x.ini", 2))])
            return ResourceOpener(
                settings, StartDirectory(), inbox, ServerLog(file.fileno()), made, made, None
            ).take_all()

        yield take_them


def test_a_start_that_fails_leaves_the_pidfile_to_the_server_that_lives(
    take: Take, inbox: EventInbox, tmp_path: Path
) -> None:
    (tmp_path / "app.pid").write_text("1\n")
    other = ControlSocket([str(tmp_path / "app.pid.control")], NOBODY_ELSE, inbox)
    with pytest.raises(UsageError, match=r"app\.pid\.control: another server listens there"):
        take(pidfile="app.pid")
    other.close()
    fifos = MasterFifos([str(tmp_path / "fifo")], NOBODY_ELSE, inbox, ServerLog(-1))
    fifos.open()
    with pytest.raises(UsageError, match="fifo: another server reads it"):
        take(pidfile="app.pid", master_fifo="fifo")
    fifos.close()
    assert (tmp_path / "app.pid").read_text() == "1\n"


LONG = "x" * 100


def test_a_control_socket_that_nobody_wrote_need_not_be_possible(take: Take, log: Path, tmp_path: Path) -> None:
    places = take(pidfile=LONG)
    assert places.control is None
    assert f"warning: there is no control socket: {tmp_path}/{LONG}.control: AF_UNIX path too long" in log.read_text()
    assert places.pidfile
    (tmp_path / "fifo.control").write_text("precious")
    assert take(master_fifo="fifo").control is None
    assert (tmp_path / "fifo.control").read_text() == "precious"


def test_one_that_was_written_must_be(take: Take, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        take(control_socket=LONG)
    assert str(caught.value) == f"x.ini:3: control-socket {tmp_path}/{LONG}: AF_UNIX path too long"


def test_without_root_the_server_stays_who_it_is(
    take: Take, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under uWSGI: the same file serves in a container, which has its user."""
    monkeypatch.setattr(Identity, "possible", False)
    take(socket="app.sock", uid="54322", master_fifo="fifo")
    assert (
        f"warning: only root can run as uid 54322 and gid 54322; this stays uid {os.geteuid()} and gid"
        in log.read_text()
    )
    for name in ("app.sock", "fifo"):
        made = (tmp_path / name).stat()
        assert (made.st_uid, made.st_gid) == (os.getuid(), os.getgid())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"uid": "54322", "gid": "54323"}, "uid: cannot become uid 54322 and gid 54323"),
        ({"gid": "54323"}, "gid: cannot become gid 54323"),
        ({"add_gid": "7"}, "add-gid: cannot have more groups"),
    ],
)
def test_root_that_may_not_become_somebody_else_is_a_mistake_of_one_line(
    given: dict[str, str], said: str, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may take these rights from it. To go on would leave root's groups."""

    def refuse(_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "setgroups", refuse)
    monkeypatch.setattr(
        "greenwsgi.process.lifecycle.server_resources.ResourceOpener._leave_terminal", lambda *_: None
    )  # it is pytest's
    with pytest.raises(UsageError) as caught:
        take(**given)
    why = "Operation not permitted; it takes the capabilities SETUID and SETGID"
    assert str(caught.value) == f"x.ini:3: {said}: {why}"


@pytest.mark.parametrize(("given", "warned"), [({}, True), ({"gid": "54323"}, False)])
def test_a_user_without_an_account_gets_a_group_of_the_same_number(
    given: dict[str, str], warned: bool, take: Take, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[Identity] = []
    monkeypatch.setattr(Identity, "possible", True)
    monkeypatch.setattr(Identity, "assume", lambda who: became.append(who))
    monkeypatch.setattr(Identity, "drops", False)  # the terminal is pytest's
    take(uid="54322", **given)
    assert [(who.uid, who.gid) for who in became] == [(54322, int(given.get("gid", "54322")))]
    said = "warning: uid 54322 has no account, so this runs as gid 54322 too; gid sets another group"
    assert (said in log.read_text()) is warned


_ASK = """
import sys
from greenwsgi.process.lifecycle.pidfile import holder
print(holder(sys.argv[1]).pid)
"""


def holder_of(path: Path) -> int:
    """As another process sees it."""
    asked = subprocess.run([sys.executable, "-c", _ASK, str(path)], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    return int(asked.stdout)


def test_the_pidfile_stays_locked_over_hooks_and_readings(take: Take, log: Path, tmp_path: Path) -> None:
    """A process that closes any descriptor of a file loses its lock on it."""
    path = tmp_path / "app.pid"
    places = take(pidfile="app.pid", hook_as_user="touch:app.pid")
    assert holder_of(path) == os.getpid()
    assert places.kept_over(Path.read_text, ServerLog(-1))(path) == f"{os.getpid()}\n"
    assert holder_of(path) == os.getpid()

    def fail(name: Path) -> int:
        return int(name.read_text() + "x")

    with pytest.raises(ValueError, match="invalid literal"):
        places.kept_over(fail, ServerLog(-1))(path)
    assert holder_of(path) == os.getpid()
    assert "not locked any more" not in log.read_text()


def test_a_pidfile_that_another_process_has_locked_meanwhile_is_told_of(take: Take, log: Path, tmp_path: Path) -> None:
    places = take(pidfile="app.pid")
    path = tmp_path / "app.pid"
    path.read_text()
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+'); fcntl.lockf(file, fcntl.LOCK_EX); print(); sys.stdin.read()"
    )
    command = [sys.executable, "-uc", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker, log.open("ab") as file:
        assert locker.stdout is not None
        assert locker.stdout.readline() == b"\n"
        places.keep(ServerLog(file.fileno()))
        locker.communicate()
    assert f"warning: pidfile {path} is not locked any more" in log.read_text()
