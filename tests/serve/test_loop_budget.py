"""What can run without waiting lets the loop poll: every such path, and what its neighbours wait for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from gevent.hub import get_hub

from greenwsgi.config.settings import Settings
from greenwsgi.errors import PeerGone
from greenwsgi.log.server_log import ServerLog
from greenwsgi.options.table.cgi import CgiOptions as Options
from greenwsgi.serve import loop_budget
from greenwsgi.serve.cgi_programs import CgiPrograms
from greenwsgi.serve.deadlines import Deadlines
from greenwsgi.serve.loop_budget import TURN, LoopBudget
from greenwsgi.serve.stream import SEND_MOST, Stream
from greenwsgi.wsgi.file_wrapper import FilePart, FileWrapper
from tests.certificates import Certificates
from tests.serve.conftest import Make
from tests.serve.site import Site, read_all, wait_until
from tests.serve.test_tls_contexts import Secure
from tests.wire.cases import fastcgi_records

PIECES = 10
"""Looks at the clock that a turn has, where each takes a tenth of it."""


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves when somebody looks at it: what a path does between two looks takes a tenth of a turn."""
    now = 0.0

    def tick() -> float:
        nonlocal now
        now += TURN / PIECES
        return now

    monkeypatch.setattr(loop_budget, "_now", tick)


# Turns themselves


def test_a_turn_is_over_after_ten_milliseconds_for_all_and_begins_with_the_poll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 5.0
    monkeypatch.setattr(loop_budget, "_now", lambda: now)
    one = LoopBudget()
    assert not one.over()
    now += TURN / 2
    assert not one.over()
    now += TURN / 2
    assert one.over()
    gevent.sleep(0.001)
    assert not one.over()


def test_check_does_nothing_before_the_turn_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_budget, "_now", lambda: 5.0)
    before = get_hub().loop.iteration
    for _ in range(100):
        LoopBudget().check()
    assert get_hub().loop.iteration == before


def test_those_that_gave_way_go_on_first_come_first_served() -> None:
    one, order = LoopBudget(), []

    def work(name: str) -> None:
        for _ in range(3):
            order.append(name)
            one.give_way()

    gevent.joinall([gevent.spawn(work, name) for name in "abc"])
    assert "".join(order) == "abcabcabc"


@pytest.mark.usefixtures("ticking")
def test_a_pass_resumes_no_more_than_a_turn_of_them_but_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    one, loop = LoopBudget(), get_hub().loop
    resumed: list[int] = []

    def work() -> None:
        one.give_way()
        resumed.append(loop.iteration)

    gevent.joinall([gevent.spawn(work) for _ in range(35)])
    counts = [resumed.count(number) for number in dict.fromkeys(resumed)]
    assert sum(counts) == 35
    assert 1 <= min(counts) <= max(counts) <= PIECES


@pytest.mark.usefixtures("ticking")
def test_new_connections_go_on_before_the_others_but_not_in_their_place() -> None:
    one = LoopBudget()
    order: list[str] = []

    def work(name: str) -> None:
        one.give_way(new=name == "n")
        order.append(name)

    gevent.joinall([gevent.spawn(work, name) for name in "ooo" + "n" * (2 * PIECES)])
    assert order[0] == "n"
    assert "".join(order).rstrip("o").endswith("n")
    assert "o" in "".join(order).rstrip("o"), "one of the others at least in each pass"


@pytest.mark.usefixtures("ticking")
def test_a_turn_is_divided_among_those_that_wait() -> None:
    """Else the first of 64 would use the turn of a pass, and the last wait for 64 passes."""
    one, loop = LoopBudget(), get_hub().loop
    worked: list[tuple[int, str]] = []

    def work(name: str) -> None:
        for _ in range(20):
            one.check()
            worked.append((loop.iteration, name))

    gevent.joinall([gevent.spawn(work, name) for name in "abcd"])
    first = worked[-1][0] - 2  # a pass in the middle
    assert len({name for number, name in worked if number == first}) > 1


