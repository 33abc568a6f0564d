"""The load client itself, against a server of a few lines: what it counts, and that it does count."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.live.load import Close, KeepAlive, Load, Uwsgi

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"

Serve = Callable[[socket.socket, int], None]


@contextmanager
def fake_server(serve: Serve) -> Iterator[int]:
    """Calls `serve(connection, how many connections came before)` for each connection in turn; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            count = 0
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    serve(connection, count)
                count += 1

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def answers(*replies: bytes) -> Serve:
    """Reads a request before each reply, closes after the last one; the list starts anew with each connection."""

    def serve(connection: socket.socket, _count: int) -> None:
        for reply in replies:
            if not connection.recv(65536):
                return
            connection.sendall(reply)

    return serve


def whole_once_then(reply: bytes) -> Serve:
    return lambda connection, count: answers(reply if count else WHOLE)(connection, count)


def test_whole_answers_are_counted() -> None:
    with fake_server(answers(WHOLE)) as port, Load(Close(port), Uwsgi(port)) as load:
        load.wait_for_answers(5)
    assert load.failures == []
    assert load.answers["http close"] > 5
    assert load.answers["uwsgi"] > 5
    assert set(load.texts) == {"ok"}
    assert load.longest_gap > 0


def test_a_cut_answer_is_a_failure() -> None:
    with fake_server(whole_once_then(CUT)) as port, Load(Close(port)) as load:
        load.wait_for_answers(5)
    assert load.failures[0].startswith("http close: IncompleteRead")


def test_another_status_is_a_failure() -> None:
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    with fake_server(whole_once_then(busy)) as port, Load(Close(port)) as load:
        load.wait_for_answers(5)
    assert load.failures[0].startswith("http close: status 503")


def test_a_kept_connection_may_end_between_requests() -> None:
    with fake_server(answers(WHOLE, WHOLE)) as port, Load(KeepAlive(port)) as load:
        load.wait_for_answers(20)
    assert load.failures == []


def test_an_announced_close_costs_no_retry() -> None:
    with fake_server(answers(WHOLE, LAST)) as port, Load(KeepAlive(port)) as load:
        load.wait_for_answers(20)
    assert load.failures == []
    assert load.retries == 0


def test_a_fresh_connection_that_ends_without_an_answer_is_a_failure() -> None:
    def serve(connection: socket.socket, count: int) -> None:
        connection.recv(65536)
        if count == 0:
            connection.sendall(LAST)

    with fake_server(serve) as port, Load(KeepAlive(port)) as load:
        load.wait_for_answers(5)
    assert load.failures[0].startswith("http keep-alive: NotOneByte")


def test_a_request_swallowed_on_a_kept_connection_is_sent_once_more() -> None:
    def serve(connection: socket.socket, count: int) -> None:
        answers(WHOLE)(connection, count)
        connection.recv(65536)  # the second request is read, and never answered

    with fake_server(serve) as port, Load(KeepAlive(port)) as load:
        load.wait_for_answers(10)
    assert load.failures == []
    assert load.retries >= 9
