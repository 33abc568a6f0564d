"""wsgi.input: every way to read gives the same bytes, however the wire cut them, and ends where the body ends."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.errors import PeerGone
from greenwsgi.wsgi.wsgi_input import EMPTY, open_body


def pulling(pieces: list[bytes]) -> Callable[[], bytes]:
    left = [piece for piece in pieces if piece]
    return lambda: left.pop(0) if left else b""


PIECES = st.lists(st.binary(min_size=1, max_size=50).map(lambda data: data.replace(b"\x00", b"\n")), max_size=12)


@given(PIECES, st.integers(1, 40))
def test_it_reads_as_a_file_of_the_same_bytes(pieces: list[bytes], size: int) -> None:
    whole = b"".join(pieces)
    assert open_body(pulling(pieces)).read() == whole
    assert list(open_body(pulling(pieces))) == list(io.BytesIO(whole))
    assert open_body(pulling(pieces)).readlines() == io.BytesIO(whole).readlines()
    body, file = open_body(pulling(pieces)), io.BytesIO(whole)
    while expected := file.read(size):
        assert body.read(size) == expected
    assert body.read(size) == b""
    body, file = open_body(pulling(pieces)), io.BytesIO(whole)
    while expected := file.readline(size):
        assert body.readline(size) == expected
    assert body.read() == b""


def test_nothing_is_pulled_before_the_application_reads() -> None:
    pulls: list[int] = []

    def pull() -> bytes:
        pulls.append(1)
        return b""

    body = open_body(pull)
    assert pulls == []
    assert body.read() == b""
    assert pulls == [1]


def test_a_client_that_sent_less_than_it_promised_is_an_oserror() -> None:
    def pull() -> bytes:
        raise PeerGone("the body ended after 3 of 10 bytes")

    with pytest.raises(OSError, match="3 of 10"):
        open_body(pull).read()
    with pytest.raises(OSError, match="3 of 10"):
        open_body(pull).read(5)
    with pytest.raises(OSError, match="3 of 10"):
        open_body(pull).readline()


def test_the_empty_body() -> None:
    assert (EMPTY.read(), EMPTY.read(5), EMPTY.readline(), EMPTY.readlines(), list(EMPTY)) == (b"", b"", b"", [], [])


@pytest.mark.parametrize("empty", [EMPTY, open_body(lambda: b"")], ids=["no body", "a body of nothing"])
def test_no_body_is_as_much_of_a_file_as_a_body(empty: Any) -> None:
    assert (empty.readable(), empty.writable(), empty.seekable(), empty.closed) == (True, False, False, False)
    assert (empty.readinto(bytearray(5)), empty.readinto1(bytearray(5)), empty.peek()) == (0, 0, b"")
    assert (empty.read(None), empty.read1(), empty.isatty()) == (b"", b"", False)
    empty.flush()
    with pytest.raises(io.UnsupportedOperation):
        empty.seek(0)
    assert csv.DictReader(io.TextIOWrapper(empty, "utf-8")).fieldnames is None


def test_nobody_can_close_what_is_everybody_s() -> None:
    empty: Any = EMPTY
    with empty:
        empty.close()
    io.TextIOWrapper(empty).close()
    assert not empty.closed
    assert empty.read() == b""