def test_what_is_ready_runs_before_those_that_gave_way() -> None:
    one = LoopBudget()
    order: list[str] = []
    end, other = os.pipe()
    watcher = get_hub().loop.io(end, 1)
    watcher.start(order.append, "ready")

    def work() -> None:
        one.give_way()
        order.append("resumed")

    os.write(other, b"x")
    gevent.joinall([gevent.spawn(work) for _ in range(5)])
    watcher.close()
    os.close(end)
    os.close(other)
    assert order[0] == "ready"


def test_a_greenlet_that_is_ended_while_it_waits_for_its_turn_is_not_resumed() -> None:
    one, ended = LoopBudget(), []

    def work() -> None:
        try:
            one.give_way()
        finally:
            ended.append(1)

    workers = [gevent.spawn(work) for _ in range(3)]
    gevent.sleep(0)
    workers[1].kill()
    gevent.joinall(workers)
    assert len(ended) == 3
    assert not one._parked


def test_a_greenlet_that_something_else_wakes_waits_for_its_turn_all_the_same() -> None:
    one, loop = LoopBudget(), get_hub().loop

    def work() -> int:
        before = loop.iteration
        loop.run_callback(gevent.getcurrent().switch)
        one.give_way()
        return loop.iteration - before

    assert gevent.spawn(work).get() == 1


def test_there_is_no_giving_way_in_the_hub_and_in_other_threads() -> None:
    one, done = LoopBudget(), []

    def go() -> None:
        one.give_way()
        done.append(1)

    get_hub().loop.run_callback(go)
    get_hub().threadpool.spawn(go).get()
    assert done == [1, 1]


# The paths


def application(environ: Any, start_response: Any) -> Any:
    """Reads its body in pieces; /generate?N yields N pieces, /large one of N MB, /file is a file of N MB."""
    count = int(environ.get("QUERY_STRING") or 0)
    while environ["wsgi.input"].read(16384):
        pass
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/generate":
        return (b"x" for _ in range(count))
    if path == "/large":
        return [memoryview(bytes(count << 20))]
    if path == "/file":
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the wrapper closes it
        file.truncate(count << 20)
        return FileWrapper(file)
    return [b"ok"]


def get(path: str, close: bool = True) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{'Connection: close' if close else 'A: b'}\r\n\r\n".encode()


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


PATHS: dict[str, tuple[str, bytes, int]] = {
    "pipelined heads": ("http", get("/", close=False) * 500 + get("/"), 40),
    "tiny chunks": ("http", CHUNKED + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n", 10),
    "a fast upload": ("http", UPLOAD % (8 << 20) + bytes(8 << 20), 5),
    "many pieces": ("http", get("/generate?500"), 30),
    "pipelined FastCGI": ("fastcgi", fastcgi_records.get() * 500 + fastcgi_records.get(flags=0), 40),
    "replies": ("fastcgi", fastcgi_records.rec(99, id=0) * 500 + fastcgi_records.get(flags=0), 40),
    "records for no request": (
        "fastcgi",
        fastcgi_records.rec(fastcgi_records.ABORT, id=7) * 500_000 + fastcgi_records.get(flags=0),
        70,
    ),
}
"""Protocol, all that a client sends, and how often the loop polls at least because somebody gives way."""


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, ticking: None) -> list[int]:
    """One item for each time that somebody gives way."""
    times: list[int] = []
    give_way = LoopBudget.give_way

    def counted(self: LoopBudget, *, new: bool = False) -> None:
        times.append(get_hub().loop.iteration)
        give_way(self, new=new)
        assert get_hub().loop.iteration > times[-1]

    monkeypatch.setattr(LoopBudget, "give_way", counted)
    return times


def quiet(site: Site) -> Site:
    """Without an access log: a test's log is a pipe that nothing reads meanwhile."""
    site.service.access = None
    return site


