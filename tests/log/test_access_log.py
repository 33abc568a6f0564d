"""The access line is uWSGI's default, and nobody can forge one."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from typing import Any

import pytest

from greenwsgi.log.access_log import AccessLog, LineRules
from greenwsgi.log.request_record import RequestRecord
from greenwsgi.log.server_log import ServerLog

ONE = RequestRecord(
    addr="127.0.0.1", user="", method="GET", uri="/hello?a=1", protocol="HTTP/1.1", variables=20, packet=412,
    started=1795246614.25, duration=0.0129, status="200", sent=13, headers=2, head_size=79, switches=1, core=99,
)  # fmt: skip


def test_the_default_line_of_uwsgi() -> None:
    when = time.ctime(1795246614)
    assert AccessLog(4242).line(dataclasses.replace(ONE, request=7, total=31)) == (
        f"[pid: 4242|app: 0|req: 7/31] 127.0.0.1 () {{40 vars in 412 bytes}} [{when}] GET /hello?a=1 => "
        "generated 13 bytes in 12 msecs (HTTP/1.1 200) 2 headers in 79 bytes (1 switches on core 99)"
    )


def written(one: RequestRecord, **options: Any) -> bytes:
    read, write = os.pipe()
    AccessLog(1, write, **options).write(one)
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


@pytest.mark.parametrize(
    ("rules", "of", "is_written"),
    [
        (LineRules(), {"status": "500"}, False),
        (LineRules(refused=True), {"status": "404"}, True),
        (LineRules(refused=True), {"status": "499"}, True),
        (LineRules(refused=True), {"status": "200"}, False),
        (LineRules(refused=True), {"status": "500"}, False),
        (LineRules(failed=True), {"status": "503"}, True),
        (LineRules(failed=True), {"status": "killed"}, True),
        (LineRules(failed=True), {"status": "404"}, False),
        (LineRules(failed=True), {"status": "304"}, False),
        (LineRules(empty=True), {"sent": 0}, True),
        (LineRules(empty=True), {"sent": 1}, False),
        (LineRules(slow=0.5), {"duration": 0.5}, True),
        (LineRules(slow=0.5), {"duration": 0.49}, False),
        (LineRules(big=100), {"sent": 100}, True),
        (LineRules(big=100), {"sent": 99}, False),
        (LineRules(refused=True, slow=0.5), {"duration": 1.0}, True),
        (None, {}, True),
    ],
)
def test_which_requests_get_a_line(rules: LineRules | None, of: dict[str, Any], is_written: bool) -> None:
    assert bool(written(dataclasses.replace(ONE, **of), rules=rules)) is is_written


def test_durations_in_microseconds() -> None:
    assert b"generated 13 bytes in 12900 micros (HTTP/1.1 200)" in written(ONE, micros=True)


def test_a_line_may_begin_with_the_memory() -> None:
    line = written(ONE, memory=True).decode()
    found = re.match(
        r"\{address space usage: (\d+) bytes/(\d+)MB\} \{rss usage: (\d+) bytes/(\d+)MB\} \[pid: 1\|", line
    )
    assert found
    _, _, rss, megabytes = map(int, found.groups())
    assert megabytes == rss >> 20 > 1
