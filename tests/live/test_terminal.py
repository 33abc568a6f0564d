"""A terminal where root starts the server: what its user can do there, and what still works."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live import ps
from tests.live.server import Server, nobody_else

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
]

ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.dup2(0, 1)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Makes standard input our terminal, and standard output too; the log stays standard error."""

APP = """
import fcntl, os

def modes():
    for name in os.listdir("/proc/self/fd"):
        if os.isatty(int(name)):
            yield int(name), fcntl.fcntl(int(name), fcntl.F_GETFL) & os.O_ACCMODE

def terminal():
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError as error:
        return error.strerror
    return "there"

def app(environ, start_response):
    start_response("200 OK", [])
    return [repr((os.readlink("/proc/self/fd/0"), dict(modes()), os.getsid(0), terminal())).encode()]
"""


@contextmanager
def at_terminal(*options: str, ready: str = "generation 1 serves") -> Iterator[tuple[Server, int, str]]:
    """The server, the other side of its terminal, and the terminal's name."""
    keyboard, terminal = os.openpty()
    try:
        command = (sys.executable, "-c", ON_TERMINAL, "-m", "greenwsgi")
        server = Server(*options, app=APP, stdin=terminal, command=command, ready=ready)
        server.folder.chmod(0o755)
        with server:
            yield server, keyboard, os.ttyname(terminal)
    finally:
        os.close(terminal)
        os.close(keyboard)


def as_nobody(*options: str) -> tuple[str, ...]:
    nobody = nobody_else()
    return "--uid", str(nobody), "--gid", str(nobody), *options


def terminals_of(pid: int) -> dict[int, int]:
    """How each descriptor of a terminal is open: 1 is for writing alone."""
    found = {}
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(fd).startswith("/dev/pts/"):
            flags = Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text().split("flags:")[1].split()[0]
            found[int(fd.name)] = int(flags, 8) & os.O_ACCMODE
    return found


def test_another_users_application_has_no_terminal_and_reads_none() -> None:
    with at_terminal(*as_nobody()) as (server, _, _):
        told, modes, session, terminal = eval(server.get().text)
        assert (told, modes, terminal) == (os.devnull, {1: os.O_WRONLY}, "No such device or address")
        assert session != os.getsid(server.pid) == server.pid
        assert set(terminals_of(server.pid).values()) == {os.O_WRONLY}
        assert 0 not in terminals_of(server.pid)


def test_nor_has_it_one_after_a_reload_and_a_re_exec() -> None:
    with at_terminal(*as_nobody()) as (server, _, _):
        for number, generation in ((signal.SIGHUP, 2), (signal.SIGUSR2, 3)):
            mark = server.mark()
            server.signal(number)
            server.wait_for(rf"reloaded: generation {generation} serves", after=mark)
            told, modes, session, terminal = eval(server.get().text)
            assert (told, modes, terminal) == (os.devnull, {1: os.O_WRONLY}, "No such device or address")
            assert session != server.pid
            assert os.stat(f"/proc/{server.pid}/fd").st_uid == 0, "its user can look into the master"


def test_a_hook_of_that_user_has_no_terminal() -> None:
    hook = "(: < /dev/tty) 2> /dev/null || echo no terminal >&2; readlink /proc/self/fd/0 >&2"
    with at_terminal(*as_nobody("--exec-as-user", hook)) as (server, _, _):
        server.wait_for("^no terminal")
        server.wait_for(f"^{os.devnull}")


def test_an_interrupt_at_the_terminal_ends_the_server() -> None:
    with at_terminal(*as_nobody()) as (server, keyboard, _):
        children = [pid for pid in server.processes() if pid != server.pid]
        assert len(children) == 2
        os.write(keyboard, b"\x03")
        server.wait(status=0)
        for pid in children:
            ps.wait_gone(pid)


def test_for_the_same_user_the_terminal_stays_as_it_was() -> None:
    """To debug there."""
    with at_terminal() as (server, _, name):
        told, modes, session, terminal = eval(server.get().text)
        assert (told, modes, terminal) == (name, {0: os.O_RDWR, 1: os.O_RDWR}, "there")
        assert session == server.pid


def test_what_holds_the_terminal_for_the_last_word_only_writes_there() -> None:
    """With a log file."""
    with at_terminal(*as_nobody("--logto", "server.log"), ready="") as (server, _, _):
        log = server.folder / "server.log"
        ps.wait_until(lambda: log.exists() and "generation 1 serves" in log.read_text(), "its start")
        told, modes, session, _ = eval(server.get().text)
        assert (told, modes) == (os.devnull, {})
        assert session != server.pid
        assert set(terminals_of(server.pid).values()) == {os.O_WRONLY}