def answered(site: Site, data: bytes, connect: Callable[[], Any] | None = None) -> bytes:
    """All that comes back for `data`, which is sent while the answer is read."""
    said = bytearray()
    with (connect or site.connect)() as client:
        sender = gevent.spawn(client.sendall, data)
        while piece := client.recv(1 << 20):
            said += piece
        sender.join()
    return bytes(said)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_never_waits_lets_the_loop_poll(make: Make, given: list[int], path: str) -> None:
    """Now and then it does wait: its client is in the same process, and the loop polls for it too."""
    protocol, data, least = PATHS[path]
    assert answered(quiet(make(application, protocol=protocol)), data)
    assert len(given) >= least


class Greedy:
    """A client's socket that takes all at once."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def recv(self, size: int) -> bytes:
        return b""

    def send(self, data: bytes) -> int:
        self.taken.append(len(data))
        return len(data)

    def sendmsg(self, pieces: list[memoryview]) -> int:
        return self.send(b"".join(pieces))

    def fileno(self) -> int:
        return -1


Large = Callable[[Stream], object]
LARGE: dict[str, Large] = {
    "a large piece": lambda stream: stream.send_pieces([b"head", memoryview(bytes(50 << 20)), b"end"]),
    "many large pieces": lambda stream: stream.send_pieces([bytes(1 << 19)] * 100),
    "a file": lambda stream: stream.sendfile(FilePart(0, 0, 50 << 20)),
}


@pytest.fixture
def greedy(monkeypatch: pytest.MonkeyPatch) -> tuple[Stream, list[int]]:
    """A stream to a greedy client, and what that took in each system call."""
    sock = Greedy()

    def sendfile(out: int, fd: int, offset: int, count: int) -> int:
        sock.taken.append(count)
        return count

    monkeypatch.setattr(os, "sendfile", sendfile)
    return Stream(sock, Deadlines(), LoopBudget(), 30.0), sock.taken


@pytest.mark.parametrize("what", LARGE)
def test_a_client_that_takes_all_at_once_does_not_keep_the_loop(
    greedy: tuple[Stream, list[int]], given: list[int], what: str
) -> None:
    stream, taken = greedy
    LARGE[what](stream)
    assert sum(taken) - 7 * (what == "a large piece") == 50 << 20
    assert max(taken) == SEND_MOST
    assert len(given) in (4, 5)


@pytest.mark.parametrize("what", LARGE)
def test_a_send_that_is_ended_while_it_gives_way_is_cut_short(
    greedy: tuple[Stream, list[int]], monkeypatch: pytest.MonkeyPatch, ticking: None, what: str
) -> None:
    """Its client would take what is sent then for the rest."""
    stream, taken = greedy
    waiting: list[LoopBudget] = []

    def for_ever(self: LoopBudget, **_: bool) -> None:
        waiting.append(self)
        Event().wait()

    monkeypatch.setattr(LoopBudget, "give_way", for_ever)
    sender = gevent.spawn(LARGE[what], stream)
    wait_until(lambda: waiting)
    sender.kill()
    count = len(taken)
    for send in (stream.send, stream.send_next):
        with pytest.raises(PeerGone):
            send(b"x")
    with pytest.raises(PeerGone):
        stream.send_pieces([b"x"])
    assert len(taken) == count


@pytest.mark.parametrize("path", ["pipelined heads", "a fast upload", "many pieces"])
def test_the_same_under_tls(make: Make, files: Certificates, given: list[int], path: str) -> None:
    secure = Secure(make, files)
    site = quiet(secure.site(application))
    _, data, least = PATHS[path]
    assert answered(site, data, lambda: secure.connect(site))
    assert len(given) >= least


def test_a_body_that_is_read_away_gives_way(make: Make, given: list[int]) -> None:
    """The application left it unread, and the connection is kept."""

    def leaves_it(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    body = b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    said = answered(make(leaves_it), CHUNKED.replace(b"close", b"keep-alive") + body + get("/"))
    assert said.count(b"200 OK") == 2
    assert len(given) >= 10


def test_bytes_that_only_come_before_the_end_give_way(make: Make, given: list[int]) -> None:
    """After a refusal the server reads on, so that the client can read it (RFC 9112 9.6)."""
    site = make(application)
    with site.connect(b"junk\r\n\r\n") as client:
        client.sendall(bytes(20 << 20))
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
    assert given


@pytest.mark.parametrize(
    "script",
    [
        "cat /dev/zero | head -c 8000000",
        "yes | head -n 500 >&2",
    ],
)
def test_a_program_that_floods_a_pipe_gives_way(tmp_path: Path, make: Make, given: list[int], script: str) -> None:
    """Its standard output, its standard error; the way to its standard input is that of every body."""
    (tmp_path / "flood").write_text(f"#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n{script}\n")
    (tmp_path / "flood").chmod(0o755)
    with open(os.devnull, "w") as nowhere:
        settings = Settings(cgi=Options(cgi=(str(tmp_path),)))
        site = make(None)
        site.service.application = CgiPrograms(
            settings, application, ServerLog(nowhere.fileno()), site.service.loop_budget
        )
        said = answered(site, (UPLOAD % (8 << 20)).replace(b" / ", b" /flood ") + bytes(8 << 20))
    assert b"200 OK" in said, site.log
    assert len(given) >= 5


def test_the_acceptor_takes_one_connection_where_the_turn_is_over(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 at once are accepted where nobody else works, one by one where their requests take the turn."""
    accepted: list[int] = []
    monkeypatch.setattr(loop_budget, "_now", lambda: float(len(accepted)))  # each request takes a second
    site = make(application)

    def slow(environ: Any, start_response: Any) -> list[bytes]:
        accepted.append(get_hub().loop.iteration)
        return application(environ, start_response)  # type: ignore[no-any-return]

    site.service.application = slow
    for _ in range(2):  # greenlets that carry connections again begin them at once, in the acceptor
        clients = [site.connect(get("/")) for _ in range(5)]
        for client in clients:
            assert read_all(client).endswith(b"ok")
            client.close()
    assert len(set(accepted[5:])) == 5


