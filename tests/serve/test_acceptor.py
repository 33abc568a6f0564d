"""The acceptor at the end: what waits in the queue when the server stops is accepted, and nothing else."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from gevent import socket

from greenwsgi.serve import loop_budget
from tests.serve.conftest import Make
from tests.serve.site import Site, read_all, settle, wait_until

CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
NEVER = 1e9


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


@contextlib.contextmanager
def queued(site: Site, count: int) -> Iterator[list[Any]]:
    """So many clients wait in the kernel, each with its request; the server is paused."""
    site._acceptor.pause(True)
    with contextlib.ExitStack() as made:
        yield [made.enter_context(site.connect(CLOSE)) for _ in range(count)]


@pytest.mark.parametrize("siblings_have_room", [None, lambda: True], ids=["alone", "siblings have room"])
def test_what_waits_is_accepted_before_it_closes(make: Make, siblings_have_room: Any) -> None:
    site = make(hello, cores=1, siblings_have_room=siblings_have_room)
    with queued(site, 20) as clients:
        settle()
        assert not site.service.connections
        site._acceptor.drain(0)
        answers = [read_all(client) for client in clients]
        assert {answer.partition(b"\r\n")[0] for answer in answers} <= {b"HTTP/1.1 200 OK"}
        wait_until(lambda: site._acceptor.closed)
    assert not site.service.running


def test_more_than_one_look_takes_are_all_accepted(make: Make) -> None:
    site = make(hello, cores=2)
    with queued(site, 120) as clients:
        site._acceptor.drain(0)
        answers = [read_all(client) for client in clients]
    said = [answer.split(b" ")[1] for answer in answers]
    assert len(said) == 120
    assert set(said) <= {b"200", b"503"}
    assert all(b"Retry-After" in answer for answer in answers if b" 503 " in answer)


def test_an_empty_queue_is_closed_at_once(make: Make) -> None:
    site = make(hello)
    site._acceptor.drain(0)
    settle()
    assert site._acceptor.closed


def test_a_queue_that_takes_longer_than_a_turn_is_accepted_whole(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The acceptor gives way then, which does not mean that the queue is empty."""
    seconds = itertools.count()
    monkeypatch.setattr(loop_budget, "_now", lambda: float(next(seconds)))
    site = make(hello)
    with queued(site, 5) as clients:
        site._acceptor.drain(0)
        assert all(b"hello" in read_all(client) for client in clients)


def test_who_comes_within_the_grace_is_accepted(make: Make) -> None:
    site = make(hello)
    site._acceptor.drain(NEVER)
    settle()
    assert not site._acceptor.closed
    assert b"hello" in site.answer(CLOSE)
    assert not site._acceptor.closed


def test_it_closes_at_the_latest_whatever_waits(make: Make) -> None:
    site = make(hello, capacity=0)
    with queued(site, 1) as (client,):
        site._acceptor.drain(0, 0)
        with contextlib.suppress(ConnectionError):
            assert read_all(client) == b""
    assert site._acceptor.closed


def test_without_descriptors_it_waits_for_some(make: Make) -> None:
    site = make(hello, capacity=1)
    with site.connect() as idle:
        wait_until(lambda: len(site.service.connections) == 1)
        with queued(site, 2) as clients:
            site._acceptor.drain(0)
            settle()
            assert not site._acceptor.closed
            idle.close()
            assert all(b"hello" in read_all(client) for client in clients)


def test_nothing_makes_it_begin_again(make: Make) -> None:
    """A unix socket that was shut down is always readable: a watcher would never rest."""
    site = make(hello)
    site._acceptor.drain(NEVER)
    site._acceptor.pause(False)
    settle()
    assert site._acceptor._watcher is None  # type: ignore[attr-defined]  # gevent's


def test_a_listener_that_was_shut_down_is_an_empty_one(make: Make) -> None:
    site = make(hello)
    site._acceptor.socket.shutdown(socket.SHUT_RDWR)
    site._acceptor.drain(0)
    wait_until(lambda: site._acceptor.closed)
    assert "Traceback" not in site.log
