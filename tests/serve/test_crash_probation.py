"""A worker that takes the place of one that crashed takes one connection at a time, until it has proven itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from gevent import socket
from gevent.event import Event

from greenwsgi.serve import crash_probation
from greenwsgi.serve.acceptor import Acceptor
from greenwsgi.serve.connection import Endpoint
from greenwsgi.serve.crash_probation import CrashProbation
from tests.serve.conftest import Make
from tests.serve.site import Site, read_answer, settle, wait_until

GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


class App:
    """`/hold` is answered when the test says so; running: how many run, most: how many did at once."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.running = self.most = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.running += 1
        self.most = max(self.most, self.running)
        if environ["PATH_INFO"] == "/hold":
            self.go_on.wait()
        self.running -= 1
        if environ["PATH_INFO"] == "/fail":
            raise ValueError
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


class Callers:
    """Makes clients, and closes those that are left."""

    def __init__(self, site: Site, made: ExitStack) -> None:
        self._site, self._made = site, made

    def connect(self, data: bytes = b"", address: Any = None) -> Any:
        client = self._made.enter_context(socket.create_connection(address or self._site.address))
        client.settimeout(10)
        client.sendall(data)
        return client


@pytest.fixture
def callers(site: Site) -> Iterator[Callers]:
    with ExitStack() as made:
        yield Callers(site, made)
    wait_until(lambda: not site.service.connections)


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def site(make: Make, app: App) -> Site:
    return make(app)


@pytest.fixture
def trial(site: Site) -> CrashProbation:
    return CrashProbation(site.service, [site._acceptor])


@pytest.fixture
def forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash_probation, "LONGEST", 1000.0)


@pytest.mark.usefixtures("forever")
def test_one_at_a_time_until_one_request_has_ended(
    site: Site, callers: Callers, app: App, trial: CrashProbation
) -> None:
    clients = [callers.connect(GET % b"/hold") for _ in range(10)]
    wait_until(lambda: app.running)
    settle()
    assert (app.running, len(site.service.connections)) == (1, 1)
    app.go_on.set()
    for client in clients:  # they are kept open: that one request has ended is enough
        assert read_answer(client)[1] == b"ok"
    assert site.finished == 10
    assert_as_always(site)


@pytest.mark.usefixtures("forever")
def test_an_answer_that_says_500_is_one_too(site: Site, callers: Callers, app: App, trial: CrashProbation) -> None:
    clients = [callers.connect(GET % b"/fail") for _ in range(3)]
    for client in clients:
        assert b" 500 " in read_answer(client)[0]
    assert_as_always(site)


@pytest.mark.usefixtures("forever")
@pytest.mark.parametrize("bytes_sent", [b"", b"GET / HTTP/1.1\r\n", b"no HTTP at all\r\n\r\n"])
def test_one_that_leaves_without_a_request_makes_room_and_proves_nothing(
    site: Site, callers: Callers, app: App, trial: CrashProbation, bytes_sent: bytes
) -> None:
    for _ in range(3):
        first, second = callers.connect(bytes_sent), callers.connect()
        wait_until(lambda: site.service.connections)
        first.close()
        second.close()
        wait_until(lambda: not site.service.connections)
    held, waiting = callers.connect(GET % b"/hold"), callers.connect(GET % b"/")
    wait_until(lambda: app.running)
    settle()
    assert app.most == 1
    app.go_on.set()
    assert read_answer(held)[1] == read_answer(waiting)[1] == b"ok"


def test_one_that_is_held_keeps_the_others_out_for_a_moment_only(
    site: Site, callers: Callers, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash_probation, "LONGEST", 0.01)
    CrashProbation(site.service, [site._acceptor])
    held, silent = callers.connect(GET % b"/hold"), callers.connect()
    waiting = [callers.connect(GET % b"/") for _ in range(3)]
    for client in waiting:
        assert read_answer(client)[1] == b"ok"
    assert app.running == 1
    assert_as_always(site)
    silent.close()
    app.go_on.set()
    assert read_answer(held)[1] == b"ok"


@pytest.mark.usefixtures("forever")
def test_all_its_listeners_together(site: Site, callers: Callers, app: App) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    first = site._acceptor
    endpoint = Endpoint(first._endpoint.row, "there", first._endpoint.environ)
    other = Acceptor(listener.detach(), site.service, endpoint, siblings_have_room=None, capacity=1000)
    other.start()
    CrashProbation(site.service, [first, other])
    clients = [callers.connect(GET % b"/hold"), callers.connect(GET % b"/hold", address)]
    wait_until(lambda: app.running)
    settle()
    assert app.running == 1
    app.go_on.set()
    for client in clients:
        assert read_answer(client)[1] == b"ok"
    assert first.probation is other.probation is None
    other.close()


@pytest.mark.usefixtures("forever")
def test_a_server_that_is_paused_stays_so(site: Site, callers: Callers, app: App, trial: CrashProbation) -> None:
    held, waiting = callers.connect(GET % b"/hold"), callers.connect(GET % b"/")
    wait_until(lambda: app.running)
    site._acceptor.pause(True)
    app.go_on.set()
    assert read_answer(held)[1] == b"ok"
    settle()
    assert site.finished == 1
    site._acceptor.pause(False)
    assert read_answer(waiting)[1] == b"ok"


@pytest.mark.usefixtures("forever")
def test_one_that_drains_accepts_nothing_more(site: Site, callers: Callers, app: App, trial: CrashProbation) -> None:
    held = callers.connect(GET % b"/hold")
    wait_until(lambda: app.running)
    site._acceptor.close()
    app.go_on.set()
    assert read_answer(held)[1] == b"ok"
    settle()
    assert not site._acceptor.started


def assert_as_always(site: Site) -> None:
    """Nothing is left that a request would pay for."""
    settle()
    assert site.service.finished == site._count
    assert type(site.service.connections) is set
    assert site._acceptor.probation is None
