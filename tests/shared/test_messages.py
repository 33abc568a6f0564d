"""The lines that master, zygotes and workers write to each other."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.shared.message_pipes import MessageReader, ReportPipe
from greenwsgi.shared.messages import (
    LINE_LIMIT,
    MESSAGES,
    BootDocument,
    Died,
    Failed,
    Forked,
    ForkWorker,
    Loaded,
    Message,
    Pause,
    Ready,
    Reap,
    ReopenLog,
    Resume,
    Retire,
    decode,
)
from greenwsgi.shared.resources import BoundListener, Resources


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


OLD_FIELDS = {"seat": -1, "number": 0, "status": 0, "reason": "", "paused": False, "probation": False}
"""What each line had when there was one class of message."""

EXAMPLES: dict[str, Message] = {
    '{"word":"loaded","generation":1,"pid":2}': Loaded(1, 2),
    '{"word":"failed","generation":1,"pid":2,"status":22,"reason":"no","seat":-1}': Failed(1, 2, 22, "no"),
    '{"word":"forked","generation":1,"pid":2,"seat":3}': Forked(1, 2, 3),
    '{"word":"ready","generation":1,"pid":2,"seat":3}': Ready(1, 2, 3),
    '{"word":"retire","generation":1,"pid":2,"seat":3,"reason":"old"}': Retire(1, 2, 3, "old"),
    '{"word":"died","generation":1,"pid":2,"seat":3,"status":-9}': Died(1, 2, 3, -9),
    '{"word":"fork","seat":3,"number":2,"paused":true,"probation":false}': ForkWorker(3, 2, paused=True),
    '{"word":"reap","pid":2}': Reap(2),
    '{"word":"reopen-log","pid":2}': ReopenLog(2),
    '{"word":"pause","pid":2}': Pause(2),
    '{"word":"resume","pid":2}': Resume(2),
}


def test_every_message_has_its_line() -> None:
    assert {line: decode(line.encode()) for line in EXAMPLES} == EXAMPLES
    assert [message.encode().decode() for message in EXAMPLES.values()] == [f"{line}\n" for line in EXAMPLES]
    assert {type(message) for message in EXAMPLES.values()} == set(MESSAGES)
    assert len({kind.word for kind in MESSAGES}) == len(MESSAGES)


def test_lines_of_an_old_greenwsgi_are_understood() -> None:
    for line, message in EXAMPLES.items():
        old = {**OLD_FIELDS, "generation": 0, "pid": 0, **json.loads(line)}
        assert decode(json.dumps(old).encode()) == message


def test_a_report_arrives_with_who_said_it(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    zygote = ReportPipe(writer, generation=3)
    worker = zygote.of_worker(seat=5)
    zygote.loaded()
    worker.forked()
    worker.ready()
    worker.retire("max-requests 5000")
    worker.failed(22, "app.py:3: no")
    zygote.died(7, 5, -9)
    assert MessageReader(reader).read() == [
        Loaded(3, os.getpid()),
        Forked(3, os.getpid(), 5),
        Ready(3, os.getpid(), 5),
        Retire(3, os.getpid(), 5, "max-requests 5000"),
        Failed(3, os.getpid(), 22, "app.py:3: no", 5),
        Died(3, 7, 5, -9),
    ]


def test_what_a_newer_one_says_besides_is_left_out() -> None:
    line = Ready(3, 100, 5).encode()
    assert decode(line.replace(b"{", b'{"colour":"red",')) == Ready(3, 100, 5)


def test_what_an_older_one_does_not_say_has_its_default() -> None:
    assert decode(b'{"word":"fork","seat":1,"number":2}') == ForkWorker(1, 2)


def test_an_unknown_message_is_no_message() -> None:
    with pytest.raises(ValueError, match="hello"):
        decode(b'{"word":"hello"}')


def test_a_master_that_is_gone_does_not_stop_its_children() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ReportPipe(writer, 1).loaded()
    os.close(writer)


@given(st.text(max_size=2000))
def test_a_line_is_never_longer_than_a_pipe_keeps_whole(reason: str) -> None:
    line = Failed(10**9, 10**9, -(10**9), reason, 10**9).encode()
    assert len(line) <= LINE_LIMIT
    assert line.count(b"\n") == 1
    kept = decode(line)
    assert isinstance(kept, Failed)
    assert reason.startswith(kept.reason)


@given(st.text(max_size=60), st.integers(-64, 255))
def test_a_message_comes_back_as_it_was(reason: str, status: int) -> None:
    for message in (Failed(1, 2, status, reason, 4), Died(1, 2, 4, status), Retire(1, 2, 3, reason)):
        assert decode(message.encode()) == message


def test_lines_come_in_pieces(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    lines = MessageReader(reader)
    line = Loaded(1, 9).encode()
    assert lines.read() == []
    for byte in line[:-1]:
        os.write(writer, bytes([byte]))
        assert lines.read() == []
    os.write(writer, line[-1:] + line + line[:3])
    assert lines.read() == [Loaded(1, 9)] * 2
    assert not lines.closed


@pytest.mark.parametrize(
    "stray",
    [
        b"",
        b"Traceback (most recent call last):",
        b"\xff\xfe",
        b"[]",
        b"1",
        b"{}",
        b'{"word":"sesame"}',
        b'{"word":"ready","paused":1}',
        b'{"word":"ready","pid":"1"}',
        b'{"word":"ready","pid":true}',
        b'{"word":"ready","reason":null}',
        b'{"word":"ready","generation":1,"pid":2}',
        b'{"word":"ready","generation":1,"pid":"2","seat":3}',
        b'{"word":"ready","generation":1,"pid":true,"seat":3}',
        b'{"word":"ready","generation":1,"pid":2,"seat":3.0}',
        b'{"word":"retire","generation":1,"pid":2,"seat":3,"reason":null}',
        b'{"word":"fork","seat":1,"number":2,"paused":1}',
        b'{"word":["ready"]}',
        b"[" * 100_000,
    ],
)
def test_a_stray_line_costs_no_other(pipe: tuple[int, int], stray: bytes) -> None:
    reader, writer = pipe
    lines = MessageReader(reader)
    os.set_blocking(writer, False)
    good = Ready(1, 2, 3).encode()
    rest, heard = good + stray + b"\n" + good, []
    while rest:
        rest = rest[os.write(writer, rest) :]
        heard += lines.read()
    while more := lines.read():
        heard += more
    assert heard == [Ready(1, 2, 3)] * 2


def test_the_end_of_a_pipe_is_seen() -> None:
    reader, writer = os.pipe()
    lines = MessageReader(reader)
    os.write(writer, Reap(5).encode())
    os.close(writer)
    assert (lines.read(), lines.closed) == ([Reap(5)], False)
    assert (lines.read(), lines.closed) == ([], True)
    os.close(reader)


def test_boot_document_comes_back_as_it_was() -> None:
    listeners = (BoundListener(7, "http", "127.0.0.1:80"), BoundListener(8, "uwsgi", "/tmp/é.sock"))
    document = BootDocument(
        2, {"assignments": [["env", "A=é", "x.ini", 3]], "magic": {"p": "é"}}, Resources(listeners), 2, 8
    )
    assert BootDocument.decode(document.encode()) == document
