"""The access line is uWSGI's default, and nobody can forge one."""

from __future__ import annotations

import dataclasses
import os
import time

import pytest

from greenwsgi.log.access import Access, AccessLog
from greenwsgi.log.server import ServerLog

ONE = Access(
    addr="127.0.0.1", user="", method="GET", uri="/hello?a=1", protocol="HTTP/1.1", variables=20, packet=412,
    started=1795246614.25, duration=0.0129, status="200", sent=13, headers=2, head_size=79, switches=1, core=99,
)  # fmt: skip


def test_the_default_line_of_uwsgi() -> None:
    when = time.ctime(1795246614)
    assert AccessLog(4242).line(ONE, 7, 31) == (
        f"[pid: 4242|app: 0|req: 7/31] 127.0.0.1 () {{40 vars in 412 bytes}} [{when}] GET /hello?a=1 => "
        "generated 13 bytes in 12 msecs (HTTP/1.1 200) 2 headers in 79 bytes (1 switches on core 99)"
    )


def written(one: Access) -> bytes:
    read, write = os.pipe()
    AccessLog(1, write).write(one, 1, 1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        return pipe.read()


def test_a_line_is_one_line_whatever_the_peer_sends() -> None:
    line = written(dataclasses.replace(ONE, uri="/x\r\n[pid: 1] forged", user="\x1b[31m\x85"))
    assert line.count(b"\n") == 1
    assert b"/x\\x0d\\x0a[pid: 1] forged" in line
    assert b"(\\x1b[31m\\x85)" in line


def test_latin1_stays_as_the_bytes_that_came() -> None:
    assert b"GET /caf\xe9 =>" in written(dataclasses.replace(ONE, uri="/caf\xe9"))


def test_the_server_log_keeps_the_lines_of_a_traceback_but_no_other_control_character() -> None:
    read, write = os.pipe()
    ServerLog(write).error("a\nb\tc\x1b[2J\r")
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    assert said.endswith(f"[{os.getpid()}] error: a\nb\tc\\x1b[2J\\x0d\n")


def test_a_log_that_cannot_be_written_does_not_stop_the_server() -> None:
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError):
        os.write(write, b"x")  # it really cannot be written
    ServerLog(write).info("nobody reads this")
    os.close(write)
