"""A greenlet carries another request only when nothing tells it from a new one."""

from __future__ import annotations

import contextvars
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import gevent.threading  # type: ignore[import-not-found]  # the stubs do not know it
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
from tests.serve.test_fastcgi import read_answer as fastcgi_answer
from tests.wire.cases.fastcgi_records import STDOUT, get

KEEP = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
TIMES = 6

Act = Callable[[], Any]


@pytest.fixture(autouse=True)
def like_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a worker (serve/monkeypatch.py): no tree, and a thread for each greenlet that asks which one it is in."""
    monkeypatch.setattr(gevent.config, "track_greenlet_tree", False)
    monkeypatch.setattr(threading, "get_ident", gevent.threading.get_ident)
    monkeypatch.setattr(threading, "_DummyThread", gevent.threading._DummyThread)


def current() -> Any:
    return gevent.getcurrent()


class Seen:
    """An application that does as its test says. It must not look at its greenlet in a way that can be counted."""

    def __init__(self, leave: Act | None = None) -> None:
        self.made: list[int] = []
        """How many greenlets had been made when each request came."""
        self.leave = leave
        self.site: Site | None = None

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        if self.site is not None:
            self.made.append(self.site.service.greenlet_pool.made)
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
    """Does not wait either."""


def sleep() -> None:
    gevent.sleep(0)


def sleep_longer() -> None:
    gevent.sleep(0.001)


def cancelled_timeout() -> None:
    with gevent.Timeout(50):
        gevent.sleep(0)


def timeout_that_hit() -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0):
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


user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


def context() -> None:
    assert user.get() == "nobody"
    assert gevent.getcurrent().gr_context is None
    user.set("somebody")
    assert user.get() == "somebody"


def context_behind_a_wait() -> None:
    context()
    gevent.sleep(0)


def log() -> None:
    """A record has the name of its thread: threading makes an object for it, which gevent links to the greenlet."""
    logging.getLogger().makeRecord("x", logging.INFO, "x", 1, "x", (), None)
    assert current().has_links()


def log_behind_a_wait() -> None:
    gevent.sleep(0)
    log()


def callback() -> None:
    """That comes to nothing before the next request."""
    get_hub().loop.run_callback(current().switch)


def looked_at_itself() -> None:
    repr(current())
    current().unlink(print)
    current().rawlink(print)
    current().unlink_all()


CLEAN = [nothing, sleep, sleep_longer, cancelled_timeout, timeout_that_hit, event, result, queue, semaphore, child]
CLEAN += [native_thread, wait_for_io, failing, finished_child_of_a_raw_greenlet, forgotten_local, context]
CLEAN += [context_behind_a_wait]
CLEAN += [callback, looked_at_itself, log, log_behind_a_wait]


@ways
@pytest.mark.parametrize("leave", CLEAN)
def test_a_clean_greenlet_is_taken_again(make: Make, send: Any, leave: Act) -> None:
    seen = Seen(leave)
    site = seen.site = make(seen)
    send(site)
    assert seen.made == [1] * TIMES
    assert ("error" in site.log) is (leave is failing)


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


def thread() -> None:
    assert all(one is not threading.current_thread() for one in kept)
    kept.append(threading.current_thread())


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
LEFT += [lock_that_is_never_released, running_child, link, raw_link, join, wait_for_it, thread, thread_local]
LEFT += [thread_local_without_its_link, attribute, other_function, other_attributes, name, keyword, tree, parent]
LEFT += [timeout, timeout_behind_a_wait, timer, callbacks, late_kill, kill, kill_all, throw, survived_kill]
LEFT += [reference_behind_a_child_that_waited, kill_behind_a_child_that_waited]


@ways
@pytest.mark.parametrize("leave", LEFT)
def test_one_in_which_something_was_left_is_not(make: Make, send: Any, leave: Act) -> None:
    seen = Seen(leave)
    site = seen.site = make(seen)
    try:
        send(site)
        assert "error" not in site.log
        assert seen.made == list(range(1, TIMES + 1))
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

    def __init__(self, first: Callable[[Callable[..., None]], Any]) -> None:
        self.events: list[str] = []
        self.first = first

    def tell(self, *_: Any) -> None:
        self.events.append("ended")

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] != "/":
            gevent.sleep(0)
        elif not self.events:
            self.events.append("first")
            self.first(self.tell)
        else:
            self.events.append("second")
        start_response("200 OK", [])
        return [b"x"]


def then(wait: Act, tell: Callable[..., None]) -> None:
    def both() -> None:
        wait()
        tell()

    gevent.spawn(both)
    gevent.sleep(0)


def kill_and(tell: Callable[..., None]) -> None:
    """From another greenlet, which gets to run when this one has ended."""
    one = current()

    def both() -> None:
        one.kill()
        tell()

    gevent.spawn(both)


def kill_itself_and(tell: Callable[..., None]) -> None:
    current().rawlink(tell)
    current().kill(block=False)


def link_and_wait(tell: Callable[..., None]) -> None:
    current().link(tell)
    gevent.sleep(0)


class Thing:
    """Something that can be weakly referenced."""


def finalized(thing: Any, tell: Callable[..., None]) -> None:
    weakref.finalize(thing, tell)


def thing_in(storage: Any) -> Thing:
    storage.thing = thing = Thing()
    return thing


def thing_in_context() -> Thing:
    thing = Thing()
    variable.set(thing)
    return thing


variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
WAITING: dict[str, Callable[[Callable[..., None]], Any]] = {
    "link": lambda tell: current().link(tell),
    "rawlink": lambda tell: current().rawlink(tell),
    "link behind a wait": link_and_wait,
    "join": lambda tell: then(current().join, tell),
    "get": lambda tell: then(current().get, tell),
    "kill": kill_and,
    "kill itself": kill_itself_and,
    "finalize": lambda tell: finalized(current(), tell),
    "thread-local": lambda tell: finalized(thing_in(storage), tell),
    "context": lambda tell: finalized(thing_in_context(), tell),
    "thread": lambda tell: finalized(threading.current_thread(), tell),
}


@pytest.mark.parametrize("first", WAITING.values(), ids=WAITING.keys())
def test_what_waits_for_a_greenlet_is_told_before_the_next_request(make: Make, first: Any) -> None:
    story = Story(first)
    site = make(story)
    clients = [gevent.spawn(site.answer, CLOSE.replace(b"/", b"/other", 1)) for _ in range(3)]
    gevent.joinall(clients)  # so that there are idle greenlets, which get to run sooner than new ones
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


# What is done to greenlets from elsewhere


def test_a_kill_ends_the_request_that_runs_and_no_other(make: Make) -> None:
    victim: list[Any] = []
    served: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        served.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/victim":
            victim.append(current())
            gevent.sleep(50)
        elif environ["PATH_INFO"] == "/killer":
            victim[0].kill()
            assert victim[0].dead
        start_response("200 OK", [])
        return [b"x"]

    site = make(application)
    with site.connect(b"GET /victim HTTP/1.1\r\nHost: x\r\n\r\n") as client, site.connect() as other:
        settle()
        client.sendall(KEEP)  # pipelined: the next client's, behind a proxy
        other.sendall(b"GET /killer HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(client)[0].startswith(b"HTTP/1.1 500 ")
        assert read_answer(client)[0].startswith(b"HTTP/1.1 200 ")
        assert read_answer(other)[0].startswith(b"HTTP/1.1 200 ")
    assert served == ["/victim", "/killer", "/"]


def test_a_kill_after_the_request_hits_nobody(make: Make) -> None:
    site = make(Seen(reference))
    with site.connect(KEEP) as client:
        read_answer(client)
        settle()
        client.sendall(KEEP)
        kept.pop().kill(block=False)
        assert read_answer(client)[0].startswith(b"HTTP/1.1 200 ")
        kept.clear()


def test_an_idle_one_to_which_somebody_has_got_a_reference_is_not_taken(make: Make) -> None:
    """It found it among all objects (gc): there is no other way to an idle one."""
    seen = Seen()
    site = seen.site = make(seen)
    closing(site, 1)
    kept.append(site.service.greenlet_pool._idle[0])
    closing(site, 2)
    assert seen.made == [1, 2, 2]
    kept.clear()


@pytest.mark.parametrize("send", [closing, keeping])
def test_what_a_destructor_leaves_goes_too(make: Make, send: Any) -> None:
    """It runs when the context of its request goes."""

    class Last:
        def __del__(self) -> None:
            user.set("somebody")

    def leave() -> None:
        assert user.get() == "nobody"
        variable.set(Last())

    seen = Seen(leave)
    site = seen.site = make(seen)
    send(site)
    assert "error" not in site.log
    assert len(seen.made) == TIMES


def test_a_look_from_outside_only_costs_a_greenlet(make: Make) -> None:
    site = make(Seen())
    with site.connect(KEEP) as client:
        read_answer(client)
        settle()
        (connection,) = site.service.connections
        look = connection.greenlet
        client.sendall(KEEP)
        read_answer(client)
        settle()
        assert look.dead
        client.sendall(KEEP)
        read_answer(client)
        assert site.service.greenlet_pool.made == 2  # and goes on with that


@pytest.mark.parametrize("send", [closing, keeping])
def test_with_gevents_greenlet_tree_no_locals_are_shared(
    make: Make, monkeypatch: pytest.MonkeyPatch, send: Any
) -> None:
    monkeypatch.setattr(gevent.config, "track_greenlet_tree", True)
    found: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        locals_of_tree = current().spawn_tree_locals
        found.append(dict(locals_of_tree))
        locals_of_tree["user"] = "somebody"
        start_response("200 OK", [])
        return [b"x"]

    send(make(application))
    assert found == [{}] * TIMES


def test_spawn_callbacks_do_not_count_as_nobody(make: Make) -> None:
    """What they keep of each new greenlet is a reference like any other."""
    gevent.Greenlet.add_spawn_callback(kept.append)
    try:
        site = make(Seen())
        keeping(site)
        assert site.service.greenlet_pool.made >= TIMES
    finally:
        gevent.Greenlet.remove_spawn_callback(kept.append)
        kept.clear()


def test_those_that_nobody_needs_end(make: Make) -> None:
    site = make(Seen(sleep))
    closing(site, 2)
    clients = [gevent.spawn(site.answer, CLOSE) for _ in range(20)]
    gevent.joinall(clients)
    settle()
    pool = site.service.greenlet_pool
    assert len(pool._idle) > 5
    site.later(1)  # the least since the look before
    site.later(1)
    assert pool._idle == []
    closing(site, 2)  # and it goes on


def test_dead_ones_are_passed_over_whatever_their_count(make: Make) -> None:
    seen = Seen()
    site = seen.site = make(seen)
    for extra in range(6):
        closing(site, 2)
        idle = site.service.greenlet_pool._idle
        references = [idle[0]] * extra  # in the place of those that its end has freed
        get_hub().loop.run_callback(idle[0].throw)
        settle()
        closing(site, 2)
        references.clear()
    assert len(seen.made) == 24


# The connection beyond its greenlet


def test_a_connection_that_moves_keeps_its_place(make: Make) -> None:
    """A worker that drains waits for it, and cuts its wait for a next request short."""
    site = make(Seen(reference))
    with site.connect(KEEP) as client:
        read_answer(client)
        settle()
        (connection,) = site.service.connections
        assert connection.greenlet in site.service.deadlines.waiting
        assert connection.greenlet is not kept[0]
        kept.clear()
        site.service.draining = True
        connection.hurry(site.clock.monotonic())
        site.later(2)
        assert client.recv(1) == b""
    settle()
    assert not site.service.connections


def test_a_connection_that_lingers_does_not_hold_up_who_waits_for_its_request(make: Make) -> None:
    story = Story(WAITING["link"])
    site = make(story)
    site.service.draining = True
    with site.connect(KEEP) as client:
        head, _ = read_answer(client)
        assert b"close" in head
        settle()
        assert site.service.connections  # it waits for the client's end
        client.sendall(KEEP)
        settle()
        assert story.events == ["first", "ended"]
    settle()
    assert not site.service.connections


def test_nor_does_one_that_ends_by_an_error(make: Make) -> None:
    story = Story(WAITING["link"])
    site = make(story)
    with site.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n") as client:
        read_answer(client)
    settle()  # the client has left in the middle of its body
    assert not site.service.connections
    assert story.events == ["first", "ended"]


def test_harakiri_finds_a_request_in_its_second_greenlet(make: Make) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(current())
        if len(kept) == 2:
            gevent.sleep(50)
        start_response("200 OK", [])
        return [b"x"]

    site = make(application, harakiri=10)
    with site.connect(KEEP + KEEP) as client:
        assert read_answer(client)[1] == b"x"
        settle()
        site.later(11)
        assert read_answer(client)[0].startswith(b"HTTP/1.1 504 ")
    kept.clear()


def test_no_memory_for_another_greenlet_ends_the_connection_and_nothing_else(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make(Seen(reference))
    errors: list[Any] = []
    monkeypatch.setattr(get_hub(), "print_exception", lambda *args: errors.append(args[1]))
    with site.connect(KEEP) as client:
        carry = site.service.greenlet_pool.carry

        def fail(connection: Any) -> None:
            monkeypatch.setattr(site.service.greenlet_pool, "carry", carry)
            raise MemoryError

        settle()
        kept.clear()
        with site.connect() as second:
            settle()
            monkeypatch.setattr(site.service.greenlet_pool, "carry", fail)
            second.sendall(KEEP)
            read_answer(second)
            assert second.recv(1) == b""
        read_answer(client)
        client.sendall(KEEP)
        read_answer(client)
    assert errors == [MemoryError]
    kept.clear()


# Over the other protocol that keeps connections


@pytest.mark.parametrize("leave", [context, weak_key, thread_local, attribute, tree, link, kill, timeout])
def test_requests_of_a_kept_fastcgi_connection_share_nothing(make: Make, leave: Act) -> None:
    seen = Seen(leave)
    site = seen.site = make(seen, protocol="fastcgi")
    with site.connect() as client:
        for _ in range(TIMES):
            client.sendall(get())
            assert b"\r\n\r\nx" in fastcgi_answer(client)[STDOUT]
            settle()
    assert "error" not in site.log
    assert seen.made == ([1] * TIMES if leave is context else list(range(1, TIMES + 1)))
    for one in kept:
        one.close()
    kept.clear()
