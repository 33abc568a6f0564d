"""Greenlets of the application that are still sending, or reading, when their request has ended.

The next request of the connection is another client's, if the peer is a proxy: nothing of theirs may reach it.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.hub import get_hub

from greenwsgi.wsgi.wsgi_input import EMPTY
from tests.serve.conftest import Make
from tests.serve.site import read_all, settle, wait_until
from tests.wire.cases import fastcgi_records

SIZE = 8 << 20
"""Bytes that no socket takes at once."""
ALICE = b"alice"
GET = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "fastcgi": fastcgi_records.get(),
}


class Helped:
    """An application whose first request leaves its answer to another greenlet, and ends while that sends."""

    def __init__(self, *headers: tuple[str, str], large: bool = True) -> None:
        self.headers = list(headers)
        self.piece = ALICE * (SIZE // len(ALICE)) if large else ALICE
        self.helpers: list[Any] = []
        self.served = 0

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.served += 1
        if self.served > 1:
            start_response("200 OK", [("Content-Length", "3")])
            return [b"bob"]
        write = start_response("200 OK", self.headers)
        self.helpers.append(gevent.spawn(self.send, write))
        gevent.sleep(0.01)
        return []

    def send(self, write: Any) -> None:
        write(b"begin")
        write(self.piece)


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("protocol", GET)
def test_a_connection_on_which_somebody_still_sends_is_not_kept(make: Make, protocol: str, declared: bool) -> None:
    application = Helped(*[("Content-Length", str(5 + len(ALICE) * (SIZE // len(ALICE))))] if declared else [])
    site = make(application, protocol=protocol)
    with site.connect(GET[protocol]) as client:
        wait_until(lambda: site.service.counts.requests)
        client.sendall(GET[protocol])
        said = bytearray()
        with contextlib.suppress(ConnectionResetError):  # its second request has not been read
            while piece := client.recv(1 << 20):
                said += piece
    settle()
    assert b"bob" not in said
    assert application.served == 1
    assert application.helpers[0].dead, "it was told"
    assert not site.service.connections


def test_one_that_has_sent_all_when_its_request_ends_harms_nobody(make: Make) -> None:
    application = Helped(large=False)
    site = make(application)
    with site.connect(GET["http"] + GET["http"]) as client:
        client.shutdown(1)
        assert read_all(client).endswith(b"bob")


def test_a_second_greenlet_cannot_send_into_the_middle(make: Make) -> None:
    """Of a file that the kernel sends."""
    failed: list[BaseException] = []

    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [("Content-Length", str(SIZE))])
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the wrapper closes it
        file.truncate(SIZE)

        def interrupt() -> None:
            try:
                write(ALICE)
            except (OSError, ValueError) as error:
                failed.append(error)

        gevent.spawn_later(0.01, interrupt)
        return environ["wsgi.file_wrapper"](file)

    with make(application).connect(GET["http"]) as client:
        wait_until(lambda: failed)
        said = read_all_of(client, SIZE)
    assert ALICE not in said


def read_all_of(client: Any, size: int) -> bytes:
    """A head and a body of that size, or what comes until the end."""
    data = b""
    while len(data) < size and (piece := client.recv(1 << 20)):
        data += piece
    return data


def test_who_begins_to_read_when_the_request_has_ended_is_refused(make: Make) -> None:
    """While the server reads away what is left of the body."""
    raised: list[BaseException] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"]

        def read() -> None:
            try:
                body.read(1)
            except (OSError, ValueError) as error:
                raised.append(error)

        gevent.spawn_later(0.02, read)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"
    with make(application).connect(post) as client:
        wait_until(lambda: raised)
        client.sendall(bytes(20000) + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = read_all(client)
    assert isinstance(raised[0], ValueError)
    assert said.count(b"200 OK") == 2


def test_what_is_complained_of_after_the_request_is_not_told_to_the_gateway(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would take it for the next request's."""
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if kept:
            kept[0].write(f"{ALICE.decode()}\n")
            environ["wsgi.errors"].write("bob\n")
        kept.append(environ["wsgi.errors"])
        start_response("200 OK", [])
        return [b"ok"]

    site = make(application, protocol="fastcgi")
    site.change(gateway_errors=True)
    with site.connect(GET["fastcgi"]) as client:
        wait_until(lambda: site.service.counts.requests)
        client.sendall(fastcgi_records.get(flags=0))
        told = fastcgi_records.streams(read_all(client))[fastcgi_records.STDERR]
    assert told == b"bob\n"


def test_a_file_that_is_closed_while_it_is_sent_is_sent_all_the_same(make: Make) -> None:
    """Not another one, which has its number by now."""
    others: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        file.truncate(SIZE)

        def swap() -> None:
            number = file.fileno()
            file.close()
            others.append(tempfile.TemporaryFile())  # noqa: SIM115 - closed below
            others[0].write(ALICE * (SIZE // len(ALICE)))
            others[0].flush()
            assert others[0].fileno() == number

        gevent.spawn_later(0.01, swap)
        start_response("200 OK", [("Content-Length", str(SIZE))])
        return environ["wsgi.file_wrapper"](file)

    with make(application).connect(GET["http"]) as client:
        wait_until(lambda: others)
        said = read_all_of(client, SIZE)
    others[0].close()
    assert said.endswith(bytes(1000))
    assert ALICE not in said


def test_nothing_can_be_left_on_the_input_that_all_requests_without_a_body_share() -> None:
    with pytest.raises(AttributeError):
        EMPTY.user = "alice"
    with pytest.raises(AttributeError):
        EMPTY.read = None  # type: ignore[assignment]


@pytest.mark.parametrize(("more", "reset"), [(1000, False), (70_000, False), (200_000, True)])
def test_a_client_that_leaves_behind_bytes_that_are_not_read_is_noticed(make: Make, more: int, reset: bool) -> None:
    """By its reset; by its end, as long as the kernel has room for what comes before that."""
    told: list[bool] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        told.append(environ["greenwsgi.disconnected"].wait(10))
        start_response("200 OK", [])
        return [b"x"]

    site = make(application)
    with site.connect(GET["http"]) as client:
        wait_until(lambda: site.service.running)
        get_hub().loop.run_callback(site.watchdog.look)
        settle()
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + bytes(more))
        settle()
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    settle()
    site.later(1)
    wait_until(lambda: told)
    assert told == [True]


def test_a_gateway_that_only_asks_for_values_does_not_keep_a_draining_worker(make: Make) -> None:
    site = make(lambda environ, start_response: [], protocol="fastcgi")
    ask = fastcgi_records.rec(fastcgi_records.GET_VALUES, fastcgi_records.pair("FCGI_MAX_REQS", ""), id=0)
    with site.connect(ask) as client:
        assert client.recv(100)
        site.service.draining = True
        deadlines: set[float] = set()
        for _ in range(3):
            client.sendall(ask)
            assert client.recv(100)
            settle()
            deadlines.update(site.service.deadlines.waiting.values())
    assert len(deadlines) == 1
