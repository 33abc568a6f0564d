"""FastCGI through a whole worker: aborts, kept connections, what is answered beside requests, complaints."""

from __future__ import annotations

import struct
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenwsgi.errors import PeerError
from greenwsgi.shared.metrics import CLIENT_GONE
from greenwsgi.wire.fastcgi import FastCgi
from greenwsgi.wire.protocol import RequestHead, WireLimits
from tests.serve.conftest import Make
from tests.serve.site import Site, read_all, settle, wait_until
from tests.serve.test_disconnect import look
from tests.wire.cases import fastcgi_records as records
from tests.wire.cases.fastcgi_records import (
    ABORT,
    DATA,
    END,
    GET_VALUES,
    PARAMS,
    RESULT,
    STDERR,
    STDIN,
    STDOUT,
    begin,
    end_record,
    get,
    post,
    rec,
    streams,
)

ENDED = bytes(8)
"""An END_REQUEST that tells of no trouble."""


def read_record(client: Any) -> tuple[int, int, bytes]:
    """Type, request id and content of the next record."""
    head = client.recv(8)
    while len(head) < 8:
        head += client.recv(8 - len(head))
    _, kind, number, size, padding, _ = struct.unpack(">BBHHBB", head)
    content = b""
    while len(content) < size + padding:
        content += client.recv(size + padding - len(content))
    return kind, number, content[:size]


def read_answer(client: Any, id: int = 1) -> dict[int, bytes]:
    """The streams of the next answer."""
    found: dict[int, bytes] = {}
    while END not in found:
        kind, number, content = read_record(client)
        assert number == id
        found[kind] = found.get(kind, b"") + content
    return found


