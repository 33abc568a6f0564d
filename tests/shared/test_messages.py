"""The lines that master, zygotes and workers write to each other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.shared.messages import LINE_LIMIT, BootDocument, BoundListener, Lines, Message, ReportPipe, Word


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_a_report_arrives_with_who_said_it(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    worker = ReportPipe(writer, generation=3).of_worker(seat=5, number=2)
    worker("ready")
    worker("retire", reason="max-requests 5000")
    assert Lines(reader).read() == [
        Message(Word.READY, 3, os.getpid(), 5, 2),
        Message(Word.RETIRE, 3, os.getpid(), 5, 2, reason="max-requests 5000"),
    ]


def test_what_a_newer_one_says_besides_is_left_out() -> None:
    line = Message(Word.READY, 3, 100, 5).encode()
    assert Message.decode(line.replace(b"{", b'{"colour":"red",')) == Message(Word.READY, 3, 100, 5)


def test_a_word_nobody_knows_is_not_said(pipe: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="hello"):
        ReportPipe(pipe[1], 1)("hello")


def test_a_master_that_is_gone_does_not_stop_its_children() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ReportPipe(writer, 1)("ready")
    os.close(writer)


@given(st.text(max_size=2000))
def test_a_line_is_never_longer_than_a_pipe_keeps_whole(reason: str) -> None:
    line = Message(Word.FAILED, 10**9, 10**9, 10**9, 10**9, -(10**9), reason).encode()
    assert len(line) <= LINE_LIMIT
    assert line.count(b"\n") == 1
    assert reason.startswith(Message.decode(line).reason)


@given(st.text(max_size=60), st.integers(-64, 255))
def test_a_message_comes_back_as_it_was(reason: str, status: int) -> None:
    message = Message(Word.DIED, 1, 2, 3, 4, status, reason)
    assert Message.decode(message.encode()) == message


def test_lines_come_in_pieces(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    lines = Lines(reader)
    line = Message(Word.LOADED, 1).encode()
    assert lines.read() == []
    for byte in line[:-1]:
        os.write(writer, bytes([byte]))
        assert lines.read() == []
    os.write(writer, line[-1:] + line + line[:3])
    assert lines.read() == [Message(Word.LOADED, 1)] * 2
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
        b"[" * 100_000,
    ],
)
def test_a_stray_line_costs_no_other(pipe: tuple[int, int], stray: bytes) -> None:
    reader, writer = pipe
    lines = Lines(reader)
    os.set_blocking(writer, False)
    good = Message(Word.READY, 1, 2, 3).encode()
    rest, heard = good + stray + b"\n" + good, []
    while rest:
        rest = rest[os.write(writer, rest) :]
        heard += lines.read()
    while more := lines.read():
        heard += more
    assert heard == [Message(Word.READY, 1, 2, 3)] * 2


def test_the_end_of_a_pipe_is_seen() -> None:
    reader, writer = os.pipe()
    lines = Lines(reader)
    os.write(writer, Message(Word.REAP, pid=5).encode())
    os.close(writer)
    assert (lines.read(), lines.closed) == ([Message(Word.REAP, pid=5)], False)
    assert (lines.read(), lines.closed) == ([], True)
    os.close(reader)


def test_boot_document_comes_back_as_it_was() -> None:
    listeners = (BoundListener(7, "http", "127.0.0.1:80"), BoundListener(8, "uwsgi", "/tmp/é.sock"))
    document = BootDocument(
        2, {"assignments": [["env", "A=é", "x.ini", 3]], "magic": {"p": "é"}}, listeners, 10, 11, 12, 13, 2, 8, 1000
    )
    assert BootDocument.decode(document.encode()) == document
    assert document.descriptors == (10, 11, 12, 13, 2, 7, 8)
