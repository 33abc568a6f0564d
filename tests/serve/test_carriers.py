"""A greenlet carries another request only when nothing tells it from a new one."""

from __future__ import annotations

import contextvars
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import greenlet
import pytest
from gevent.event import AsyncResult, Event
from gevent.hub import get_hub
from gevent.local import local
from gevent.lock import RLock, Semaphore
from gevent.pool import Group
from gevent.queue import Queue

from tests.serve.conftest import Make
from tests.serve.site import Site, read_answer, settle

KEEP = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
TIMES = 6

Act = Callable[[], Any]


@pytest.fixture(autouse=True)
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a worker (serve/greening.py)."""
    monkeypatch.setattr(gevent.config, "track_greenlet_tree", False)


def current() -> Any:
    return gevent.getcurrent()


class Seen:
    """An application that does as its test says. It must not look at its greenlet in a way that can be counted."""

    def __init__(self, leave: Act | None = None) -> None:
        self.requests = 0
        self.leave = leave

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.requests += 1
        if self.leave is not None:
            self.leave()
        start_response("200 OK", [])
        return [b"x"]


# How a client may send one request after the other


def closing(site: Site, times: int = TIMES) -> None:
    for _ in range(times):
        site.answer(CLOSE)
        settle()


def keeping(site: Site, times: int = TIMES) -> None:
    with site.connect() as client:
        for _ in range(times):
            client.sendall(KEEP)
            read_answer(client)
            settle()


def pipelining(site: Site, times: int = TIMES) -> None:
    with site.connect(KEEP * times) as client:
        for _ in range(times):
            read_answer(client)
        settle()


ways = pytest.mark.parametrize("send", [closing, keeping, pipelining])


# What leaves nothing


def nothing() -> None:
    """Leaves nothing, and does not wait either."""


def sleep() -> None:
    gevent.sleep(0)


def sleep_longer() -> None:
    gevent.sleep(0.001)


def cancelled_timeout() -> None:
    with gevent.Timeout(50):
        gevent.sleep(0)


def timeout_that_hit() -> None:
    with gevent.Timeout(0, False):
        gevent.sleep(50)


def event() -> None:
    happened = Event()
    gevent.spawn(happened.set)
    happened.wait()


def result() -> None:
    result: AsyncResult[int] = AsyncResult()
    gevent.spawn(result.set, 1)
    result.get()


def queue() -> None:
    queue: Queue[int] = Queue()
    gevent.spawn(queue.put, 1)
    queue.get()


def semaphore() -> None:
    lock = Semaphore(0)
    gevent.spawn(lock.release)
    lock.acquire()


def child() -> None:
    gevent.spawn(gevent.sleep, 0).join()


def native_thread() -> None:
    get_hub().threadpool.apply(int)


def wait_for_io() -> None:
    one, other = gevent.socket.socketpair()
    with one, other:
        gevent.spawn(other.send, b"x")
        one.recv(1)


def failing() -> None:
    raise ValueError("an error with frames and all")


def finished_child_of_a_raw_greenlet() -> None:
    greenlet.greenlet(int).switch()


def forgotten_local() -> None:
    local().name = "somebody"


def context() -> None:
    contextvars.ContextVar("user").set("somebody")


def logged() -> None:
    assert threading.current_thread().name in logging.makeLogRecord({}).threadName  # type: ignore[operator]


def looked_at_itself() -> None:
    repr(current())
    current().unlink(print)
    current().rawlink(print)
    current().unlink_all()


CLEAN = [nothing, sleep, sleep_longer, cancelled_timeout, timeout_that_hit, event, result, queue, semaphore, child]
CLEAN += [native_thread, wait_for_io, failing, finished_child_of_a_raw_greenlet, forgotten_local, context]
CLEAN += [looked_at_itself]


@ways
@pytest.mark.parametrize("leave", CLEAN)
def test_a_clean_greenlet_is_taken_again(make: Make, send: Any, leave: Act) -> None:
    seen = Seen(leave)
    site = make(seen)
    send(site)
    assert seen.requests == TIMES
    assert site.service.carriers.made == 1


# What leaves something, and whether it is there at the next request

storage = local()
weak_keys: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
weak_set: weakref.WeakSet[Any] = weakref.WeakSet()
kept: list[Any] = []
group = Group()
plain: dict[int, Any] = {}


def weak_reference() -> None:
    kept.append(weakref.ref(current()))


def weak_method() -> None:
    kept.append(weakref.WeakMethod(current().kill))


def weak_key() -> None:
    assert current() not in weak_keys
    weak_keys[current()] = 1


def weak_member() -> None:
    assert current() not in weak_set
    weak_set.add(current())


def finalizer() -> None:
    weakref.finalize(current(), int)


def small_number() -> None:
    assert current().minimal_ident >= 0


def reference() -> None:
    assert all(one is not current() for one in kept)
    kept.append(current())


def method() -> None:
    kept.append(current().switch)


def member() -> None:
    assert current() not in group
    group.add(current())


def lock_that_is_never_released() -> None:
    kept.append(RLock())
    kept[-1].acquire()


def running_child() -> None:
    kept.append(greenlet.greenlet(int))  # its parent is the greenlet that made it


def link() -> None:
    current().link(int)


def raw_link() -> None:
    current().rawlink(int)


def join() -> None:
    gevent.spawn(current().join)
    gevent.sleep(0)


def wait_for_it() -> None:
    one = current()
    gevent.spawn(lambda: gevent.wait([one]))
    gevent.sleep(0)


def thread_local() -> None:
    assert not hasattr(storage, "name")
    storage.name = "somebody"


def thread_local_without_its_link() -> None:
    kept.append(local())
    kept[-1].name = "somebody"
    current().unlink_all()


def attribute() -> None:
    assert not hasattr(current(), "mark")
    current().mark = 1


def other_function() -> None:
    assert current()._run is not int
    current()._run = int


def other_attributes() -> None:
    assert "_run" in current().__dict__
    current().__dict__ = {"mark": 1}


def name() -> None:
    assert "name" not in current().__dict__
    current().name = "somebody"


def keyword() -> None:
    assert not current().kwargs
    current().kwargs["user"] = "somebody"


def tree() -> None:
    assert current().spawn_tree_locals is None
    current().spawn_tree_locals = {}


def parent() -> None:
    assert current().parent is get_hub()
    current().parent = greenlet.greenlet(lambda _: None, get_hub())


def timeout() -> None:
    kept.append(gevent.Timeout(50))
    kept[-1].start()


def timeout_behind_a_wait() -> None:
    gevent.Timeout(50).start()
    gevent.Timeout(60).start()
    gevent.sleep(0)


def timer() -> None:
    kept.append(get_hub().loop.timer(50))
    kept[-1].start(current().throw)


def callbacks() -> None:
    """The first comes to nothing before the next request."""
    for _ in range(2):
        get_hub().loop.run_callback(current().switch)


def late_kill() -> None:
    kept.append(gevent.spawn_later(50, current().kill))


def kill() -> None:
    current().kill(block=False)


def kill_all() -> None:
    gevent.killall([current()], block=False)


def throw() -> None:
    get_hub().loop.run_callback(current().throw, ValueError)


def survived_kill() -> None:
    current().kill(block=False)
    with pytest.raises(gevent.GreenletExit):
        gevent.sleep(1)


def reference_behind_a_child_that_waited() -> None:
    """The end of the child wakes its parent: the hub has no reference to it then, and this one takes its place."""
    assert all(one is not current() for one in kept)
    greenlet.greenlet(gevent.sleep).switch(0)
    kept.append(current())


def kill_behind_a_child_that_waited() -> None:
    greenlet.greenlet(gevent.sleep).switch(0)
    current().kill(block=False)


LEFT = [weak_reference, weak_method, weak_key, weak_member, finalizer, small_number, reference, method, member]
LEFT += [lock_that_is_never_released, running_child, link, raw_link, join, wait_for_it, thread_local]
LEFT += [thread_local_without_its_link, attribute, other_function, other_attributes, name, keyword, tree, parent]
LEFT += [timeout, timeout_behind_a_wait, timer, callbacks, late_kill, kill, kill_all, throw, survived_kill]
LEFT += [reference_behind_a_child_that_waited, kill_behind_a_child_that_waited]


@ways
@pytest.mark.parametrize("leave", LEFT)
def test_one_in_which_something_was_left_is_not(make: Make, send: Any, leave: Act) -> None:
    seen = Seen(leave)
    site = make(seen)
    try:
        send(site)
        assert seen.requests == TIMES
        assert site.service.carriers.made >= TIMES
        assert "error" not in site.log
    finally:
        for one in kept:
            if isinstance(one, gevent.Timeout):
                one.close()
            elif hasattr(one, "stop"):
                one.stop()
            elif isinstance(one, gevent.Greenlet) and one.started and not one.dead:
                one.kill(block=False)
        kept.clear()
        for connection in site.service.connections:
            if connection.greenlet is not None:
                connection.greenlet.parent = get_hub()


# What waits for the end of a greenlet, or is thrown at it


class Story:
    """The first request does as its test says; what happens is written down in order."""

    def __init__(self, first: Callable[[Story], Any]) -> None:
        self.events: list[str] = []
        self.first = first

    def tell(self, event: str) -> Callable[..., None]:
        return lambda *_: self.events.append(event)

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        if not self.events:
            self.events.append("first")
            self.first(self)
        else:
            self.events.append("second")
        start_response("200 OK", [])
        return [b"x"]


def then(wait: Act, tell: Callable[..., None]) -> None:
    gevent.spawn(lambda: (wait(), tell()))
    gevent.sleep(0)


WAITING: dict[str, Callable[[Story], Any]] = {
    "link": lambda story: current().link(story.tell("ended")),
    "rawlink": lambda story: current().rawlink(story.tell("ended")),
    "link behind a wait": lambda story: (current().link(story.tell("ended")), gevent.sleep(0)),
    "join": lambda story: then(current().join, story.tell("ended")),
    "get": lambda story: then(current().get, story.tell("ended")),
    "kill": lambda story: gevent.spawn(lambda one: (one.kill(), story.tell("ended")()), current()),
    "kill itself": lambda story: (current().kill(block=False), current().rawlink(story.tell("ended"))),
    "finalize": lambda story: weakref.finalize(current(), story.tell("ended")),
    "thread-local": lambda story: weakref.finalize(storage.__dict__.setdefault("one", Story(int)), story.tell("ended")),
    "context": lambda story: weakref.finalize(variable_of(Story(int)), story.tell("ended")),
}
variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")


def variable_of(value: Any) -> Any:
    variable.set(value)
    return value


@pytest.mark.parametrize("first", WAITING.values(), ids=WAITING.keys())
def test_what_waits_for_a_greenlet_is_told_before_the_next_request(make: Make, first: Any) -> None:
    story = Story(first)
    site = make(story)
    with site.connect(KEEP + KEEP) as client:
        for _ in range(2):
            assert read_answer(client)[0].startswith(b"HTTP/1.1 200 ")
    assert story.events == ["first", "ended", "second"]
    assert "error" not in site.log


@pytest.mark.parametrize("first", WAITING.values(), ids=WAITING.keys())
@pytest.mark.parametrize("request_bytes", [KEEP, CLOSE])
def test_it_is_told_without_a_next_request(make: Make, first: Any, request_bytes: bytes) -> None:
    story = Story(first)
    with make(story).connect(request_bytes) as client:
        read_answer(client)
        settle()
        assert story.events == ["first", "ended"]


def test_who_holds_it_sees_it_end_with_its_request(make: Make) -> None:
    with make(Seen(reference)).connect(KEEP) as client:
        read_answer(client)
        settle()
        (one,) = kept
        kept.clear()
        assert one.dead
        assert one.successful()
        client.sendall(KEEP)
        assert read_answer(client)[1] == b"x"