FLOODS = {
    "pipelined heads": ("http", get("/", close=False) * 2000),
    "pipelined FastCGI": ("fastcgi", fastcgi_records.get() * 2000),
    "replies": ("fastcgi", fastcgi_records.rec(99, id=0) * 10_000),
    "tiny chunks": ("http", CHUNKED + b"1\r\nx\r\n" * 60_000),
}


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("count", [1, 10, 64])
@pytest.mark.parametrize("flood", FLOODS)
def test_a_neighbour_waits_for_few_pieces_of_a_flood(
    make: Make, monkeypatch: pytest.MonkeyPatch, flood: str, count: int
) -> None:
    """Not for all that has come, and not for a turn of each client: a turn is for all of them."""
    protocol, data = FLOODS[flood]
    looks = 0
    over = LoopBudget.over

    def counted(self: LoopBudget) -> bool:
        nonlocal looks
        looks += 1
        return over(self)

    monkeypatch.setattr(LoopBudget, "over", counted)
    site = quiet(make(application, protocol=protocol, cores=100))
    request = get("/") if protocol == "http" else fastcgi_records.get(flags=0)
    clients = [site.connect() for _ in range(count)]
    senders = [gevent.spawn(client.sendall, data[: len(data) // min(count, 10)]) for client in clients]
    drains = [gevent.spawn(read_all, client) for client in clients]
    wait_until(lambda: looks > 50)
    with site.connect() as neighbour:
        before = looks
        neighbour.sendall(request)
        assert b"200 OK" in neighbour.recv(100)
        waited = looks - before
    gevent.killall([*senders, *drains])
    for client in clients:
        client.close()
    wait_until(lambda: not site.service.connections)
    assert waited <= 5 * (PIECES + count + 1)
