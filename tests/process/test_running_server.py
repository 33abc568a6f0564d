"""What answers at a control socket may be anybody: who it is matters, and no answer does more than end the command."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

import pytest

from greenwsgi.cli import main
from greenwsgi.errors import UsageError
from greenwsgi.process.control import control_client
from greenwsgi.process.control.control_client import MOST_ANSWER, Caller
from greenwsgi.process.control.master_fifo import tell
from greenwsgi.process.control.running_server import RunningServer
from greenwsgi.process.lifecycle import child_processes, pidfile

Output = pytest.CaptureFixture[str]

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who listens on a unix socket")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
needs_pidfd = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux has pidfds")


@contextmanager
def answering(path: Path, answer: bytes, *, close: bool = True) -> Iterator[None]:
    """Somebody takes one connection there, reads a line and says that. close: then he hangs up."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        done = threading.Event()

        def talk() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                try:
                    connection.sendall(answer)
                except OSError:  # he has read enough
                    return
                if not close:
                    done.wait(30)

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            yield
        finally:
            done.set()
            with socket.socket(socket.AF_UNIX) as late:  # if no client came
                late.connect_ex(str(path))
            thread.join(30)
    path.unlink()


ESCAPES = "\x1b]0;owned\x07\x1b[2J\nfake line"
ODD = "what answers there is no greenwsgi, or a much older or newer one"
STATUS = {"version": ESCAPES, "pid": ESCAPES, "listeners": [ESCAPES], "generations": [], "workers": []}
WHOLE = {"version": "1", "pid": 1, "state": "serves", "memory": 0, "listeners": [], "generations": [], "totals": []}


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("ping", b""),
        ("ping", b"\n"),
        ("ping", b"junk\n"),
        ("ping", b"\xff\xfe\x00\xd8\n"),
        ("ping", b'{"ok": true, "said": "po'),
        ("ping", b"[" * 1_000_000 + b"\n"),
        ("ping", b'{"ok": true, "said": ' + b'{"a":' * 100_000 + b"\n"),
        ("ping", b'{"ok": true, "said": "pong", "generation": ' + b"9" * 5000 + b"}\n"),
        ("ping", b"null\n"),
        ("ping", b'{"ok": true}\n'),
        ("ping", b'{"ok": true, "said": "pong"}\n'),
        ("ping", b'{"ok": true, "said": "pong", "version": 1, "pid": "1", "generation": []}\n'),
        ("ping", b"x" * (MOST_ANSWER + 200_000)),
        ("reload", b"[]\n"),
        ("reload", b'{"ok": "yes", "said": "x"}\n'),
        ("reload", b'{"ok": 1, "said": "x"}\n'),
        ("reload", b'{"ok": true, "said": ["x"]}\n'),
        ("reload", b'{"ok": false}\n'),
        ("reload", b'{"ok": false, "said": "x", "details": {}}\n'),
        ("status", b'{"ok": true}\n'),
        ("status", b'{"ok": true, "status": {}}\n'),
        ("status", b'{"ok": true, "status": [1]}\n'),
        ("status", b'{"ok": true, "status": null}\n'),
        ("status", json.dumps({"ok": True, "status": STATUS}).encode() + b"\n"),
        ("status", json.dumps({"ok": True, "status": WHOLE | {"memory": "x"}}).encode() + b"\n"),
        ("status", json.dumps({"ok": True, "status": WHOLE | {"generations": [1]}}).encode() + b"\n"),
        ("status", json.dumps({"ok": True, "status": WHOLE | {"totals": {"a": 1}}}).encode() + b"\n"),
        ("status --json", b'{"ok": true, "status": [1]}\n'),
    ],
    ids=lambda value: value if type(value) is str else repr(value[:40]),
)
def test_an_answer_that_makes_no_sense_is_one_line(command: str, answer: bytes, tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "control"
    with answering(path, answer):
        assert main([*command.split(), str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"greenwsgi: error: {path}: ")
    assert said.err.count("\n") == 1
    assert ODD in said.err or "hung up without an answer" in said.err


@pytest.mark.parametrize(
    ("command", "answer", "status"),
    [
        ("reload", {"ok": True, "said": ESCAPES}, 0),
        ("reload", {"ok": False, "said": ESCAPES, "details": ESCAPES}, 1),
        ("ping", {"ok": True, "said": "pong", "version": ESCAPES, "pid": 1, "generation": 1}, 0),
        ("status", {"ok": True, "status": WHOLE | {"version": ESCAPES}}, 0),
    ],
    ids=["said", "details", "version", "status"],
)
def test_a_terminal_obeys_no_answer(
    command: str, answer: dict[str, object], status: int, tmp_path: Path, capsys: Output
) -> None:
    with answering(tmp_path / "control", json.dumps(answer).encode() + b"\n"):
        assert main([command, str(tmp_path / "control")]) == status
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\x07" not in said.out + said.err


_GENERATION = {"generation": 1, "stage": ESCAPES, "zygote": ESCAPES, "age": 1, "memory": 0, "failure": ESCAPES}
_WORKER = dict.fromkeys(("worker", "pid", "stage", "requests", "in_flight", "exceptions", "harakiris"), ESCAPES)
_TOTALS = ("worker", "respawns", "requests", "exceptions", "harakiris", "client_gone", "refused", "overloaded")


def test_no_text_of_a_status_makes_a_line(tmp_path: Path, capsys: Output) -> None:
    worker = _WORKER | {"age": 1, "memory": 0}
    status: dict[str, object] = dict.fromkeys(("version", "pid", "state"), ESCAPES)
    status |= {"memory": 0, "listeners": [ESCAPES], "generations": [_GENERATION | {"workers": [worker]}]}
    status["children"] = [dict.fromkeys(("role", "name", "stage", "pid"), ESCAPES)]
    status["totals"] = [dict.fromkeys(_TOTALS, ESCAPES)]
    with answering(tmp_path / "control", json.dumps({"ok": True, "status": status}).encode() + b"\n"):
        assert main(["status", str(tmp_path / "control")]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\n") == 9, (
        "a head, a table of three rows, a child, a failure, a table of two rows with its title"
    )
    assert not any(line.startswith("fake line") for line in shown.splitlines())
    assert all(c.isprintable() for c in shown.replace("\n", ""))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_obeys_nothing_that_connect_and_read_shows(
    terminal: bool, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that reads the output gets it as it was said."""
    said = "\x1b]0;owned\x07\x9b2Jé\n".encode() + b"\xff\n\xc3"
    monkeypatch.setattr(
        "greenwsgi.subcommands.server_commands.connect_and_read", lambda address: iter([said[:-7], said[-7:]])
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert main(["--connect-and-read", "socket"]) == 0
    shown = capfdbinary.readouterr().out
    assert shown == (b"\\x1b]0;owned\\x07\\x9b2J\xc3\xa9\n\\xff\n\\xc3" if terminal else said)


@pytest.mark.parametrize("wait", [False, True])
def test_an_answer_that_does_not_come_whole_is_not_waited_for(wait: bool, tmp_path: Path) -> None:
    with answering(tmp_path / "control", b'{"ok": ', close=False):
        caller = Caller(str(tmp_path / "control"), seconds=0.05)
        with pytest.raises(UsageError, match="the server does not answer: timed out"):
            caller.ask("reload", wait=wait)
        caller.close()


def test_who_never_ends_to_talk_is_not_waited_for(tmp_path: Path) -> None:
    answer = b'{"ok": true, "said": "the server stops"}\n'
    with answering(tmp_path / "control", answer + b"x" * 1_000_000):
        caller = Caller(str(tmp_path / "control"))
        assert caller.ask("stop")["ok"]
        with pytest.raises(UsageError, match=ODD):
            caller.wait_for_end()
        caller.close()


# Who answers

_OTHER = """
import os, socket, sys
from greenwsgi.process.lifecycle.pidfile import Pidfile
if sys.argv[1]:
    Pidfile(sys.argv[1]).write()
listening = socket.socket(socket.AF_UNIX)
if sys.argv[2]:
    listening.bind(sys.argv[2])
    if len(sys.argv) > 3:
        os.chmod(sys.argv[2], 0o666)
        os.setuid(int(sys.argv[3]))
    listening.listen()
print("ready", flush=True)
if sys.argv[2]:
    connection, _ = listening.accept()
    if connection.recv(4096):
        connection.sendall(b'{"ok": true, "said": "done"}\\n')
sys.stdin.read()
"""


@contextmanager
def other(pidfile: str = "", path: str = "", *user: str) -> Iterator[int]:
    """Another process that has the pidfile, or answers at the path, or both; its pid."""
    command = [sys.executable, "-c", _OTHER, pidfile, path, *user]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()
            process.kill()


@needs_linux
def test_who_answers_beside_a_pidfile_must_have_it_locked(tmp_path: Path, capsys: Output) -> None:
    pidfile, path = tmp_path / "app.pid", tmp_path / "app.pid.control"
    with other(str(pidfile)) as server, other("", str(path)) as stranger:
        assert main(["reload", str(pidfile)]) == 2
        assert capsys.readouterr().err == (
            f"greenwsgi: error: {path}: process {stranger} answers there, but process {server} has the pidfile:"
            " nothing is asked\n"
        )
    path.unlink()
    with other(str(pidfile), str(path)):
        assert main(["reload", str(pidfile)]) == 0
        assert capsys.readouterr().out == "done\n"


@needs_linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_answers_must_be_who_owns_the_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    with other("", path, "54321") as stranger, pytest.raises(UsageError) as caught:
        RunningServer(path)
    assert str(caught.value) == (
        f"{path}: process {stranger} of user 54321 answers there, but the socket is user 0's: nothing is asked"
    )
    os.unlink(path)
    with other("", path, "54321"):
        os.chown(path, 54321, -1)
        with RunningServer(path) as target:
            assert target.ask("reload") == {"ok": True, "said": "done"}


@pytest.mark.parametrize("command", [["ping"], ["status"], ["reload", "--wait"], ["stop", "--wait"]], ids=" ".join)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4194305\n", "no greenwsgi has this pidfile: process 4194305 is gone"),
        ("1\n", "no greenwsgi has this pidfile: process 1 is another one"),
        ("", "this is no pidfile"),
    ],
    ids=["gone", "another", "empty"],
)
def test_beside_a_pidfile_that_no_process_has_locked_nothing_is_asked(
    command: list[str], text: str, said: str, tmp_path: Path, capsys: Output
) -> None:
    """In a folder like /tmp any user can put a socket beside the pidfile that a dead server has left."""
    path = tmp_path / "app.pid"
    path.write_text(text)
    with answering(tmp_path / "app.pid.control", b'{"ok": true, "said": "done", "version": "1", "pid": 1}\n'):
        assert main([*command, str(path)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == f"greenwsgi: error: {path}: {said}\n"


def test_a_system_that_does_not_say_who_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_client, "_peer", lambda sock: (0, None))
    with other("", str(tmp_path / "control")), RunningServer(str(tmp_path / "control")) as target:
        assert target.ask("reload")["ok"]


# Signals


@needs_pidfd
def test_a_pid_that_is_used_again_is_not_signalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends, and its pid becomes a stranger's, before it is held by a descriptor."""
    path = str(tmp_path / "app.pid")
    with other(path) as server:
        holder = pidfile.holder

        def ends(name: str) -> pidfile.Holder:
            """Proven once; then the lock is gone."""
            monkeypatch.setattr(pidfile, "holder", changed)
            return holder(name)

        def changed(name: str) -> pidfile.Holder:
            raise UsageError(f"{name}: no greenwsgi has this pidfile: process {server} is another one")

        monkeypatch.setattr(pidfile, "holder", ends)
        with pytest.raises(UsageError, match="is another one"):
            RunningServer(path)


_LOCKS_AND_EXECUTES = """
import fcntl, os, sys
file, program = map(int, sys.argv[1:])
os.setuid(54321)
fcntl.lockf(file, fcntl.LOCK_EX)
os.pwrite(file, b"%d" % os.getpid(), 0)
os.execve(program, ["cat"], {})
"""


@contextmanager
def locks_and_executes(path: Path, mode: int) -> Iterator[subprocess.Popen[bytes]]:
    """A user's process that has locked his pidfile and then executes root's `cat`, which has that mode."""
    program = path.with_name("cat")
    shutil.copy(shutil.which("cat") or "", program)
    program.chmod(mode)
    path.touch(0o644)
    os.chown(path, 54321, 54321)
    with path.open("r+") as file, program.open("rb") as cat:
        fds = (file.fileno(), cat.fileno())
        command = [sys.executable, "-c", _LOCKS_AND_EXECUTES, *map(str, fds)]
        process = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.read(1) == b"\n"
        yield process
        process.stdin.close()


@needs_pidfd
@needs_root
def test_a_set_uid_program_that_a_users_lock_leads_to_lives_on(tmp_path: Path, capsys: Output) -> None:
    """The lock and the pid stay over an exec: by them a user could have root signal a program that is not his."""
    path = tmp_path / "app.pid"
    with locks_and_executes(path, 0o4755) as process:
        if b"Uid:\t54321\t0\t" not in Path(f"/proc/{process.pid}/status").read_bytes():
            pytest.skip("set-uid programs do nothing in this filesystem")
        for command in ("stop", "reload"):
            assert main([command, str(path)]) == 2
            assert capsys.readouterr().err == (
                f"greenwsgi: error: {path}: process {process.pid} has it locked and runs as user 0 and 54321, but the"
                " file is user 54321's: nothing is signalled\n"
            )
        assert process.poll() is None
    assert process.returncode == 0


@needs_pidfd
@needs_root
def test_a_users_own_server_is_signalled(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "app.pid"
    with locks_and_executes(path, 0o755) as process:
        assert main(["stop", str(path)]) == 0
        assert capsys.readouterr().out == "stop is asked for\n"
        assert process.wait() == -SIGTERM
    assert os.getresuid() == (0, 0, 0)


@needs_pidfd
def test_a_dead_socket_beside_a_pidfile_does_not_keep_it_from_its_server(tmp_path: Path, capsys: Output) -> None:
    """Any user who may write in the folder can put one there; the pidfile's lock proves the server."""
    path = tmp_path / "app.pid"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "app.pid.control"))
    refused = f"greenwsgi: error: {path}.control: no server answers: Connection refused\n"
    with other(str(path)) as server:
        for command in (["ping"], ["status"], ["reload", "--wait"], ["ask", "pause"]):
            assert main([*command, str(path)]) == 2
            assert capsys.readouterr() == ("", refused)
        assert main(["stop", f"{path}.control"]) == 2
        assert capsys.readouterr().err == refused
        with RunningServer(str(path)) as found:
            assert not found.answers
        assert os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        assert main(["stop", "--wait", str(path)]) == 0
        assert capsys.readouterr().out == "stop is asked for\n"
        ended = os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
        assert ended
        assert ended.si_status == SIGTERM
    assert main(["stop", str(path)]) == 2
    assert "no greenwsgi has this pidfile" in capsys.readouterr().err


@needs_pidfd
@needs_root
def test_a_signal_is_sent_with_the_rights_of_the_pidfiles_owner() -> None:
    """A process that was his when it was looked at may have executed a set-uid program since."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as roots:
        held = child_processes.hold(roots.pid)
        for by in (held, -1):
            with pytest.raises(PermissionError):
                child_processes.signal_server(roots.pid, by, SIGTERM, 54321)
        assert roots.poll() is None
        assert os.getresuid() == (0, 0, 0)
        child_processes.signal_server(roots.pid, held, SIGTERM, 0)
        os.close(held)
    assert roots.returncode == -SIGTERM


@needs_pidfd
@needs_root
@pytest.mark.parametrize(
    ("owner", "mode", "runs_as", "said"),
    [
        (0, 0o644, "0", ""),
        (0, 0o600, "54321", ""),  # a master that root has started
        (54321, 0o644, "54321", ""),
        (54321, 0o644, "0", "runs as user 0, but the file is user 54321's"),
        (54321, 0o644, "54322", "runs as user 54322, but the file is user 54321's"),
        (0, 0o666, "54321", ""),  # made by root for a server's user
        (0, 0o664, "0", "runs as user 0, but others than root may write the file"),
    ],
)
def test_who_may_have_a_pidfile_locked(owner: int, mode: int, runs_as: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "app.pid"
    with other(str(path), str(tmp_path / "sock"), runs_as) as server:
        os.chown(path, owner, owner)
        path.chmod(mode)
        if said:
            with pytest.raises(UsageError, match=said):
                pidfile.holder(str(path))
        else:
            assert pidfile.holder(str(path)) == (server, owner)


def test_a_lock_whose_process_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock stays while another process shares its descriptors."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("without /proc nothing tells a process's users")
    path = tmp_path / "app.pid"
    with subprocess.Popen(["true"]) as process:
        process.wait()
    path.write_text(f"{process.pid}\n")
    monkeypatch.setattr("greenwsgi.process.lifecycle.file_locks.writer", lambda fd: process.pid)
    with pytest.raises(UsageError, match="which has it locked, is gone or cannot be seen: nothing is signalled"):
        pidfile.holder(str(path))


@needs_pidfd
def test_a_server_that_has_ended_since_is_told_of(tmp_path: Path) -> None:
    path = str(tmp_path / "app.pid")
    with other(path):
        target = RunningServer(path)
    with target, pytest.raises(UsageError, match="No such process"):
        target.ask("stop")


@needs_linux
def test_a_stranger_in_a_pidfile_that_somebody_has_locked_lives_on(tmp_path: Path, capsys: Output) -> None:
    """A flock proves nothing: every reader can have it."""
    path = tmp_path / "app.pid"
    code = "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print(); sys.stdin.read()"
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as stranger:
        path.write_text(f"{stranger.pid}\n")
        command = [sys.executable, "-uc", code, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"\n"
            assert main(["stop", str(path)]) == 2
            reader.communicate()
        assert stranger.poll() is None
        stranger.communicate()
    assert stranger.returncode == 0, f"not {-SIGTERM}"
    assert "no greenwsgi has this pidfile" in capsys.readouterr().err


def test_a_fifo_that_became_a_file_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UsageError, match="this is no fifo any more"):
        tell(str(tmp_path / "file"), "q")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_full_fifo_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK)
    _until(BlockingIOError, lambda: os.write(reader, b" " * 4096))
    _until(BlockingIOError, lambda: os.write(reader, b" "))
    with pytest.raises(UsageError, match="this fifo is full"):
        tell(str(tmp_path / "fifo"), "q")
    os.close(reader)


def _until(error: type[Exception], act: Callable[[], object]) -> None:
    while True:
        try:
            act()
        except error:
            return
