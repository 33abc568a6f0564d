"""Bodies and slots: a small one is read before its request takes a slot, a slow one loses it while others wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greenwsgi.errors import PeerGone
from greenwsgi.serve import request_body
from greenwsgi.serve.request_body import LAG, SMALL
from tests.serve.conftest import Make
from tests.serve.site import Site, read_all, read_answer, read_head, settle, wait_until
from tests.wire.cases.fastcgi_records import PARAMS, STDIN, begin, pairs, rec
from tests.wire.cases.scgi_requests import POST
from tests.wire.cases.scgi_requests import request as scgi_request
from tests.wire.cases.uwsgi_packets import block, packet

CLOSE = b"GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


@pytest.fixture
def make(make: Make) -> Iterator[Make]:
    """Waits for the end of all connections, whose clients have left, before the site is closed."""
    sites: list[Site] = []

    def site(application: Any, **options: Any) -> Site:
        sites.append(make(application, **options))
        return sites[-1]

    yield site
    wait_until(lambda: not any(one.service.connections for one in sites))


def post(length: int, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (length, body)


LARGE = post(SMALL + 1)


class Echo:
    """Answers with the body; `began` counts its calls, `raised` is what reading raised."""

    def __init__(self) -> None:
        self.began = 0
        self.raised: list[type[BaseException]] = []
        self.departures: list[Any] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.began += 1
        self.departures.append(environ["greenwsgi.disconnected"])
        try:
            body = environ["wsgi.input"].read()
        except Exception as error:
            self.raised.append(type(error))
            raise
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


def holds(site: Site, count: int = 1) -> None:
    """Wait until so many requests hold slots, and wait for their bodies."""
    wait_until(lambda: len(site.service.running) == count)
    settle()


# Small ones


FASTCGI = [
    begin() + rec(PARAMS, pairs(("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "5"))) + rec(PARAMS),
    rec(STDIN, b"hel"),
    rec(STDIN, b"lo") + rec(STDIN),
]
PARTS = {
    "http": [post(5), b"hel", b"lo"],
    "uwsgi": [packet(block(*POST, ("CONTENT_LENGTH", "5"))), b"hel", b"lo"],
    "scgi": [scgi_request(*POST, length="5"), b"hel", b"lo"],
    "fastcgi": FASTCGI,
}


@pytest.mark.parametrize("protocol", PARTS)
def test_a_small_body_is_read_before_its_request_takes_a_slot(make: Make, protocol: str) -> None:
    echo = Echo()
    site = make(echo, protocol=protocol, cores=1)
    head, first, last = PARTS[protocol]
    with site.connect(head) as client:
        settle()
        client.sendall(first)
        settle()
        assert (echo.began, site.service.slots.free) == (0, [0])
        assert site.service.fetched.size == 3
        client.sendall(last)
        wait_until(lambda: echo.began)
        settle()
        assert b"hello" in client.recv(1000)
    assert site.service.fetched.size == 0


@pytest.mark.parametrize(
    "read",
    [
        lambda body: body.read(),
        lambda body: body.read(3) + body.read(),
        lambda body: body.readline() + b"".join(body),
        lambda body: b"".join(iter(lambda: body.read1(2), b"")),
        lambda body: body.peek(1)[:0] + b"".join(body.readlines()),
    ],
    ids=["read", "in pieces", "lines", "read1", "readlines"],
)
def test_it_reads_as_ever(make: Make, read: Any) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        assert environ["wsgi.input_terminated"] is True
        body = environ["wsgi.input"]
        said = read(body) + body.read() + body.read(5)
        start_response("200 OK", [("Content-Length", str(len(said)))])
        return [said]

    with make(application).connect(post(13)) as client:
        for piece in (b"on", b"e\n", b"two\nthree"):
            settle()
            client.sendall(piece)
        assert read_answer(client)[1] == b"one\ntwo\nthree"


def test_what_comes_behind_it_is_the_next_request(make: Make) -> None:
    with make(Echo()).connect(post(5, b"hel")) as client:
        settle()
        client.sendall(b"lo" + post(3, b"a"))
        assert read_answer(client)[1] == b"hello"
        client.sendall(b"bc" + CLOSE)
        assert read_answer(client)[1] == b"abc"
        assert b"200 OK" in read_all(client)


def test_one_that_nobody_reads_does_not_cost_the_connection(make: Make) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "0")])
        return []

    with make(application).connect(post(5, b"hel")) as client:
        settle()
        client.sendall(b"lo" + CLOSE)
        assert read_all(client).count(b"200 OK") == 2


def test_its_client_is_watched(make: Make) -> None:
    told: list[bool] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        told.append(environ["greenwsgi.disconnected"].wait(10))
        start_response("200 OK", [])
        return []

    site = make(application)
    with site.connect(post(5, b"hel")) as client:
        settle()
        client.sendall(b"lo")
        holds(site)
        gevent.get_hub().loop.run_callback(site.watchdog.look)
        settle()
    wait_until(lambda: told)
    assert told == [True]


def test_who_leaves_in_the_middle_is_an_error_in_read(make: Make) -> None:
    echo = Echo()
    site = make(echo)
    with site.connect(post(10, b"hel")) as client:
        settle()
        client.shutdown(1)
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
    assert echo.raised == [PeerGone]
    assert site.service.fetched.size == 0


def test_one_that_does_not_come_in_time_is_408_and_the_application_is_not_called(make: Make) -> None:
    echo = Echo()
    site = make(echo)
    with site.connect(post(5, b"hel")) as client:
        settle()
        site.later(31)
        assert read_all(client).startswith(b"HTTP/1.1 408 ")
    assert echo.began == 0
    assert "408 the request body did not come in time" in site.log
    assert site.service.fetched.size == 0


def test_nor_is_it_for_one_that_dribbles(make: Make) -> None:
    """body-min-rate: after its grace of 10 s."""
    echo = Echo()
    site = make(echo)
    site.limit(socket_timeout=1000)
    with site.connect(post(500)) as client:
        for _ in range(4):
            client.sendall(b"x")
            settle()
            site.later(3)
        assert read_all(client).startswith(b"HTTP/1.1 408 ")
    assert echo.began == 0


@pytest.mark.parametrize(
    "begin", [LARGE, CHUNKED, EXPECTING], ids=["large", "of unknown length", "the client waits for 100 Continue"]
)
def test_others_take_their_slot_first(make: Make, begin: bytes) -> None:
    echo = Echo()
    site = make(echo, cores=1)
    with site.connect(begin) as client:
        holds(site)
        assert echo.began == 1
        if begin is EXPECTING:
            assert read_head(client) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_one_that_is_here_is_not_looked_at(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body.RequestBody, "fetch", None)
    with make(Echo()).connect(post(5, b"hello")) as client:
        assert read_answer(client)[1] == b"hello"


def test_beyond_the_worker_s_bound_the_slot_comes_first(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "MOST_FETCHED", 5)
    echo = Echo()
    site = make(echo)
    with site.connect(post(5, b"hel")) as client, site.connect(post(5)) as other:
        wait_until(lambda: site.service.fetched.size == 3)
        assert not site.service.running
        other.sendall(b"hel")
        holds(site, 1)
        assert site.service.fetched.size == 3
        for one in (other, client):
            one.sendall(b"lo")
            assert read_answer(one)[1] == b"hello"
    assert site.service.fetched.size == 0


# Slow ones


def ends(client: Any) -> bytes:
    return read_all(client).partition(b"\r\n")[0]


SLOW = {
    "large": LARGE + b"x",
    "of unknown length": CHUNKED + b"1\r\nx\r\n",
    "that waits for 100 Continue": EXPECTING,
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_slow_body_loses_its_slot_to_a_request_that_waits(make: Make, kind: str) -> None:
    echo = Echo()
    site = make(echo, cores=1)
    with site.connect(SLOW[kind]) as slow:
        holds(site)
        with site.connect(CLOSE) as other:
            wait_until(lambda: site.service.slots.queue)
            site.later(LAG - 0.5)
            assert site.service.slots.queue
            site.later(0.5)
            assert b"408 Request Timeout" in read_all(slow)
            assert ends(other) == b"HTTP/1.1 200 OK"
    assert "(HTTP/1.1 408)" in site.log
    site.later(1)
    assert "overloaded: 1 requests were ended, since their bodies came too slowly" in site.log
    assert [issubclass(one, PeerGone) for one in echo.raised] == [True]


def test_it_loses_it_by_uwsgi_too(make: Make) -> None:
    site = make(Echo(), protocol="uwsgi", cores=1)
    with site.connect(packet(block(*POST, ("CONTENT_LENGTH", "20000")))) as slow:
        holds(site)
        with site.connect(packet(block(*POST))) as other:
            wait_until(lambda: site.service.slots.queue)
            site.later(LAG)
            assert ends(slow) == b"HTTP/1.1 408 Request Timeout"
            assert ends(other) == b"HTTP/1.1 200 OK"


def test_a_greenlet_of_the_application_may_be_the_one_that_waits_for_it(make: Make) -> None:
    raised: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] != "/quick":
            reader = gevent.spawn(environ["wsgi.input"].read)
            reader.join()
            raised.append(reader.exception)
        start_response("200 OK", [])
        return []

    site = make(application, cores=1)
    with site.connect(LARGE):
        holds(site)
        with site.connect(CLOSE) as other:
            wait_until(lambda: site.service.slots.queue)
            site.later(LAG)
            assert ends(other) == b"HTTP/1.1 200 OK"
    assert [isinstance(one, PeerGone) for one in raised] == [True]


def test_while_nobody_waits_it_may_be_slow(make: Make) -> None:
    site = make(Echo(), cores=2)
    with site.connect(LARGE):
        holds(site)
        site.later(9)
        assert len(site.service.running) == 1
        assert site.answer(CLOSE).partition(b"\r\n")[0] == b"HTTP/1.1 200 OK"


def test_where_nobody_may_wait_those_who_are_turned_away_count(make: Make) -> None:
    """With queue-size 0 there is no line."""
    site = make(Echo(), cores=1)
    site.service.slots.most_waiting = 0
    with site.connect(LARGE) as slow:
        holds(site)
        assert site.answer(CLOSE).partition(b"\r\n")[0] == b"HTTP/1.1 503 Service Unavailable"
        site.later(LAG)
        assert ends(slow) == b"HTTP/1.1 408 Request Timeout"


def test_without_body_min_rate_nobody_is_slow(make: Make) -> None:
    site = make(Echo(), cores=1)
    site.limit(body_min_rate=0)
    with site.connect(LARGE):
        holds(site)
        with site.connect(CLOSE):
            wait_until(lambda: site.service.slots.queue)
            site.later(20)
            assert site.service.slots.queue


def test_the_slowest_go_first_and_no_more_than_are_needed(make: Make) -> None:
    site = make(Echo(), cores=3)
    with (
        site.connect(post(100_000)) as quick,
        site.connect(post(100_000)) as slowest,
        site.connect(post(100_000)) as slow,
    ):
        holds(site, 3)
        for client, size in ((quick, 5000), (slowest, 10), (slow, 2000)):
            client.sendall(bytes(size))
        settle()
        with site.connect(CLOSE) as other:
            wait_until(lambda: site.service.slots.queue)
            site.later(LAG)
            assert ends(slowest) == b"HTTP/1.1 408 Request Timeout"
            assert ends(other) == b"HTTP/1.1 200 OK"
        site.later(LAG)
        assert len(site.service.running) == 2


def test_an_honest_upload_is_not_ended_and_a_quick_beginning_does_not_excuse_the_rest(make: Make) -> None:
    site = make(Echo(), cores=1)
    with site.connect(post(10_000_000)) as client, site.connect(CLOSE) as other:
        holds(site)
        for _ in range(3):
            client.sendall(bytes(100_000))
            settle()
            site.later(LAG)
            assert len(site.service.slots.queue) == 1
        site.later(LAG)
        assert ends(client) == b"HTTP/1.1 408 Request Timeout"
        assert ends(other) == b"HTTP/1.1 200 OK"


def test_one_that_is_not_waited_for_is_not_slow(make: Make) -> None:
    """It is the application that takes its time."""
    go = Event()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] != "/quick":
            environ["wsgi.input"].read(1)
            go.wait()
        start_response("200 OK", [])
        return [b"done"]

    site = make(application, cores=1)
    with site.connect(LARGE + b"x") as client, site.connect(CLOSE) as other:
        wait_until(lambda: site.service.slots.queue)
        site.later(20)
        assert site.service.slots.queue
        go.set()
        assert ends(other) == b"HTTP/1.1 200 OK"
        assert b"200 OK" in read_head(client)
