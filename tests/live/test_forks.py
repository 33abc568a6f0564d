"""What an application forks, in each way there is: a program of its own, and the server does not notice."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import ps
from tests.live.nginx import Nginx
from tests.live.server import Server

APP = (Path(__file__).parent / "forking.py").read_text("utf-8")

BY_GREENLETS = (
    *("plainly", "by_original", "by_forkpty", "by_multiprocessing", "in_greenlet", "in_raw_greenlet"),
    *("in_python_thread", "in_callback", "in_handler", "nested"),
)
BY_THREADS = ("in_pool_thread", "in_bare_thread")
ACCESS = re.compile(r"^\[pid: (\d+)\|app: 0\|req: (\d+)/(\d+)\] .*? (?:GET|POST) (\S+) ", re.MULTILINE)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("--async", "50", app=APP) as server:
        yield server


def fork(server: Server, path: str) -> dict[str, Any]:
    """Have it fork; what the parent answers, which is never said by another process."""
    answer = server.get(path)
    assert answer.status == 200, server.log
    said: dict[str, Any] = json.loads(answer.body)
    assert said["worker"] in server.workers()
    return said


@contextlib.contextmanager
def child_of(server: Server, way: str) -> Iterator[int]:
    """A child that lives, and waits in its hub, until the block ends; then SIGTERM ends it."""
    pid = fork(server, f"/{way}/stay")["child"]
    try:
        yield pid
        assert any(one.pid == pid for one in ps.living())
    finally:
        os.kill(pid, signal.SIGTERM)
    ps.wait_gone(pid)


def later(call: Callable[[], Any]) -> Callable[[], Any]:
    """Call it in a thread; returns what waits for its result."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()

    def result() -> Any:
        thread.join(30)
        return found[0]

    return result


# What a child finds


