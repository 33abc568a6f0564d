"""Every way to ask a running server: each signal, letter and name of COMMANDS, and the subcommands that use them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from signal import (
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGQUIT,
    SIGTERM,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGURG,
    SIGUSR1,
    SIGUSR2,
    SIGWINCH,
    Signals,
)

import pytest

from greenwsgi.process.control.commands import COMMANDS
from tests.live.client import read_answer
from tests.live.ps import wait_until
from tests.live.server import HELLO, ROOT, Server

DOORS = ("--pidfile", "app.pid", "--master-fifo", "app.fifo", "--vacuum")

SERVES_AGAIN = r"reloaded: generation \d+ serves"
STOPPED = r"stopped$"

QUIET: list[tuple[Signals | str, str]] = [
    ("resume", r"resume: ignored: the server is not paused"),
    ("pause", r"pause: paused"),
    (SIGTSTP, r"SIGTSTP: resumed"),
    ("p", r"fifo p: paused"),
    ("pause-or-resume", r"resumed"),
    (SIGTTOU, r"SIGTTOU: 1 worker will run"),
    (SIGTTIN, r"SIGTTIN: 2 workers will run"),
    ("-", r"fifo -: 1 worker will"),
    ("+", r"fifo \+: 2 workers"),
    ("fewer-workers", r"1 worker will"),
    ("more-workers", r"2 workers"),
    (SIGUSR1, r"since the start:"),
    ("s", r"since the start:"),
    ("statistics", r"since the start:"),
    ("l", r"fifo l: the log is opened again\n(?:.*\n)*?.*nothing is done: the log goes to no file"),
    ("L", r"fifo L: the log is rotated\n(?:.*\n)*?.*nothing is done"),
    ("P", r"fifo P: the pidfile is written again"),
    ("write-pidfile", r"write-pidfile: the pidfile"),
    (SIGURG, r"SIGURG: ignored"),
    (SIGWINCH, r"SIGWINCH: ignored"),
    ("wake", r"wake: ignored"),
    ("C", r"fifo C: no worker will run until a connection comes"),
    ("cheap", r"cheap: ignored: no worker runs already"),
    ("+", r"fifo \+: 1 worker will"),
    ("more-workers", r"2 workers"),
    ("B", r"fifo B: ignored: there is no emperor"),
    ("E", r"fifo E: ignored"),
    ("emperor", r"emperor: ignored"),
    ("S", r"fifo S: ignored"),
    ("subscriptions", r"subscriptions: ignored"),
    (SIGHUP, SERVES_AGAIN),
    ("r", SERVES_AGAIN),
    ("reload", SERVES_AGAIN),
    ("R", SERVES_AGAIN),
    ("reload-now", SERVES_AGAIN),
    ("c", SERVES_AGAIN),
    ("reload-chain", SERVES_AGAIN),
    ("w", SERVES_AGAIN),
    ("reload-workers", SERVES_AGAIN),
    ("W", SERVES_AGAIN),
    ("reload-workers-now", SERVES_AGAIN),
]
"""What leaves the server running, in an order in which each changes something."""

STOPS: list[Signals | str] = [SIGTERM, SIGINT, SIGQUIT, "q", "Q", "stop", "stop-now"]


REEXECS: set[Signals | str] = {SIGUSR2, "f", "reexec"}  # in test_reexec.py


LOGS: set[Signals | str] = {"reopen-log", "rotate-log"}  # in test_a_log_is_rotated


def test_every_row_is_tried_here() -> None:
    tried = {way for way, _ in QUIET} | set(STOPS) | REEXECS | LOGS
    assert {way for row in COMMANDS for way in (row.name, *row.signals, *row.letters)} == tried


def greenwsgi(server: Server, *arguments: str) -> tuple[int, str, str]:
    """Run a subcommand in the server's folder: its status, output and errors."""
    command = [sys.executable, "-m", "greenwsgi", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=server.folder, env=env, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def control(server: Server, line: bytes) -> dict[str, object]:
    """One line to the control socket, and the answer."""
    with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rb") as file:
        sock.settimeout(30)
        sock.connect(str(server.folder / "app.pid.control"))
        sock.sendall(line + b"\n")
        answer = json.loads(file.readline())
    assert isinstance(answer, dict)
    return answer


def ask(server: Server, way: Signals | str) -> None:
    """By a signal, by a letter, or by name."""
    if isinstance(way, Signals):
        server.signal(way)
    elif len(way) == 1:
        (server.folder / "app.fifo").write_text(way)
    else:
        control(server, json.dumps({"command": way}).encode())


def test_each_way_has_its_effect() -> None:
    with Server("--processes", "2", *DOORS) as server:
        for way, expected in QUIET:
            mark = server.mark()
            ask(server, way)
            server.wait_for(expected, after=mark)
        assert server.get("/").body == b"hello"
        assert len(server.workers()) >= 2


@pytest.mark.parametrize("way", STOPS)
def test_each_way_to_stop(way: Signals | str) -> None:
    with Server(*DOORS) as server:
        ask(server, way)
        server.wait(status=0)
        assert list(server.folder.glob("app.[pf]*")) == [server.folder / "app.py"]


def test_a_reload_is_waited_for_and_a_failure_has_its_traceback() -> None:
    with Server("--processes", "2", *DOORS) as server:
        assert greenwsgi(server, "ping", "app.fifo")[1].endswith(f"pid {server.pid}, generation 1\n")
        for target in ("app.pid", "app.fifo", "app.pid.control"):
            status, out, _ = greenwsgi(server, "reload", "--wait", target)
            assert (status, out.split(":")[0]) == (0, "reloaded")
        server.write("app.py", "def helper():\n    1 / 0\nhelper()\n")
        status, out, err = greenwsgi(server, "reload", "--wait", "app.pid")
        assert (status, out) == (1, "")
        assert 'app.py", line 2, in helper' in err
        assert err.splitlines()[-1].startswith("reload failed: generation 5: ")
        assert err.endswith("generation 4 serves on\n")
        assert server.get("/").body == b"hello"


def test_a_broken_configuration_is_told_to_who_waits() -> None:
    ini = "[uwsgi]\nhttp-socket = 127.0.0.1:0\nwsgi-file = app.py\npidfile = app.pid\nvacuum = 1\n"
    with Server("app.ini", app=None, http=False, files={"app.ini": ini, "app.py": HELLO}) as server:
        server.write("app.ini", ini + "processes = many\n")
        status, _, err = greenwsgi(server, "reload", "--wait", "app.pid")
        assert status == 1
        assert err.startswith("reload refused, nothing has changed: app.ini:6: processes: found 'many'")


def test_status_as_a_table_and_as_json() -> None:
    with Server("--processes", "2", *DOORS) as server:
        server.get("/")
        status, table, _ = greenwsgi(server, "status", "app.pid")
        assert status == 0
        assert f"(pid {server.pid}, " in table.splitlines()[0]
        found = json.loads(greenwsgi(server, "status", "--json", "app.pid")[1])
        assert found["pid"] == server.pid
        assert sum(one["requests"] for one in found["totals"]) == 1
        (generation,) = found["generations"]
        assert generation["zygote"] in server.zygotes()
        assert sorted(worker["pid"] for worker in generation["workers"]) == server.workers()
        assert all(worker["stage"] == "serving" for worker in generation["workers"])


def test_stop_is_waited_for() -> None:
    with Server(*DOORS) as server:
        assert greenwsgi(server, "stop", "--wait", "app.pid")[0] == 0
        server.wait(status=0)


def test_a_paused_server_keeps_connections_waiting_and_resumes() -> None:
    with Server("--processes", "2", *DOORS) as server:
        assert greenwsgi(server, "--pause", "app.pid")[0] == 0
        workers = '"stage": "paused"'
        wait_until(lambda: greenwsgi(server, "status", "--json", "app.pid")[1].count(workers) == 2, "both paused")
        with server.connect() as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            found = json.loads(greenwsgi(server, "status", "--json", "app.pid")[1])
            assert sum(one["requests"] for one in found["totals"]) == 0
            assert greenwsgi(server, "--resume", "app.pid")[0] == 0
            assert read_answer(sock).body == b"hello"


def test_a_worker_that_comes_while_the_server_is_paused_accepts_nothing() -> None:
    def status() -> str:
        return json.dumps(control(server, b'{"command": "status"}'))

    with Server("--cheap", *DOORS) as server:
        assert control(server, b'{"command": "pause"}')["ok"]
        with server.connect() as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            wait_until(lambda: '"stage": "paused"' in status(), "a worker, which is paused")
            assert '"requests": 1' not in status()
            assert control(server, b'{"command": "resume"}')["ok"]
            assert read_answer(sock).body == b"hello"


def test_a_cheap_server_has_no_workers_until_a_connection_comes() -> None:
    with Server("--processes", "2", *DOORS) as server, server.connect() as kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(kept).body == b"hello"
        for way in ("C", "cheap"):
            ask(server, way)
            wait_until(lambda: server.workers() == [], "the workers' end")
            assert server.get("/").body == b"hello"
            server.wait_for("a connection has come: 2 workers will run")
            wait_until(lambda: len(server.workers()) == 2, "both workers again")


SAYS_PID = """
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    print("served by", os.getpid(), flush=True)
    return [b"ok"]
"""


def test_a_log_is_rotated() -> None:
    with Server("--logto", "server.log", *DOORS, app=SAYS_PID, ready="^$") as server:
        log = server.folder / "server.log"
        wait_until(lambda: log.exists() and "generation 1 serves" in log.read_text(), "the start")

        def answered_in_new_file() -> bool:
            server.get("/")
            return log.exists() and f"served by {server.workers()[0]}" in log.read_text()

        log.rename(server.folder / "moved.log")
        control(server, b'{"command": "reopen-log"}')
        wait_until(answered_in_new_file, "the worker's line in the new file")
        control(server, b'{"command": "rotate-log"}')
        wait_until(lambda: len(list(server.folder.glob("server.log.*"))) == 1 and answered_in_new_file(), "both files")
        control(server, b'{"command": "reload"}')
        wait_until(lambda: "generation 2 serves" in log.read_text(), "the reload")
        wait_until(answered_in_new_file, "a new worker's line")


def test_an_orphan_opens_the_log_again_by_a_command_and_by_a_signal() -> None:
    """Its zygote is dead, and its command pipe is the master's."""
    with Server("--logto", "server.log", *DOORS, app=SAYS_PID, ready="^$") as server:
        log = server.folder / "server.log"
        wait_until(lambda: log.exists() and "generation 1 serves" in log.read_text(), "the start")
        (zygote,), (worker,) = server.zygotes(), server.workers()
        os.kill(zygote, SIGKILL)
        wait_until(lambda: server.zygotes() not in ([], [zygote]), "another zygote")

        def answered_in_new_file() -> bool:
            server.get("/")
            return log.exists() and f"served by {worker}" in log.read_text()

        log.rename(server.folder / "moved.log")
        control(server, b'{"command": "reopen-log"}')
        wait_until(answered_in_new_file, "its line in the new file")
        log.rename(server.folder / "moved-again.log")
        os.kill(worker, SIGURG)
        wait_until(answered_in_new_file, "its line in the newest file")


def test_a_zygote_that_is_starting_opens_the_log_anew() -> None:
    with Server("--logto", "server.log", app=SAYS_PID, ready="^$") as server:
        log, moved = server.folder / "server.log", server.folder / "moved.log"
        wait_until(lambda: log.exists() and "generation 1 serves" in log.read_text(), "the start")
        log.rename(moved)
        before = set(server.processes())
        server.signal(SIGHUP)
        wait_until(lambda: set(server.processes()) > before, "another zygote", every=0.002)
        (zygote,) = set(server.processes()) - before
        os.kill(zygote, SIGURG)
        wait_until(lambda: "generation 2 serves" in moved.read_text(), "the reload")
        wait_until(lambda: len(server.processes()) == 3, "the old generation's end")
        server.get("/")
        wait_until(lambda: log.exists() and "served by" in log.read_text(), "the new worker's line in the new file")


def test_log_reopen() -> None:
    with Server("--logto", "server.log", "--log-reopen", *DOORS, app=SAYS_PID, ready="^$") as server:
        log, moved = server.folder / "server.log", server.folder / "moved.log"
        wait_until(lambda: log.exists() and "generation 1 serves" in log.read_text(), "the start")
        assert moved not in server.folder.iterdir()
        log.rename(moved)
        server.signal(SIGHUP)
        wait_until(lambda: log.exists() and "generation 2 serves" in log.read_text(), "the reload in the new file")
        server.get("/")
        wait_until(lambda: "served by" in log.read_text(), "the new worker's line")
        assert "generation 2" not in moved.read_text()


def test_sigterm_reloads_if_that_is_wanted() -> None:
    with Server("--sigterm-reloads", *DOORS) as server:
        server.signal(SIGTERM)
        server.wait_for(SERVES_AGAIN)
        server.stop(SIGINT)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reload"], "reload: the following arguments are required: TARGET (or --help)"),
        (["reload", "dead.pid"], "dead.pid: no greenwsgi has this pidfile: process 4194305 is gone"),
        (["stop", "foreign.pid"], "foreign.pid: no greenwsgi has this pidfile: process 1 is another one"),
        (["--stop", "foreign.pid"], "foreign.pid: no greenwsgi has this pidfile: process 1 is another one"),
        (["status", "app.py"], "app.py: this is no pidfile"),
        (["ping", "nowhere"], "nowhere: No such file or directory"),
        (["--connect-and-read", "127.0.0.1:1"], "127.0.0.1:1: Connection refused"),
        (
            ["--http-socket", "127.0.0.1:0", "--master-fifo", "app.py", "app.py"],
            "master-fifo: {folder}/app.py: there is a file of that name, and it is no",
        ),
        (
            ["--http-socket", "127.0.0.1:0", "--control-socket", "app.py", "app.py"],
            "command line: control-socket {folder}/app.py: there is a file of that name, and",
        ),
        (
            ["--http-socket", "127.0.0.1:0", "--control-socket", "app.pid.control", "app.py"],
            "another server listens there",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(arguments: list[str], said: str, running: Server) -> None:
    status, out, err = greenwsgi(running, *arguments)
    assert (status, out) == (2, "")
    assert said.format(folder=running.folder) in err
    assert err.count("\n") == 1
    assert running.get("/").body == b"hello"


@pytest.fixture(scope="module")
def running() -> object:
    files = {"dead.pid": "4194305\n", "foreign.pid": "1\n"}
    server = Server(*DOORS, files=files)
    with server:
        yield server
        for name in files:
            (server.folder / name).unlink()


@pytest.mark.parametrize("line", [b"reload", b"[" * 4000, b'{"command": "relaod"}', b"\xff\x00"])
def test_nonsense_on_the_control_socket_leaves_the_server_untouched(line: bytes, running: Server) -> None:
    assert control(running, line)["ok"] is False
    assert control(running, b'{"command": "ping"}')["pid"] == running.pid
    assert "in the master" not in running.log


def test_connect_and_read_prints_what_a_socket_says(running: Server, tmp_path: Path) -> None:
    path = str(tmp_path / "says.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        command = [sys.executable, "-m", "greenwsgi", "--connect-and-read", path]
        with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE) as reader:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b'{"x": 1}\n')
            assert reader.stdout is not None
            assert reader.stdout.read() == b'{"x": 1}\n'
    assert reader.returncode == 0
