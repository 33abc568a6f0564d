"""The ways to ask a server, from both ends: control socket, fifos, pidfile; with an inbox and no server behind it."""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

import pytest

from greenwsgi.cli import main
from greenwsgi.clock import SystemClock
from greenwsgi.errors import UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.control.commands import BY_NAME, by_signal
from greenwsgi.process.control.control_client import Caller
from greenwsgi.process.control.control_socket import LINE_LIMIT, MOST_CLIENTS, SHORTAGE_PAUSE, ControlSocket, places
from greenwsgi.process.control.master_fifo import MasterFifos, tell
from greenwsgi.process.control.running_server import RunningServer
from greenwsgi.process.lifecycle.pidfile import Pidfile, holder
from greenwsgi.process.lifecycle.user_identity import Identity
from greenwsgi.process.supervision.event_inbox import Asked, EventInbox

NOBODY = Identity(None, None, None)


@pytest.fixture
def inbox() -> Iterator[EventInbox]:
    inbox = EventInbox([])
    yield inbox
    inbox.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "app.pid.control")


@pytest.fixture
def control(inbox: EventInbox, path: str) -> Iterator[ControlSocket]:
    control = ControlSocket([path], NOBODY, inbox)
    yield control
    control.close()


def call(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(path)
    return sock


def asked(inbox: EventInbox) -> list[Asked]:
    """What comes in until there is nothing more at once."""
    notes: list[Asked] = []
    while inbox._selector.select(0.05):
        notes += [note for note in inbox.wait(0) if isinstance(note, Asked)]
    return notes


def read_line(sock: socket.socket) -> dict[str, object]:
    with sock.makefile("rb") as file:
        answer = json.loads(file.readline())
    assert isinstance(answer, dict)
    return answer


# The control socket


def test_it_is_the_owners_alone_and_gone_at_the_end(inbox: EventInbox, path: str) -> None:
    control = ControlSocket([path], NOBODY, inbox)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    control.close()
    assert not os.path.exists(path)


def test_a_request_is_a_note_and_its_answer_a_line(inbox: EventInbox, control: ControlSocket, path: str) -> None:
    with call(path) as sock:
        sock.sendall(b'{"command": "reload", "wait": true}\n')
        (note,) = asked(inbox)
        assert (note.name, note.wait) == ("reload", True)
        note.answer({"ok": True, "said": "done"})
        assert read_line(sock) == {"ok": True, "said": "done"}


def test_byte_by_byte_and_several_at_once(inbox: EventInbox, control: ControlSocket, path: str) -> None:
    with call(path) as sock:
        for byte in b'{"command": "ping"}\r\n\n{"command": "stat':
            sock.send(bytes([byte]))
            for note in inbox.wait(0.01):
                assert isinstance(note, Asked)
                assert note.name == "ping"
        sock.sendall(b'us"}\n{"command": "stop"}\n')
        assert [note.name for note in asked(inbox)] == ["status", "stop"]


def test_who_half_closes_is_answered(inbox: EventInbox, control: ControlSocket, path: str) -> None:
    with call(path) as sock:
        sock.sendall(b'{"command": "ping"}\n')
        sock.shutdown(socket.SHUT_WR)
        (note,) = asked(inbox)
        note.answer({"ok": True})
        assert read_line(sock) == {"ok": True}
        assert sock.recv(1) == b""


@pytest.mark.parametrize(
    "nonsense",
    [
        b"reload\n",
        b"\xff\xfe\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b'{"command": 1}\n',
        b'{"command": "reload", "wait": "yes"}\n',
        b'{"command": "reload", "colour": "red"}\n',
        b"[" * (LINE_LIMIT - 1) + b"\n",
        b"1" * (LINE_LIMIT - 1) + b"\n",
        b"GET / HTTP/1.1\n",
    ],
)
def test_nonsense_is_one_line_and_the_next_request_is_served(
    nonsense: bytes, inbox: EventInbox, control: ControlSocket, path: str
) -> None:
    with call(path) as sock:
        sock.sendall(nonsense)
        assert asked(inbox) == []
        assert read_line(sock)["ok"] is False
        sock.sendall(b'{"command": "ping"}\n')
        assert [note.name for note in asked(inbox)] == ["ping"]


def test_a_line_without_end_is_hung_up_on(inbox: EventInbox, control: ControlSocket, path: str) -> None:
    with call(path) as sock:
        sock.sendall(b"x" * (2 * LINE_LIMIT))
        assert asked(inbox) == []
        assert "longer than" in str(read_line(sock)["said"])


def test_clients_that_say_nothing_do_not_keep_others_out(inbox: EventInbox, control: ControlSocket, path: str) -> None:
    silent = []
    for _ in range(2 * MOST_CLIENTS):
        silent.append(call(path))
        inbox.wait(0)
    with call(path) as sock:
        sock.sendall(b'{"command": "ping"}\n')
        assert [note.name for note in asked(inbox)] == ["ping"]
    for one in silent:
        one.close()


def test_who_does_not_read_does_not_block(inbox: EventInbox, control: ControlSocket, path: str) -> None:
    with call(path) as sock:
        sock.sendall(b'{"command": "status"}\n')
        (note,) = asked(inbox)
        note.answer({"ok": True, "status": "x" * (4 << 20)})
        assert asked(inbox) == []
        received = 0
        while received < 4 << 20:
            received += len(sock.recv(1 << 16))
            inbox.wait(0)


def test_without_descriptors_a_client_is_not_tried_without_end(inbox: EventInbox, path: str) -> None:
    """It stays in the backlog, so its socket is ready all the time."""
    clock = Hand()
    control = ControlSocket([path], NOBODY, inbox, clock=clock)
    with call(path) as sock:
        sock.sendall(b'{"command": "ping"}\n')
        with no_descriptor_left():
            for _ in range(3):
                assert inbox._selector.select(0), "it is tried"
                assert inbox.wait(0) == []
                assert not inbox._selector.select(0), "and then not, for a while"
                clock.now += SHORTAGE_PAUSE / 2
                inbox.wait(0)
                assert not inbox._selector.select(0)
                clock.now += SHORTAGE_PAUSE / 2
                control._look()
        inbox.wait(0)
        (note,) = asked(inbox)
        note.answer({"ok": True})
        assert read_line(sock) == {"ok": True}
    control.close()


class Hand:
    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """This process cannot open anything meanwhile."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_who_left_is_not_answered(inbox: EventInbox, control: ControlSocket, path: str) -> None:
    with call(path) as sock:
        sock.sendall(b'{"command": "status"}\n')
        (note,) = asked(inbox)
    note.answer({"ok": True})
    assert asked(inbox) == []


def test_a_stale_socket_is_replaced_a_live_one_and_a_file_refused(inbox: EventInbox, path: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    control = ControlSocket([path], NOBODY, inbox)
    with pytest.raises(UsageError, match="another server listens there"):
        ControlSocket([path], NOBODY, inbox)
    control.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="it is no socket"):
        ControlSocket([str(tmp_path / "file")], NOBODY, inbox)


def test_a_link_from_before_may_be_in_its_place(inbox: EventInbox, path: str) -> None:
    os.symlink("gone", path)
    ControlSocket([path], NOBODY, inbox).close()


def test_nothing_is_left_of_a_socket_that_cannot_be_had(
    inbox: EventInbox, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(PermissionError):
        ControlSocket([path], NOBODY, inbox)
    assert not os.path.lexists(path)


def test_a_socket_that_became_anothers_is_left_alone(inbox: EventInbox, path: str) -> None:
    """Also by the image of the process after a re-exec, which is told what file was made."""
    before = ControlSocket([path], NOBODY, inbox)
    fd, file = os.dup(before.fd), before.file
    os.unlink(path)
    other = ControlSocket([path], NOBODY, inbox)
    after = ControlSocket([path], NOBODY, inbox, fd, file)
    after.close()
    before.close()
    assert os.path.exists(path)
    other.close()
    assert not os.path.exists(path)


def test_a_link_that_cannot_be_made_is_told_of(inbox: EventInbox, path: str, tmp_path: Path) -> None:
    control = ControlSocket([path, str(tmp_path / "none" / "link"), str(tmp_path / "link")], NOBODY, inbox)
    said: list[str] = []
    control.link(said.append)
    assert said == [f"the control socket has no link {tmp_path}/none/link: No such file or directory"]
    assert os.readlink(tmp_path / "link") == path
    control.close()
    assert not os.path.lexists(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's files")
@pytest.mark.parametrize("owner", [54321, 0])
def test_a_link_in_a_users_folder_leads_to_a_control_socket_of_his_own(
    owner: int, inbox: EventInbox, path: str, tmp_path: Path
) -> None:
    """The fifo in the folder of the service's user, the control socket in one of root's: root finds it by the fifo."""
    (tmp_path / "users").mkdir()
    os.chown(tmp_path / "users", 54321, 54321)
    tmp_path.chmod(0o755)
    link = tmp_path / "users" / "fifo.control"
    control = ControlSocket([path, str(link)], Identity(owner, owner, None), inbox)
    control.link(pytest.fail)
    try:
        assert (os.readlink(link), os.listdir(link.parent)) == (path, [link.name])
        assert link.lstat().st_uid == owner
        if owner:
            Caller(str(link)).close()
        else:
            with pytest.raises(UsageError, match="in a folder of user 54321 leads there, and it is user 0's"):
                Caller(str(link))
    finally:
        control.close()


def test_places() -> None:
    assert places("", ["", "/run/app.fifo"]) == ["/run/app.fifo.control"]
    assert places("/run/c", ["/run/app.pid", "/run/f"]) == ["/run/c", "/run/app.pid.control", "/run/f.control"]
    assert places("", [""]) == []


# Fifos


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ServerLog]:
    with (tmp_path / "log").open("wb") as file:
        yield ServerLog(file.fileno())


def test_letters_and_digits(inbox: EventInbox, log: ServerLog, tmp_path: Path) -> None:
    names = [str(tmp_path / "0"), str(tmp_path / "1")]
    fifos = MasterFifos(names, NOBODY, inbox, log)
    fifos.open()
    assert not os.path.exists(names[1])
    tell(names[0], "rw\n")
    assert [note.name for note in asked(inbox)] == ["reload", "reload-workers"]
    tell(names[0], "5x1")
    assert asked(inbox) == []
    said = (tmp_path / "log").read_text()
    assert "there is no fifo 5: 2 are configured" in said
    assert "'x' asks for nothing" in said
    assert not os.path.exists(names[0])
    tell(names[1], "q")
    assert [note.name for note in asked(inbox)] == ["stop"]
    fifos.close()
    assert not os.path.exists(names[1])


def test_a_fifo_that_was_removed_is_made_again(inbox: EventInbox, log: ServerLog, tmp_path: Path) -> None:
    name = str(tmp_path / "fifo")
    fifos = MasterFifos([name], NOBODY, inbox, log)
    fifos.open()
    inbox.look_before_wait(fifos.look)
    os.unlink(name)
    inbox.wait(0)
    tell(name, "r")
    assert [note.name for note in asked(inbox)] == ["reload"]
    fifos.close()


class Clock(SystemClock):
    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_one_that_cannot_be_made_again_is_told_of_once(inbox: EventInbox, log: ServerLog, tmp_path: Path) -> None:
    folder, clock = tmp_path / "run", Clock()
    folder.mkdir()
    fifos = MasterFifos([str(folder / "fifo")], NOBODY, inbox, log, clock)
    fifos.open()
    (folder / "fifo").unlink()
    folder.rmdir()
    for _ in range(10):
        fifos.look()
        clock.now += 0.5
    assert (tmp_path / "log").read_text().count("No such file or directory") == 1
    folder.mkdir()
    clock.now += 1
    fifos.look()
    tell(str(folder / "fifo"), "r")
    assert [note.name for note in asked(inbox)] == ["reload"]
    fifos.close()


def test_nothing_is_left_of_one_that_cannot_be_had(
    inbox: EventInbox, log: ServerLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(UsageError, match=r"master-fifo: .*fifo: Operation not permitted"):
        MasterFifos([str(tmp_path / "fifo")], NOBODY, inbox, log).open()
    assert not (tmp_path / "fifo").exists()


def test_the_fifo_of_another_server_is_refused_one_of_the_dead_is_not(
    inbox: EventInbox, log: ServerLog, tmp_path: Path
) -> None:
    name = str(tmp_path / "fifo")
    os.mkfifo(name)
    old, new = MasterFifos([name], NOBODY, inbox, log), MasterFifos([name], NOBODY, inbox, log)
    old.open()
    with pytest.raises(UsageError, match=r"master-fifo: .*fifo: another server reads it"):
        new.open()
    tell(name, "r")
    assert [note.name for note in asked(inbox)] == ["reload"]
    old.close()


def test_the_name_of_another_server_is_taken_over_if_that_is_asked_for(
    inbox: EventInbox, log: ServerLog, tmp_path: Path
) -> None:
    running, fresh = str(tmp_path / "running"), str(tmp_path / "fresh")
    old, new = MasterFifos([running], NOBODY, inbox, log), MasterFifos([fresh, running], NOBODY, inbox, log)
    old.open()
    new.open()
    tell(fresh, "1")
    assert asked(inbox) == []
    old.look()
    old.close()
    tell(running, "r")
    assert [note.name for note in asked(inbox)] == ["reload"]
    new.close()


def test_a_file_is_no_fifo(inbox: EventInbox, log: ServerLog, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UsageError, match="it is no fifo"):
        MasterFifos([str(tmp_path / "file")], NOBODY, inbox, log).open()
    assert (tmp_path / "file").read_text() == "precious"


# The pidfile, and whom a name leads to

_HOLD = """
import sys
from greenwsgi.process.lifecycle.pidfile import Pidfile
Pidfile(sys.argv[1]).write()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A pidfile, and the pid of another process that has written it and lives."""
    path = str(tmp_path / "app.pid")
    command = [sys.executable, "-c", _HOLD, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield path, process.pid
        assert process.stdin is not None
        process.stdin.close()


def test_the_holder_of_a_pidfile(held: tuple[str, int]) -> None:
    assert holder(held[0]).pid == held[1]


def test_a_held_pidfile_can_be_taken_over(held: tuple[str, int]) -> None:
    pidfile = Pidfile(held[0])
    assert pidfile.write() == held[1]
    assert Path(held[0]).read_text() == f"{os.getpid()}\n"
    pidfile.remove()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n", "no greenwsgi has this pidfile: process 1 is another one"),
        ("4194305\n", "no greenwsgi has this pidfile: process 4194305 is gone"),
        ("hello\n", "this is no pidfile"),
        ("", "this is no pidfile"),
    ],
)
def test_a_pidfile_of_nobody(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "app.pid").write_text(text)
    with pytest.raises(UsageError, match=said):
        RunningServer(str(tmp_path / "app.pid"))


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        RunningServer(str(tmp_path / "app.pid"))


def test_a_fifo_that_nobody_reads(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="no server reads this fifo"):
        RunningServer(str(tmp_path / "fifo")).ask("reload")


def test_without_a_control_socket_there_is_no_answer(inbox: EventInbox, log: ServerLog, tmp_path: Path) -> None:
    fifos = MasterFifos([str(tmp_path / "fifo")], NOBODY, inbox, log)
    fifos.open()
    target = RunningServer(str(tmp_path / "fifo"))
    assert target.ask("reload")["ok"]
    assert [note.name for note in asked(inbox)] == ["reload"]
    assert main(["stop", "--wait", str(tmp_path / "fifo")]) == 2
    assert asked(inbox) == []
    for command, wait in (("reload", True), ("status", False), ("pause", False), ("bananas", False)):
        with pytest.raises(UsageError, match="control socket"):
            target.ask(command, wait=wait)
    fifos.close()


def test_a_server_s_end_is_waited_for_by_its_pid(held: tuple[str, int]) -> None:
    assert main(["stop", "--wait", held[0]]) == 0
    assert os.waitid(os.P_PID, held[1], os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def test_a_server_that_does_not_stop_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Refuses(RunningServer):
        def __init__(self, name: str) -> None:
            self.name = name

        def __exit__(self, *_: object) -> None:
            pass

        def ask(self, command: str, *, wait: bool = False) -> dict[str, object]:
            return {"ok": False, "said": "no\udce9\x1b"}

        def end(self) -> Callable[[], object]:
            return lambda: pytest.fail("waited for ever")

    monkeypatch.setattr("greenwsgi.subcommands.server_commands.RunningServer", Refuses)
    assert main(["stop", "--wait", "x"]) == 1
    assert capsys.readouterr().err == "no\\udce9\\x1b\n"


def test_sigterm_has_uwsgis_old_meaning_if_asked() -> None:
    assert by_signal(False)[SIGTERM] is BY_NAME["stop"]
    assert by_signal(True)[SIGTERM] is BY_NAME["reload-now"]
