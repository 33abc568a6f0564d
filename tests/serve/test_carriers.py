"""A greenlet carries another connection only when nothing tells it from a new one."""

from __future__ import annotations

import contextvars
import threading
from typing import Any
from weakref import WeakKeyDictionary

import gevent
import pytest
from gevent.local import local

from tests.serve.conftest import Make
from tests.serve.site import Site, settle

CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Seen:
    """An application that notes which greenlet runs it, and then does as its test says."""

    def __init__(self, leave: Any = None) -> None:
        self.greenlets: list[int] = []
        self.known: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # holds no reference that counts
        self.leave = leave

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.greenlets.append(self.known.setdefault(gevent.getcurrent(), len(self.greenlets)))
        if self.leave is not None:
            self.leave()
        start_response("200 OK", [])
        return [b"x"]


def serve(site: Site, times: int) -> None:
    for _ in range(times):
        site.answer(CLOSE)
        settle()


def nothing() -> None:
    """Leaves nothing, and does not wait either."""


def wait() -> None:
    gevent.sleep(0)


def cancelled_timeout() -> None:
    with gevent.Timeout(50):
        gevent.sleep(0)


def fail() -> None:
    raise ValueError("an error with frames and all")


@pytest.mark.parametrize("leave", [nothing, wait, cancelled_timeout, fail])
def test_a_clean_greenlet_is_taken_again(make: Make, leave: Any) -> None:
    seen = Seen(leave)
    serve(make(seen), 6)
    assert len(seen.greenlets) == 6
    assert len(set(seen.greenlets)) <= 2  # the first may come before the references of a clean one were counted


def current() -> Any:
    return gevent.getcurrent()


storage = local()
kept: list[Any] = []


def timeout() -> None:
    kept.append(gevent.Timeout(50))
    kept[-1].start()


def thread_local() -> None:
    storage.name = "somebody"


def attribute() -> None:
    current().mark = 1


def link() -> None:
    current().link(lambda greenlet: None)


def reference() -> None:
    kept.append(gevent.getcurrent())


def late_kill() -> None:
    kept.append(gevent.spawn_later(50, current().kill))


def late_throw_behind_a_wait() -> None:
    gevent.Timeout(50).start()
    gevent.Timeout(60).start()
    gevent.sleep(0)


@pytest.mark.parametrize(
    "leave", [timeout, thread_local, attribute, link, reference, late_kill, late_throw_behind_a_wait]
)
def test_one_in_which_something_was_left_is_not(make: Make, leave: Any) -> None:
    seen = Seen(leave)
    site = make(seen)
    serve(site, 6)
    assert len(set(seen.greenlets)) == 6
    kept.clear()


def test_it_really_ends_then(make: Make) -> None:
    seen = Seen(reference)
    serve(make(seen), 3)
    first = kept[0]
    kept.clear()
    assert first.dead


def test_context_variables_do_not_pass_on(make: Make) -> None:
    user = contextvars.ContextVar("user", default="nobody")
    found: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        found.append(user.get())
        user.set("somebody")
        start_response("200 OK", [])
        return [b"x"]

    serve(make(application), 4)
    assert found == ["nobody"] * 4


def test_those_that_nobody_needs_end(make: Make) -> None:
    site = make(Seen(wait))
    serve(site, 2)
    clients = [gevent.spawn(site.answer, CLOSE) for _ in range(20)]
    gevent.joinall(clients)
    settle()
    carriers = site.service.carriers
    assert len(carriers._idle) > 5
    site.later(1)  # the least since the look before
    site.later(1)
    assert carriers._idle == []
    serve(site, 2)  # and it goes on


def test_one_that_was_killed_while_it_waited_is_passed_over(make: Make) -> None:
    seen = Seen(wait)
    site = make(seen)
    serve(site, 3)
    (idle,) = site.service.carriers._idle
    idle.kill()
    del idle
    serve(site, 3)
    assert len(seen.greenlets) == 6


def test_current_thread_is_not_confused(make: Make) -> None:
    names: list[str] = []
    site = make(Seen(lambda: names.append(threading.current_thread().name)))
    serve(site, 3)
    assert len(names) == 3
