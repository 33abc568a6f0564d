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
from greenwsgi.log.server import ServerLog
from greenwsgi.process.control import ControlSocket
from greenwsgi.process.fifo import Fifos
from greenwsgi.process.home import Home
from greenwsgi.process.identity import NOBODY_ELSE, Identity
from greenwsgi.process.inbox import Inbox
from greenwsgi.process.places import Opening, Places

Take = Callable[..., Places]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox([])
    yield inbox
    inbox.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def take(inbox: Inbox, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Take]:
    """Takes the places that options name, in a folder of its own; all are given back at the end."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as made, log.open("wb") as file:

        def take_them(**options: str) -> Places:
            given = [Assignment(name.replace("_", "-"), text, Origin("x.ini", 3)) for name, text in options.items()]
            settings = build([*given, Assignment("http-socket", "127.0.0.1:0", Origin("x.ini", 2))])
            return Opening(settings, Home(), inbox, ServerLog(file.fileno()), made, made, None).take_all()

        yield take_them


def test_a_start_that_fails_leaves_the_pidfile_to_the_server_that_lives(
    take: Take, inbox: Inbox, tmp_path: Path
) -> None:
    (tmp_path / "app.pid").write_text("1\n")
    other = ControlSocket([str(tmp_path / "app.pid.control")], NOBODY_ELSE, inbox)
    with pytest.raises(UsageError, match=r"app\.pid\.control: another server listens there"):
        take(pidfile="app.pid")
    other.close()
    fifos = Fifos([str(tmp_path / "fifo")], NOBODY_ELSE, inbox, ServerLog(-1))
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
    assert f"warning: only root can run as uid 54322; this stays uid {os.geteuid()} and gid" in log.read_text()
    for name in ("app.sock", "fifo"):
        made = (tmp_path / name).stat()
        assert (made.st_uid, made.st_gid) == (os.getuid(), os.getgid())


_ASK = """
import sys
from greenwsgi.process.identity import holder
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
