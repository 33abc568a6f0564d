"""Stream over a socket pair: whole sends, ends, resets, stalls and lingering."""

from __future__ import annotations

import _socket
import errno
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.hub import get_hub

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerGone
from greenwsgi.serve.deadlines import NEVER, Deadlines, PeerStalled
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.serve.stream import Stream
from greenwsgi.wsgi.file_wrapper import FilePart

Pair = tuple[Stream, Any, Deadlines]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        fd, _ = listener._accept()  # type: ignore[attr-defined]
    raw = _socket.socket(fileno=fd)
    raw.setblocking(False)
    deadlines = Deadlines()
    stream = Stream(raw, deadlines, LoopBudget(), 30.0)
    yield stream, peer, deadlines
    stream.close()
    peer.close()


def sweep(deadlines: Deadlines) -> None:
    """As the watchdog would, but in a far future."""
    get_hub().loop.run_callback(deadlines.sweep, 1e18)


def test_it_waits_for_bytes_and_sees_the_end(pair: Pair) -> None:
    stream, peer, _ = pair
    reader = gevent.spawn(stream.recv)
    gevent.idle()
    peer.sendall(b"hello")
    assert reader.get() == b"hello"
    assert stream.waits == 1
    peer.shutdown(socket.SHUT_WR)
    assert stream.recv() == b""
    assert not stream.gone


def test_recv_later_gives_what_is_already_there(pair: Pair) -> None:
    stream, peer, _ = pair
    peer.sendall(b"early")
    assert stream.recv_later(NEVER) == b"early"


def test_a_large_send_is_whole(pair: Pair) -> None:
    stream, peer, _ = pair
    data = bytes(range(256)) * 40_000
    writer = gevent.spawn(stream.send, data)
    received = bytearray()
    while len(received) < len(data):
        received += peer.recv(1 << 20)
    writer.join()
    assert received == data
    assert stream.waits > 0


def test_a_peer_that_does_not_read_stalls_the_send(pair: Pair) -> None:
    stream, _, deadlines = pair
    writer = gevent.spawn(pytest.raises, PeerStalled, stream.send, bytes(50_000_000))
    while not deadlines.waiting:
        gevent.idle()
    sweep(deadlines)
    writer.join()
    assert writer.successful()
    assert stream.gone


@pytest.mark.parametrize("size", [1, 50_000_000])
def test_after_a_send_that_was_cut_short_nothing_is_sent(pair: Pair, size: int) -> None:
    """The peer would take it for the rest. Its sender was ended; the peer has not gone."""
    stream, peer, deadlines = pair
    writer = gevent.spawn(stream.send, b"x" * 50_000_000)
    while not deadlines.waiting:
        gevent.idle()
    writer.kill()
    assert not stream.gone
    with pytest.raises(PeerGone):
        stream.send(b"y" * size)
    stream.end_writing()
    while data := peer.recv(1 << 20):
        assert not data.strip(b"x")


def test_a_peer_that_does_not_write_stalls_the_read_but_can_still_be_answered(pair: Pair) -> None:
    stream, peer, deadlines = pair
    reader = gevent.spawn(pytest.raises, PeerStalled, stream.recv)
    gevent.idle()
    sweep(deadlines)
    reader.join()
    assert reader.successful()
    assert not stream.gone
    stream.send(b"408")
    assert peer.recv(10) == b"408"


def reset(peer: Any) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def test_a_reset_is_a_peer_that_has_gone(pair: Pair) -> None:
    stream, peer, _ = pair
    reset(peer)
    with pytest.raises(PeerGone):
        stream.recv()
    assert stream.gone
    with pytest.raises(PeerGone):
        stream.send(b"x")


def test_a_file_that_the_kernel_cannot_send_is_read(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without splice."""
    stream, peer, _ = pair
    data = bytes(range(256)) * 4000

    def cannot(*_: Any) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "sendfile", cannot)
    with tempfile.TemporaryFile() as file:
        file.write(b"head" + data)
        file.flush()
        sender = gevent.spawn(stream.sendfile, FilePart(file.fileno(), 4, len(data) + 10))
        received = b""
        while len(received) < len(data):
            received += peer.recv(1 << 20)
    assert sender.get() == len(data)
    assert received == data


def test_a_file_s_error_is_not_the_peer_s(pair: Pair, tmp_path: Path) -> None:
    stream, peer, _ = pair
    with (tmp_path / "file").open("wb") as unreadable, pytest.raises(OSError, match="Bad file descriptor"):
        stream.sendfile(FilePart(unreadable.fileno(), 0, 10))
    assert not stream.gone
    reset(peer)
    with pytest.raises(PeerGone):
        stream.recv()
    with open(__file__, "rb") as readable, pytest.raises(PeerGone):
        stream.sendfile(FilePart(readable.fileno(), 0, 10))


def test_lingering_lets_the_peer_read_the_answer_though_it_was_still_sending(pair: Pair) -> None:
    stream, peer, _ = pair
    peer.sendall(bytes(100_000))
    stream.send(b"no")

    def finish() -> None:
        stream.linger()
        stream.close()

    closing = gevent.spawn(finish)
    peer.sendall(bytes(1_000_000))
    assert peer.recv(10) == b"no"
    assert peer.recv(10) == b""
    peer.close()
    closing.join()
    assert closing.successful()


def test_send_timeout_is_for_room_to_write_alone(pair: Pair) -> None:
    _, _, deadlines = pair
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        raw = _socket.socket(fileno=listener._accept()[0])  # type: ignore[attr-defined]
        raw.setblocking(False)
        stream = Stream(raw, deadlines, LoopBudget(), 1e6, send_timeout=5.0)
        sender = gevent.spawn(stream.send, b"x" * 50_000_000)
        gevent.idle()
        assert deadlines.waiting[sender] < SystemClock.monotonic() + 6
        get_hub().loop.run_callback(deadlines.sweep, SystemClock.monotonic() + 6)
        with pytest.raises(PeerStalled):
            sender.get()
        stream.close()
