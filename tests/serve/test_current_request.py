"""Which request a greenlet belongs to: its own, one that spawned it, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greenwsgi.serve.service import RunningExchange
from tests.serve.conftest import Make
from tests.serve.site import Site, wait_until

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


class Application:
    """Answers after `go`; `during` is called in the request's greenlet first."""

    def __init__(self, during: Callable[[], object]) -> None:
        self.go = Event()
        self._during = during

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self._during()
        self.go.wait()
        start_response("200 OK", [])
        return [b"done"]


Spawn = Callable[[Callable[[], object]], Any]
Found = list[RunningExchange | None]


def deeply(function: Callable[[], object]) -> Any:
    return gevent.spawn(lambda: gevent.spawn(function).join())


@pytest.mark.parametrize("spawn", [gevent.spawn, deeply, lambda function: gevent.spawn_later(0.001, function)])
def test_a_greenlet_that_a_request_spawned_belongs_to_it(make: Make, spawn: Spawn) -> None:
    found: Found = []
    sites: list[Site] = []
    application = Application(lambda: spawn(lambda: found.append(sites[0].requests.find())))
    sites.append(make(application))
    with sites[0].connect(GET % b"/"), sites[0].connect(GET % b"/"):
        wait_until(lambda: len(found) == 2)
        assert found == list(sites[0].service.running.values())
        application.go.set()


def test_the_requests_own_greenlet(make: Make) -> None:
    found: Found = []
    sites: list[Site] = []
    application = Application(lambda: found.append(sites[0].requests.find()))
    sites.append(make(application))
    with sites[0].connect(GET % b"/"):
        wait_until(lambda: found)
        assert found == list(sites[0].service.running.values())
        application.go.set()


def test_what_outlives_its_request_belongs_to_none(make: Make) -> None:
    found: Found = []
    sites: list[Site] = []
    ended = Event()

    def later() -> None:
        ended.wait()
        found.append(sites[0].requests.find())

    application = Application(lambda: gevent.spawn(later))
    sites.append(make(application))
    application.go.set()
    with sites[0].connect(GET % b"/") as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        ended.set()
        wait_until(lambda: found)
    assert found == [None]
    assert not [one for one in sites[0].requests._spawned.values() if one() is not None]


def test_others_belong_to_none(make: Make) -> None:
    site = make(Application(lambda: None))
    with site.connect(GET % b"/"):
        wait_until(lambda: site.service.running)
        assert site.requests.find() is None
        assert gevent.spawn(site.requests.find).get() is None
        site.service.application.go.set()  # type: ignore[attr-defined]


def test_a_spawned_greenlet_sets_the_deadline_of_its_request(make: Make) -> None:
    sites: list[Site] = []
    application = Application(lambda: gevent.spawn(sites[0].requests.set_harakiri, 77).get())
    sites.append(make(application, harakiri=10.0))
    with sites[0].connect(GET % b"/"):
        wait_until(lambda: sites[0].service.running)
        (exchange,) = sites[0].service.running.values()
        wait_until(lambda: exchange.deadline > exchange.begun + 60)
        application.go.set()