def hello(environ: Any, start_response: Any) -> list[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


class Poll:
    """Waits for the client's leaving, then answers; what became of each wait."""

    def __init__(self) -> None:
        self.told: list[bool] = []
        self.go_on = Event()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ.get("A") == "hello":
            return hello(environ, start_response)
        self.told.append(environ["greenwsgi.disconnected"].wait(10))
        self.go_on.wait()
        start_response("200 OK", [])
        return [b"late"]


def watch(site: Site) -> None:
    """Wait for a request, and let the watchdog see it."""
    wait_until(lambda: site.service.running)
    look(site)


def test_a_kept_connection(make: Make) -> None:
    with make(hello, protocol="fastcgi").connect() as client:
        for id in (1, 1, 7, 65535):
            client.sendall(get(id=id))
            found = read_answer(client, id)
            assert found[STDOUT] == b"Status: 200 OK\r\nContent-Length: 2\r\n\r\nok"
            assert found[END] == ENDED


def test_an_answer_is_one_packet(make: Make) -> None:
    """Head, body and end in one send."""
    with make(hello, protocol="fastcgi").connect(get()) as client:
        assert set(streams(client.recv(65536))) == {STDOUT, END}


@pytest.mark.parametrize("size", [65528, 65529, 65535, 65536, 300_000])
def test_a_large_piece_is_several_records(make: Make, size: int) -> None:
    def large(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x" * size]

    said = make(large, protocol="fastcgi").answer(get(flags=0))
    assert streams(said)[STDOUT].partition(b"\r\n\r\n")[2] == b"x" * size


def test_an_abort_is_the_client_s_leaving_and_the_connection_stays(make: Make) -> None:
    poll = Poll()
    site = make(poll, protocol="fastcgi")
    with site.connect(get()) as client:
        watch(site)
        client.sendall(rec(ABORT))
        wait_until(lambda: poll.told)
        poll.go_on.set()
        assert read_answer(client) == {STDOUT: b"", END: ENDED}
        client.sendall(get(("A", "hello")))
        assert read_answer(client)[STDOUT].endswith(b"ok")
    assert poll.told == [True]
    assert site.service.seat.counters[CLIENT_GONE] == 1
    assert site.log.count(" 499)") == 1


def test_an_abort_that_came_with_the_request(make: Make) -> None:
    poll = Poll()
    poll.go_on.set()
    site = make(poll, protocol="fastcgi")
    with site.connect(get() + rec(ABORT) + get(("A", "hello"))) as client:
        watch(site)
        assert read_answer(client) == {STDOUT: b"", END: ENDED}
        assert read_answer(client)[STDOUT].endswith(b"ok")
    assert poll.told == [True]


def test_the_next_request_has_not_left(make: Make) -> None:
    """What an abort told of one request is forgotten for the next."""
    poll = Poll()
    poll.go_on.set()
    site = make(poll, protocol="fastcgi")
    with site.connect(get() + rec(ABORT)) as client:
        watch(site)
        read_answer(client)
        client.sendall(get())
        watch(site)
        assert poll.told == [True]
        client.sendall(rec(ABORT))
        read_answer(client)
    assert poll.told == [True, True]


@pytest.mark.parametrize("leaves", [False, True], ids=["aborts", "leaves"])
@pytest.mark.parametrize("later", [rec(STDIN, padding=5), b""], ids=["end", "no-end"])
def test_an_abort_behind_a_body_whose_end_was_not_here_yet(make: Make, later: bytes, leaves: bool) -> None:
    """The application has read what CONTENT_LENGTH says, and waits; nobody reads the empty STDIN behind it."""
    poll = Poll()

    def application(environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(5)
        return poll(environ, start_response) if body == b"hello" else hello(environ, start_response)

    site = make(application, protocol="fastcgi")
    with site.connect(post(b"hello")[:-8]) as client:
        watch(site)
        assert poll.told == []
        client.sendall(later if leaves else later + rec(ABORT))
        if leaves:
            client.shutdown(socket.SHUT_WR)
        wait_until(lambda: poll.told)
        assert poll.told == [True]
        poll.go_on.set()
        if not leaves:
            assert read_answer(client) == {STDOUT: b"", END: ENDED}
            client.sendall(post(b"again"))
            assert read_answer(client)[STDOUT].endswith(b"ok")


def test_an_abort_ends_a_request_under_end_on_disconnect(make: Make) -> None:
    poll = Poll()
    site = make(poll, protocol="fastcgi")
    site.change(end_on_disconnect=True)
    with site.connect(get()) as client:
        watch(site)
        client.sendall(rec(ABORT))
        assert read_answer(client) == {STDOUT: b"", END: ENDED}
        client.sendall(get(("A", "hello")))
        assert read_answer(client)[STDOUT].endswith(b"ok")
    assert poll.told == []


@pytest.mark.parametrize("ends", [False, True], ids=["stalls", "end-on-disconnect"])
def test_after_half_a_record_nothing_is_said(make: Make, ends: bool) -> None:
    """Whatever came behind it would be taken for its rest, an answer to the next request too."""

    def large(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"x" * 50_000_000
        yield b"y"

    site = make(large, protocol="fastcgi")
    site.change(end_on_disconnect=ends)
    with site.connect(get()) as client:
        watch(site)
        wait_until(lambda: site.service.deadlines.waiting)
        client.sendall(rec(ABORT))
        settle()
        if not ends:
            site.later(31)
        wait_until(lambda: not site.service.running)
        assert read_all(client).endswith(b"x" * 1000)
    assert " 499)" in site.log


def test_an_aborted_request_cannot_write_into_the_next(make: Make) -> None:
    """Not even the head that it had not sent."""
    writes: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        writes.append(start_response("200 OK", []))
        if len(writes) > 1:
            with pytest.raises(ValueError, match="has ended"):
                writes[0](b"late")
        return [environ["wsgi.input"].read()]

    site = make(application, protocol="fastcgi")
    with site.connect(post(b"hello", said="")[:-8]) as client:
        wait_until(lambda: writes)
        client.sendall(rec(ABORT))
        assert read_answer(client) == {STDOUT: b"", END: ENDED}
        client.sendall(post(b"next"))
        assert read_answer(client)[STDOUT].endswith(b"200 OK\r\n\r\nnext")
    assert "Traceback" not in site.log


def test_an_abort_within_a_body(make: Make) -> None:
    """The application's read fails, and the connection serves the next request."""
    site = make(hello, protocol="fastcgi")
    with site.connect(post(b"hello", said="")[:-8]) as client:
        wait_until(lambda: site.service.running)
        client.sendall(rec(ABORT))
        assert read_answer(client) == {STDOUT: b"", END: ENDED}
        client.sendall(get())
        assert read_answer(client)[STDOUT].endswith(b"ok")
    assert "Traceback" not in site.log


def test_an_abort_of_a_body_that_nobody_reads(make: Make) -> None:
    def ignore(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with make(ignore, protocol="fastcgi").connect(post(b"hello", said="")[:-8]) as client:
        assert read_answer(client)[STDOUT].endswith(b"ok")
        client.sendall(rec(ABORT) + get())
        assert read_answer(client)[STDOUT].endswith(b"ok")


def test_what_is_read_away_is_counted_as_it_comes(make: Make) -> None:
    """Five thousand bytes of a body that nobody reads, in 1.3 MB of records."""

    def ignore(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    body = post(b"x" * 5000, step=1, padding=255)
    with make(ignore, protocol="fastcgi").connect() as client:
        sender = gevent.spawn(client.sendall, body + get())
        assert read_all(client).count(b"200 OK") == 1
        sender.kill()


def test_values_are_told_beside_a_body(make: Make) -> None:
    """And at once: the gateway may wait for them before it goes on."""
    with make(hello, protocol="fastcgi").connect(
        post(b"hello", said="")[:-8] + rec(GET_VALUES, id=0) + begin(2)
    ) as client:
        assert read_record(client) == (RESULT, 0, b"")
        assert read_record(client) == (END, 2, end_record(2, 1, 1)[8:])
        client.sendall(rec(STDIN))
        assert read_answer(client)[STDOUT].endswith(b"ok")


def test_a_connection_that_only_asked_for_values_waits_like_a_kept_one(make: Make) -> None:
    site = make(hello, protocol="fastcgi")
    with site.connect(rec(GET_VALUES, id=0)) as client:
        assert read_record(client) == (RESULT, 0, b"")
        wait_until(lambda: all(one.waiting_since for one in site.service.connections))
        site.later(60)  # more than header-timeout, less than keepalive-timeout
        client.sendall(get())
        assert read_answer(client)[STDOUT].endswith(b"ok")
    with site.connect(rec(GET_VALUES, id=0)) as client:
        assert read_record(client) == (RESULT, 0, b"")
        wait_until(lambda: all(one.waiting_since for one in site.service.connections))
        site.later(100)
        assert read_all(client) == b""
    assert "refused" not in site.log


def test_a_slow_head_gets_408(make: Make) -> None:
    site = make(hello, protocol="fastcgi")
    with site.connect(get()[:30]) as client:
        wait_until(lambda: site.service.deadlines.waiting)
        site.later(31)
        assert streams(read_all(client))[STDOUT].startswith(b"Status: 408 ")


def test_what_is_malformed_is_closed_with_one_line(make: Make) -> None:
    site = make(hello, protocol="fastcgi")
    assert site.answer(b"GET / HTTP/1.1\r\n\r\n") == b""
    assert streams(site.answer(begin() + rec(DATA)))[STDOUT].startswith(b"Status: 400 ")
    assert site.log.count("\n") == 2
    assert site.log.count("refused ") == 2


def test_an_overloaded_worker_answers_503(make: Make) -> None:
    gate = Event()

    def wait(environ: Any, start_response: Any) -> list[bytes]:
        gate.wait()
        return hello(environ, start_response)

    site = make(wait, protocol="fastcgi", cores=1)
    site.service.slots.most_waiting = 0
    with site.connect(get()) as first:
        wait_until(lambda: site.service.running)
        assert streams(site.answer(get()))[STDOUT].startswith(b"Status: 503 ")
        gate.set()
        assert read_answer(first)[STDOUT].endswith(b"ok")
    wait_until(lambda: not site.service.connections)


def complaining(environ: Any, start_response: Any) -> Any:
    errors = environ["wsgi.errors"]
    errors.write("one\u20ac\n")
    start_response("200 OK", [])
    yield b"ok"
    errors.writelines(["two\n", "three\n"])
    errors.flush()
    yield b"ok"
    errors.write("x" * 65536)
    errors.write("y")
    errors.write("z")


def test_complaints_go_to_the_gateway(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """With the next piece; what is too much, or too late, goes to our own."""
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        kept.append(environ["wsgi.errors"])
        return complaining(environ, start_response)

    site = make(application, protocol="fastcgi")
    site.change(gateway_errors=True)
    with site.connect(get() * 2) as client:
        for _ in range(2):
            found = read_answer(client)
            assert found[STDERR].decode().startswith("one\u20ac\ntwo\nthree\nxxx")
            assert len(found[STDERR]) == 65536 + 17
    kept[0].write("late")
    assert capsys.readouterr().err == "yzyzlate"


def test_complaints_stay_here_unless_asked_for(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert STDERR not in streams(make(complaining, protocol="fastcgi").answer(get(flags=0)))
    assert capsys.readouterr().err.startswith("one\u20ac\n")


def test_a_broken_answer_has_no_end(make: Make) -> None:
    """The gateway sees that it is incomplete."""

    def short(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "10")])
        return [b"ok"]

    assert set(streams(make(short, protocol="fastcgi").answer(get()))) == {STDOUT}


def test_nph(make: Make) -> None:
    """The first line has the gateway's protocol, if it said one."""
    site = make(hello, protocol="fastcgi-nph")
    assert streams(site.answer(get(flags=0)))[STDOUT].startswith(b"HTTP/1.1 200 OK\r\n")
    bare = begin(flags=0) + rec(PARAMS, b"\1\1AB") + rec(PARAMS) + rec(STDIN)
    assert streams(site.answer(bare))[STDOUT].startswith(b"HTTP/1.0 200 OK\r\n")


def test_the_last_answer_of_a_kept_connection_ends_with_it() -> None:
    """Before our end a gateway must not have all of the answer: it would send its next request."""
    for parts, keep_alive in ((True, False), (False, True)):
        protocol = FastCgi(WireLimits())
        protocol.receive_data(get())
        assert isinstance(protocol.next_event(), RequestHead)
        protocol.head("200 OK", [], -1, b"", keep_alive)
        last, parting = protocol.end(), protocol.parting()
        assert (END in streams(last), END in streams(parting)) == (not parts, parts)
        assert protocol.parting() == b""


def test_a_refusal_on_a_kept_connection_ends_with_it() -> None:
    protocol = FastCgi(WireLimits(head=1000))
    protocol.receive_data(get(("X", "x" * 2000)))
    with pytest.raises(PeerError):
        protocol.next_event()
    assert protocol.refuse(431, "too much", b"") == b""
    refusal = streams(protocol.parting())
    assert refusal[STDOUT].startswith(b"Status: 431 ")
    assert END in refusal


def test_kept_connections_end_whole_at_a_drain(make: Make) -> None:
    site = make(hello, protocol="fastcgi")
    with site.connect(get()) as client:
        assert read_answer(client)[END] == ENDED
        site.service.draining = True
        client.sendall(get(id=2))
        found = read_answer(client, 2)
        assert found[STDOUT].endswith(b"ok")
        assert found[END] == ENDED
        assert read_all(client) == b""


def test_a_connection_is_not_closed_before_the_end_of_stdin_has_come(make: Make) -> None:
    """Apache makes a 503 of the whole answer if it cannot send that record."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    site = make(application, protocol="fastcgi")
    whole = records.post(b"hello", flags=0)
    with site.connect(whole[:-8]) as client:
        answer = b""
        while not answer.endswith(records.rec(records.END, bytes(8))):
            answer += client.recv(65536)
        settle()
        assert site.service.connections, "it waits for the peer's end"
        client.sendall(whole[-8:])
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: not site.service.connections)
