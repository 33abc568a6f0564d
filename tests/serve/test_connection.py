"""Connections and exchanges over real sockets: kept, pipelined, refused, cut, drained."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenwsgi.errors import PeerGone
from greenwsgi.shared.metrics import EXCEPTIONS, REQUESTS
from tests.serve.conftest import Make
from tests.serve.site import read_all, read_answer, read_head, settle, wait_until
from tests.wire.cases.uwsgi_packets import Pair, get

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello " + environ["PATH_INFO"].encode()]


def echo(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


def test_a_connection_carries_one_request_after_the_other(make: Make) -> None:
    site = make(hello)
    with site.connect() as client:
        for path in (b"/a", b"/b", b"/c"):
            client.sendall(GET.replace(b"/ ", path + b" "))
            assert read_answer(client)[1] == b"hello " + path
    assert site.service.seat.counters[REQUESTS] == 3


def test_pipelined_requests_are_answered_in_order(make: Make) -> None:
    said = make(hello).answer(GET.replace(b"/ ", b"/1 ") + GET.replace(b"/ ", b"/2 ") + CLOSE.replace(b"/ ", b"/3 "))
    assert said.count(b"200 OK") == 3
    assert said.index(b"hello /1") < said.index(b"hello /2") < said.index(b"hello /3")


def test_environ_has_what_only_the_socket_knows(make: Make) -> None:
    seen: dict[str, Any] = {}

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.update(environ)
        return hello(environ, start_response)

    site = make(application)
    with site.connect(CLOSE) as client:
        port = client.getsockname()[1]
        read_all(client)
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("127.0.0.1", str(port))
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"], seen["wsgi.url_scheme"]) == ("testing", "80", "http")
    assert seen["wsgi.multithread"] is True
    assert seen["wsgi.input_terminated"] is True


OWN_PORT = "the socket's"


@pytest.mark.parametrize(
    ("said", "port"),
    [
        ((), OWN_PORT),
        ((("REMOTE_ADDR", "192.0.2.7"),), None),
        ((("REMOTE_ADDR", "127.0.0.1"),), OWN_PORT),
        ((("REMOTE_ADDR", "192.0.2.7"), ("REMOTE_PORT", "52044")), "52044"),
        ((("REMOTE_ADDR", "192.0.2.7"), ("REMOTE_PORT", "")), ""),
    ],
    ids=repr,
)
def test_a_gateway_s_own_port_is_not_its_client_s(make: Make, said: tuple[Pair, ...], port: str | None) -> None:
    seen: dict[str, Any] = {}

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.update(environ)
        return hello(environ, start_response)

    with make(application, protocol="uwsgi").connect(get(*said)) as client:
        own = str(client.getsockname()[1])
        read_all(client)
    assert seen.get("REMOTE_PORT") == (own if port is OWN_PORT else port)


def test_a_body_is_read_as_it_comes(make: Make) -> None:
    site = make(echo)
    with site.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello") as client:
        settle()
        client.sendall(b"world")
        assert read_answer(client)[1] == b"helloworld"


def test_a_small_unread_body_does_not_cost_the_connection(make: Make) -> None:
    site = make(hello)
    with site.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /" + CLOSE) as client:
        assert read_all(client).count(b"200 OK") == 2


def test_a_large_unread_body_ends_it_but_the_answer_arrives(make: Make) -> None:
    site = make(hello)
    with site.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n") as client:
        sender = gevent.spawn(client.sendall, bytes(8_000_000))
        assert read_all(client).endswith(b"hello /")
        client.shutdown(socket.SHUT_WR)
        sender.join()


def test_100_continue_is_sent_when_the_application_reads(make: Make) -> None:
    expecting = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with make(echo).connect(expecting) as client:
        assert read_head(client) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello")
        assert read_answer(client)[1] == b"hello"


def test_100_continue_is_not_sent_when_it_does_not_and_the_connection_ends(make: Make) -> None:
    expecting = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\nExpect: 100-continue\r\n\r\n"
    site = make(hello)
    with site.connect(expecting) as client:
        said = b""
        while not said.endswith(b"hello /"):
            said += client.recv(1000)
        client.sendall(GET)  # a body or a request? nobody can tell, so nobody may guess
        said += read_all(client)
    assert b"100 Continue" not in said
    assert said.count(b"200 OK") == 1


def test_a_client_that_sends_less_than_it_promised_is_an_error_in_read(make: Make) -> None:
    raised: list[Exception] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            raised.append(error)
            raise
        return hello(environ, start_response)

    with make(application).connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel") as client:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
    assert [type(one) for one in raised] == [PeerGone]


def test_the_input_of_a_request_cannot_steal_from_the_next(make: Make) -> None:
    inputs: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        inputs.append(environ["wsgi.input"])
        return hello(environ, start_response)

    site = make(application)
    with site.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello") as client:
        read_answer(client)
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nworld")
        with pytest.raises(ValueError, match="has ended"):
            inputs[0].read()
        read_answer(client)


def test_nor_read_what_comes_behind_an_answer_that_was_cut(make: Make) -> None:
    inputs: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        inputs.append(environ["wsgi.input"])
        start_response("200 OK", [])
        yield b"some"
        raise LookupError("midway")

    site = make(application)
    with site.connect(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n") as client:
        assert read_all(client).endswith(b"some\r\n")
        with pytest.raises(ValueError, match="has ended"):
            inputs[0].read(5)


def test_a_connection_whose_body_somebody_still_waits_for_is_not_kept(make: Make) -> None:
    """Two cannot wait for the same socket: the next request would not be heard."""
    readers: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        readers.append(gevent.spawn(pytest.raises, PeerGone, environ["wsgi.input"].read))
        settle()
        return hello(environ, start_response)

    site = make(application)
    with site.connect(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n") as client:
        assert read_answer(client)[1] == b"hello /"
        client.sendall(b"5\r\nworld\r\n0\r\n\r\n" + GET)
        assert read_all(client) == b""
    site.later(31)
    readers[0].get()


@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_an_application_that_raises_is_500_and_its_neighbours_do_not_notice(make: Make, error: BaseException) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/bad":
            raise error
        return hello(environ, start_response)

    site = make(application)
    with site.connect(GET.replace(b"/ ", b"/bad ")) as client:
        head, body = read_answer(client)
        assert head.startswith(b"HTTP/1.1 500 ")
        assert body == b"Internal Server Error"
        client.sendall(CLOSE)  # the connection is as good as before
        assert b"hello /" in read_all(client)
    assert "GET /bad from 127.0.0.1 failed in the application" in site.log
    assert "Traceback" in site.log
    assert type(error).__name__ in site.log
    assert "(HTTP/1.1 500)" in site.log
    assert site.service.seat.counters[EXCEPTIONS] == 1


def test_an_error_after_the_head_cuts_the_connection_without_a_last_chunk(make: Make) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"some"
        raise ValueError("midway")

    said = make(application).answer(GET)
    assert b"chunked" in said
    assert said.endswith(b"4\r\nsome\r\n")


def test_a_body_shorter_than_its_length_cuts_the_connection(make: Make) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "10")])
        return [b"four"]

    site = make(application)
    assert site.answer(GET).endswith(b"\r\n\r\nfour")
    assert "ended after 4 bytes, Content-Length said 10" in site.log


def test_a_body_longer_than_its_length_is_cut_and_said(make: Make) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"four"]

    site = make(application)
    with site.connect(GET) as client:
        assert read_answer(client)[1] == b"fo"
        client.sendall(CLOSE)
        assert read_all(client).endswith(b"\r\n\r\nfo")
    assert "2 bytes beyond its answer's Content-Length were not sent" in site.log


def test_header_injection_is_500(make: Make) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X", "a\r\nSet-Cookie: evil")])
        return [b""]

    said = make(application).answer(CLOSE)
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b"evil" not in said


def test_a_client_that_leaves_in_the_middle_gets_an_access_line_with_499_and_close_is_called(make: Make) -> None:
    closed, go = Event(), Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                go.wait()
                yield bytes(1_000_000)

        def close(self) -> None:
            closed.set()

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Endless()

    site = make(application)
    client = site.connect(GET)
    settle()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    go.set()
    closed.wait()
    wait_until(lambda: "=> generated" in site.log)
    assert "(HTTP/1.1 499)" in site.log
    assert "Traceback" not in site.log
    assert len(site.service.slots.free) == 10


def test_a_malformed_request_is_refused_and_the_next_client_served(make: Make) -> None:
    site = make(hello)
    said = site.answer(b"GET / HTTP/1.1\r\n\r\n" + GET)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1") == 1
    assert b"Connection: close" in said
    assert "refused 127.0.0.1 on here: 400" in site.log
    assert b"hello" in site.answer(CLOSE)


@pytest.mark.parametrize("bad", [b"x", b"012:", b"9999999999", GET], ids=repr)
def test_a_malformed_netstring_ends_its_connection_at_once(make: Make, bad: bytes) -> None:
    """While its client waits: one answer, one line, and the next one is served."""
    site = make(hello, protocol="scgi")
    with site.connect(bad) as client:
        assert read_all(client).startswith((b"Status: 400 ", b"Status: 431 "))
    settle()
    assert site.log.count("refused 127.0.0.1 on here: 4") == len(site.log.splitlines()) == 1
    assert b"hello" in site.answer(b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,")


def test_the_answer_to_a_good_request_goes_out_before_the_refusal_of_the_next(make: Make) -> None:
    said = make(hello).answer(GET + b"BAD\r\n\r\n")
    assert said.index(b"200 OK") < said.index(b"HTTP/1.1 400 ")


def test_a_head_that_does_not_come_is_408(make: Make) -> None:
    site = make(hello)
    with site.connect(b"GET / HT") as client:
        settle()
        site.later(29)
        assert len(site.service.connections) == 1
        site.later(2)
        assert read_all(client).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(("before", "seconds"), [(b"", 30), (GET, 75)])
def test_a_connection_without_a_request_is_closed_without_a_word(make: Make, before: bytes, seconds: int) -> None:
    site = make(hello)
    with site.connect(before) as client:
        if before:
            read_answer(client)
        settle()
        site.later(seconds - 1)
        assert len(site.service.connections) == 1
        site.later(2)
        assert read_all(client) == b""


def test_idle_and_half_sent_connections_take_no_slot(make: Make) -> None:
    site = make(hello, cores=1)
    with site.connect(), site.connect(b"GET / HT"):
        settle()
        assert b"hello" in site.answer(CLOSE)


def test_more_requests_than_slots_wait_their_turn(make: Make) -> None:
    go, running = Event(), []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        running.append(environ["PATH_INFO"])
        go.wait()
        return hello(environ, start_response)

    site = make(application, cores=2)
    asking = [gevent.spawn(site.answer, CLOSE) for _ in range(4)]
    wait_until(lambda: len(site.service.slots.queue) == 2)
    assert len(running) == 2
    go.set()
    assert all(b"hello" in one.get() for one in asking)
    assert sorted(site.service.slots.free) == [0, 1]


def test_a_drain_answers_what_runs_and_what_comes_at_once_then_closes(make: Make) -> None:
    site = make(hello)
    with site.connect(GET) as busy, site.connect(GET) as idle:
        assert b"Connection: close" not in read_answer(busy)[0]
        read_answer(idle)
        settle()
        site.service.draining = True
        for connection in site.service.connections:
            connection.hurry(site.clock.monotonic())
        busy.sendall(GET)  # was on its way when the drain began
        head, body = read_answer(busy)
        assert b"Connection: close" in head
        assert body == b"hello /"
        assert read_all(busy) == b""
        site.later(1.5)
        assert read_all(idle) == b""
    wait_until(lambda: not site.service.connections)


def test_uwsgi_variables_reach_environ(make: Make) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        names = ("REMOTE_ADDR", "MY_PARAM", "PATH_INFO", "wsgi.url_scheme")
        return ["|".join(environ[name] for name in names).encode()]

    pairs = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/x%41", "REMOTE_ADDR": "1.2.3.4", "MY_PARAM": "mine", "HTTPS": "on",
        "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "x", "REQUEST_URI": "/x%2541",
    }  # fmt: skip
    block = b"".join(struct.pack("<H", len(text)) + text.encode() for pair in pairs.items() for text in pair)
    said = make(application, protocol="uwsgi").answer(struct.pack("<BHB", 0, len(block), 0) + block)
    assert said == b"HTTP/1.1 200 OK\r\n\r\n1.2.3.4|mine|/x%41|https"


def test_a_connection_that_lingers_is_not_over(make: Make) -> None:
    """A worker that drains waits for its connections, so also for one whose client has not read its answer yet."""
    site = make(hello)
    with site.connect(b"BAD\r\n\r\n") as client:
        assert b" 400 " in read_head(client)
        settle()
        assert len(site.service.connections) == 1
    wait_until(lambda: not site.service.connections)


def test_an_error_after_a_whole_answer_keeps_the_connection(make: Make) -> None:
    """The answer did not say that it is the last one: a proxy may have sent the next request by now."""

    class Fails(list[bytes]):
        def close(self) -> None:
            raise RuntimeError("in close")

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "2")])
        return Fails([b"ok"])

    site = make(application)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with site.connect(request) as client:
        for _ in range(3):
            assert read_answer(client)[1] == b"ok"
            client.sendall(request)
    assert site.log.count("RuntimeError: in close") >= 3
