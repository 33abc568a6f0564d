"""A log that takes nothing holds up nobody who writes through an outlet, and loses as little as can be."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenwsgi.log import nonblocking_log
from greenwsgi.log.nonblocking_log import MOST_KEPT, NonblockingLog
from greenwsgi.log.server_log import ServerLog

Ends = tuple[int, int]


def pipe() -> Ends:
    return os.pipe()


def stream() -> Ends:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def datagrams() -> Ends:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return ours.detach(), theirs.detach()


def terminal() -> Ends:
    reader, log = os.openpty()
    attributes = termios.tcgetattr(log)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(log, termios.TCSANOW, attributes)
    return reader, log


def stopped_terminal() -> Ends:
    """As by Ctrl-S."""
    reader, log = terminal()
    termios.tcflow(log, termios.TCOOFF)
    return reader, log


KINDS = {one.__name__: one for one in (pipe, stream, datagrams, terminal, stopped_terminal)}


@pytest.fixture(params=[*KINDS, "pipe of somebody else"])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    """What reads a log, and the log."""
    if request.param not in KINDS:  # or a system where it cannot be opened a second time
        monkeypatch.setattr(nonblocking_log, "_open_again", lambda fd: -1)
    reader, log = KINDS.get(request.param, pipe)()
    os.set_blocking(reader, False)
    yield reader, log
    os.close(reader)
    os.close(log)


def line(number: int, length: int = 100) -> bytes:
    return b"%08d" % number + b"x" * (length - 9) + b"\n"


def dropped(count: int) -> bytes:
    return b"lost: %d\n" % count


def read(reader: int, log: int, out: NonblockingLog) -> bytes:
    """All that comes, with the log going on."""
    with contextlib.suppress(termios.error):
        termios.tcflow(log, termios.TCOON)
    data = b""
    while True:
        out.flush()
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(reader, 65536):
                data += piece
        if not out._kept and not select.select([reader], [], [], 0.05)[0]:
            return data


def is_nonblocking(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK)


def test_what_a_full_log_does_not_take_comes_later_and_what_is_too_much_is_counted(ends: Ends) -> None:
    reader, log = ends
    out, many = NonblockingLog(log, dropped), 5000
    for number in range(many):  # far more than any of these holds; a write that waited would never end
        out.write(line(number))
        assert not is_nonblocking(log), "others have it too"
    came = read(reader, log, out).splitlines(keepends=True)
    assert came[-1].startswith(b"lost: ")
    lost = int(came[-1].split()[1])
    assert came[:-1] == [line(number) for number in range(many - lost)]
    assert sum(map(len, came)) > MOST_KEPT - 100
    out.write(line(7))
    assert read(reader, log, out) == line(7)
    out.close()


def test_a_line_longer_than_a_pipe_and_all_that_is_kept(ends: Ends) -> None:
    """No datagram is so long: then it is lost, and the next one comes."""
    reader, log = ends
    out, long = NonblockingLog(log, dropped), line(1, 4 * MOST_KEPT)
    out.write(long)
    out.write(line(2))
    assert read(reader, log, out) in (long + line(2), long + dropped(1), line(2))
    out.close()


def test_a_log_without_trouble_gets_each_line_at_once(ends: Ends) -> None:
    reader, log = ends
    if os.isatty(log):
        termios.tcflow(log, termios.TCOON)
    out = NonblockingLog(log, dropped)
    out.write(line(1))
    assert select.select([reader], [], [], 10)[0]
    assert os.read(reader, 1000) == line(1)
    out.close()


def test_the_end_waits_for_a_reader_that_comes(ends: Ends) -> None:
    reader, log = ends
    server_log, came = ServerLog(log), list[bytes]()
    with server_log.never_waiting():
        for number in range(3000):
            server_log.info(f"{number} {'x' * 60}")
        reading = threading.Thread(target=lambda: came.append(read(reader, log, NonblockingLog(log, dropped))))
        reading.start()
    reading.join()
    assert b" 0 xxx" in came[0]
    assert b"lines before this one are lost: the log took nothing\n" in came[0]


BACKGROUND = """
import fcntl, os, signal, sys, termios
from greenwsgi.log.nonblocking_log import NonblockingLog
os.setsid()
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
attributes = termios.tcgetattr(1)
attributes[3] |= termios.TOSTOP
termios.tcsetattr(1, termios.TCSANOW, attributes)
signal.signal(signal.SIGTTOU, lambda *_: None)  # as the master does
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    signal.alarm(20)
    NonblockingLog(1, None).write(b"a line\\n")
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_terminal_that_stops_jobs_of_the_background_when_they_write() -> None:
    """stty tostop: a process that takes SIGTTOU has its write interrupted each time, without end."""
    reader, log = os.openpty()
    ended = subprocess.run([sys.executable, "-c", BACKGROUND], stdout=log, check=False)
    assert ended.returncode == 0
    assert os.read(reader, 1000) == b"a line\r\n"
    os.close(reader)
    os.close(log)


def test_a_disk_that_is_full_loses_lines_as_for_everybody() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "wb", buffering=0) as log:
        out = NonblockingLog(log.fileno(), dropped)
        out.write(line(1))
        assert not out._kept
        out.close()


def test_a_reader_that_has_left_loses_them_too() -> None:
    reader, log = pipe()
    os.close(reader)
    out = NonblockingLog(log, dropped)
    out.write(line(1))
    assert not out._kept
    out.close()
    os.close(log)


def test_a_log_that_is_opened_again_is_another_file(tmp_path: Path) -> None:
    """The descriptor stays; what it was before may be a pipe that nobody reads."""
    before = os.listdir("/dev/fd")
    reader, log = pipe()
    out = NonblockingLog(log, dropped)
    out.write(line(1))
    with (tmp_path / "log").open("ab") as file:
        os.dup2(file.fileno(), log)
    out.write(line(2, 9000))
    assert (tmp_path / "log").read_bytes() == line(2, 9000)
    assert os.read(reader, 1000) == line(1)
    assert os.read(reader, 1000) == b"", "nothing of ours holds the pipe"
    out.close()
    os.close(reader)
    os.close(log)
    assert os.listdir("/dev/fd") == before


def numbers() -> set[int]:
    """Of all that is open, without the folder's own, which is closed by then."""
    return {int(name) for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("kind", ["pipe", "stream"])
def test_what_it_has_opened_may_be_closed_by_others(kind: str) -> None:
    """Who has got that number since gets no line, and keeps it."""
    reader, log = KINDS[kind]()
    one = NonblockingLog(log, lambda count: b"")
    before = numbers()
    one.write(b"first\n")
    (own,) = numbers() - before
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.dup2(theirs.fileno(), own)
        one.write(b"second\n")
        one.close()
        assert os.read(reader, 100) == b"first\nsecond\n"
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(100)
        os.write(own, b"still open")
        assert ours.recv(100) == b"still open"
        os.close(own)
    os.close(reader)
    os.close(log)