@pytest.mark.parametrize("way", [*BY_GREENLETS, *BY_THREADS])
def test_a_child_has_nothing_of_the_server_and_all_that_a_program_has(server: Server, way: str) -> None:
    with server.connect() as kept:  # a client's socket that is open meanwhile
        kept.sendall(b"GET /say?x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(1000)
        found = fork(server, f"/{way}/look")
    assert found["status"] == 0
    said = found["said"]
    assert said.pop("sockets") == said.pop("board") == said.pop("mask") == []
    assert not set(said.pop("pipes")) & pipes_of(server)
    assert said.pop("handlers") == {
        **dict.fromkeys(("HUP", "QUIT", "TERM", "TSTP", "CONT", "URG", "ABRT", "CHLD"), "SIG_DFL"),
        "INT": "default_int_handler",
        "PIPE": "SIG_IGN",
        "USR1": "_nothing",
        "USR2": "_nothing",
    }
    assert said == {
        "popen": "out\n", "thread": "ran", "lock": "abc", "pair": "x", "fork": 7,
        "timeout": True, "pool": True, "main": True,
    }  # fmt: skip


def pipes_of(server: Server) -> set[str]:
    """The master's pipes: the ends of those that workers and zygotes have, beside the log."""
    links = ps.open_files(server.pid)
    return {link for link in links.values() if link.startswith("pipe:")} - {links[1], links[2]}


@pytest.mark.parametrize("way", [*BY_GREENLETS, *BY_THREADS])
def test_a_child_ends_where_its_code_does(server: Server, way: str) -> None:
    mark = server.mark()
    assert fork(server, f"/{way}/answer")["status"] == 0
    assert fork(server, f"/{way}/fail")["status"] == 1
    if way != "by_forkpty":  # its standard error is its terminal
        server.wait_for("^ValueError: of a child", after=mark)
    if way != "in_bare_thread":  # there sys.exit() ends the thread only, whose process then has nothing left
        assert fork(server, f"/{way}/leave?3")["status"] == 3
    if way != "by_multiprocessing":  # gevent's os.close, which it calls, keeps the loop waiting
        assert fork(server, f"/{way}/block")["status"] == 1, "LoopExit"
    assert "Exception ignored in: <" not in server.log


def test_a_child_reads_nothing_more_of_its_request(server: Server) -> None:
    with server.connect() as sock:
        sock.settimeout(30)
        sock.sendall(b"POST /plainly/read HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        said = json.loads(answered(sock))
        assert said["said"] == "read"
        assert said["status"] == 1


def test_a_child_has_no_listener_that_was_standard_input() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with Server("--http-socket", "fd://0", app=APP, http=False, stdin=listener.fileno()) as server:
            server.http_port = listener.getsockname()[1]
            assert fork(server, "/plainly/look")["said"]["sockets"] == []


# The parent


@pytest.mark.parametrize("way", ["plainly", "by_original", "by_multiprocessing", "in_pool_thread", "nested"])
def test_the_worker_alone_serves_beside_a_child(server: Server, way: str) -> None:
    mark = server.mark()
    with server.connect() as alice:
        alice.settimeout(30)
        alice.sendall(b"GET /gate?alice HTTP/1.1\r\nHost: x\r\n\r\n")
        ps.wait_until(lambda: server.get("/waiting").text == "1 0", "the request that waits")
        with child_of(server, way) if way != "nested" else contextlib.nullcontext():
            if way == "nested":
                fork(server, "/nested/wake")
            server.get("/open")
            assert answered(alice) == b"alice"
            for n in range(20):
                alice.sendall(b"GET /say?bob%d HTTP/1.1\r\nHost: x\r\n\r\n" % n)
                assert answered(alice) == b"bob%d" % n
            workers = {server.get("/pid").text.split()[0] for _ in range(40)}
            assert workers == {str(server.workers()[0])}
    lines = ACCESS.findall(server.log[mark:])
    assert {pid for pid, *_ in lines} == workers
    assert [one[3] for one in lines].count("/gate?alice") == 1
    assert all(own == total for _, own, total, _ in lines), "counted by one process only"
    server.get("/shut")


def answered(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        assert more, data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
    while len(body) < length:
        body += sock.recv(4096)
    return body


def test_a_child_wakes_nobody_of_the_parent(server: Server) -> None:
    notes = server.folder / "notes"
    notes.unlink(missing_ok=True)
    for path in ("/shut", "/hold", "/spawn", "/spawn"):
        server.get(path)
    clients = [later(lambda: server.get("/lock?one").text), later(lambda: server.get("/gate?two").text)]
    ps.wait_until(lambda: server.get("/waiting").text == "1 1", "both to wait")
    ways = ("plainly", "by_original", "in_greenlet", "in_callback", "in_pool_thread", "nested")
    for way in ways:
        assert fork(server, f"/{way}/wake")["said"] == "woke", way
    server.get("/release")
    server.get("/open")
    assert [client() for client in clients] == ["one", "two"]
    worker = server.workers()[0]
    expected = [f"gate {worker}", f"lock {worker}", *[f"spawned {worker}"] * len(ways)]
    assert sorted(notes.read_text().splitlines()) == expected, "what was spawned runs once, what waits is not ended"


def test_terminate_ends_a_process_at_any_moment(server: Server) -> None:
    assert server.get("/terminate").text == "{-15}"


def test_what_is_printed_is_printed_once(server: Server) -> None:
    server.get("/print")
    assert fork(server, "/plainly/answer")["status"] == 0
    server.wait_for("said once")
    assert fork(server, "/plainly/answer")["status"] == 0
    assert server.log.count("said once") == 1


def test_programs_start_as_before_even_if_they_wait_first(server: Server) -> None:
    with server.connect() as kept:
        kept.sendall(b"GET /say?x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered(kept) == b"x"
        program = later(lambda: server.get("/program?out").text)
        pids = {server.get("/pid").text.split()[0] for _ in range(40)}
        assert pids == {str(server.workers()[0])}
        assert program() == "out\n"
        kept.sendall(b"GET /say?y HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered(kept) == b"y"


def test_executors_work(server: Server) -> None:
    assert server.get("/executor").text == "[1, 2]"


def test_behind_nginx_each_client_has_its_own_answers() -> None:
    with Server("--async", "50", app=APP, uwsgi=True) as server, Nginx(server) as nginx:
        with server.connect(nginx.http_port) as alice:
            alice.sendall(b"GET /gate?alice HTTP/1.1\r\nHost: x\r\n\r\n")
            ps.wait_until(lambda: server.get("/waiting").text == "1 0", "the request that waits")
            with child_of(server, "by_multiprocessing"):
                server.get("/open")
                assert answered(alice) == b"alice"
                for n in range(20):
                    alice.sendall(b"GET /say?%d HTTP/1.1\r\nHost: x\r\n\r\n" % n)
                    assert answered(alice) == b"%d" % n
        for way in ("plainly", "in_greenlet"):
            for role in ("answer", "fail", "leave?0"):
                assert fork(server, f"/{way}/{role}")["child"]


CAT = """#!/bin/sh
touch "$(dirname "$0")/started"
printf 'Content-Type: text/plain\\n\\n'
exec cat
"""


def test_a_child_holds_no_pipe_of_a_cgi_program(tmp_path: Path) -> None:
    program = tmp_path / "cgi" / "cat.sh"
    program.parent.mkdir()
    program.write_text(CAT)
    program.chmod(0o755)
    with Server("--cgi", f"/cgi={program.parent}", app=APP) as server, server.connect() as sock:
        sock.settimeout(30)
        sock.sendall(b"POST /cgi/cat.sh HTTP/1.0\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"a" * 50_000)
        ps.wait_until((program.parent / "started").exists, "the program's start")
        with child_of(server, "plainly"):
            sock.sendall(b"b" * 50_000)
            data = b""
            while more := sock.recv(4096):
                data += more
            assert data.endswith(b"\r\n\r\n" + b"a" * 50_000 + b"b" * 50_000)


# Reload, stop, failures


def test_after_a_reload_no_old_code_answers_and_after_a_stop_the_port_is_free() -> None:
    with Server(app=APP) as server:
        child = fork(server, "/plainly/stay")["child"]
        server.write("app.py", APP.replace("VERSION = 1", "VERSION = 2"))
        old = server.workers()
        server.signal(signal.SIGHUP)
        server.wait_for("generation 2 serves")
        ps.wait_until(lambda: not set(old) & set(server.workers()), "the old worker's end")
        assert {server.get("/pid").text.split()[1] for _ in range(40)} == {"2"}
        second = fork(server, "/plainly/stay")["child"]
        server.signal(signal.SIGTERM)
        server.wait_for("stopped$")
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", server.http_port))
            sock.listen()
        for pid in (child, second):
            os.kill(pid, signal.SIGTERM)
        server.wait(status=0)


def test_a_hook_that_fails_ends_the_child() -> None:
    with Server(app=APP) as server:
        server.get("/broken")
        assert fork(server, "/plainly/stay")["worker"]
        server.wait_for(r"error: a process that the application forked is ended, .*: TypeError: ")
        assert server.get("/say?well").text == "well"


IMPORT = """
import os, sys
from gevent import monkey
with open(f"{{os.path.dirname(os.path.abspath(__file__))}}/imported", "a") as file:
    file.write("{child}\\n")
pid = {fork}
if pid == 0:
    {child}
else:
    status = os.waitstatus_to_exitcode(monkey.get_original("os", "waitpid")(pid, 0)[1])
    with open(f"{{os.path.dirname(os.path.abspath(__file__))}}/statuses", "a") as file:
        file.write(f"{{status}} ")
"""
CHILDREN = {"pass": 0, "sys.exit(3)": 3, "raise ValueError(1)": 1, "os.kill(os.getpid(), 15)": -15}
FORKS = ["os.fork()", "os.forkpty()[0]", 'monkey.get_original("os", "fork")()', "os.fork()"]


@pytest.mark.parametrize("options", [[], ["--lazy-apps"]], ids=["zygote", "lazy-apps"])
def test_an_import_that_forks(options: list[str]) -> None:
    files = {f"{n}.py": IMPORT.format(child=child, fork=FORKS[n]) for n, child in enumerate(CHILDREN)}
    for name in files:
        options = [*options, "--import", name]
    with Server(*options, files=files) as server:
        assert server.get("/").text == "hello"
        assert (server.folder / "statuses").read_text().split() == [str(status) for status in CHILDREN.values()]
        assert (server.folder / "imported").read_text().splitlines() == list(CHILDREN), "a child imports no more"
        assert "cannot be loaded" not in server.log
