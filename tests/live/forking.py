# mypy: ignore-errors
"""An application that forks in every way there is: `/WAY/ROLE` forks by WAY a child that does ROLE.

The parent answers with JSON: its pid, the child's, what the child said, and its exit status. `stay` as ROLE makes a
child that lives until it gets SIGTERM, and the parent answers at once.
"""

import concurrent.futures
import contextlib
import functools
import gc
import json
import multiprocessing
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

import gevent
from gevent import monkey
from gevent.event import Event

FOLDER = os.path.dirname(os.path.abspath(__file__))
VERSION = 1
original_fork = monkey.get_original("os", "fork")
close_now = monkey.get_original("os", "close")
start_native = monkey.get_original("_thread", "start_new_thread")
gate, lock = Event(), threading.Lock()
inherited = socket.socketpair()
children = []


def note(text):
    with open(f"{FOLDER}/notes", "a") as file:
        file.write(f"{text} {os.getpid()}\n")


# What a child does


def look(environ, say):
    """What a child has of the server, and whether what it may use works."""
    links = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    taken = [inherited[0].fileno(), inherited[1].fileno()]
    handlers = {}
    for name in ("HUP", "INT", "QUIT", "TERM", "TSTP", "CONT", "URG", "ABRT", "USR1", "USR2", "PIPE", "CHLD"):
        handler = signal.getsignal(getattr(signal, f"SIG{name}"))
        handlers[name] = getattr(handler, "__name__", "") or handler.name
    said = {
        "sockets": [fd for fd, link in links.items() if link.startswith("socket:") and fd not in taken],
        "board": [fd for fd, link in links.items() if "scoreboard" in link],
        "pipes": sorted(link for fd, link in links.items() if link.startswith("pipe:") and fd > 2),
        "handlers": handlers,
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "popen": subprocess.check_output(["echo", "out"]).decode(),
        "thread": in_thread(),
        "lock": contended(),
        "pair": through_pair() if environ["PATH_INFO"] not in ("/in_pool_thread/look", "/in_bare_thread/look") else "x",
        "fork": forked_status(),
        "timeout": timed_out(),
        "pool": gevent.get_hub().threadpool.apply(os.getpid) == os.getpid(),
        "main": threading.current_thread() is threading.main_thread(),
    }
    with contextlib.suppress(RuntimeError):  # not in the greenlet of a request
        environ["greenwsgi.harakiri"](3)
    say(said)


def in_thread():
    found = queue.Queue()
    thread = threading.Thread(target=lambda: (time.sleep(0.01), found.put("ran")))
    thread.start()
    thread.join(5)
    return found.get(timeout=5)


def contended():
    order = []

    def hold(name):
        with lock:
            order.append(name)
            time.sleep(0.01)

    gevent.joinall([gevent.spawn(hold, name) for name in "abc"])
    return "".join(order)


def through_pair():
    """Of gevent's sockets, made before the fork."""
    with gevent.Timeout(5):
        gevent.spawn_later(0.01, inherited[0].send, b"x")
        return inherited[1].recv(1).decode()


def forked_status():
    pid = os.fork()
    if pid == 0:
        time.sleep(0.01)
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def timed_out():
    try:
        with gevent.Timeout(0.01):
            time.sleep(5)
    except gevent.Timeout:
        return True


def stay(environ, say):
    """Live on, cooperatively."""
    time.sleep(60)


def wake(environ, say):
    """Wake those who wait for what the parent has."""
    gate.set()
    if lock.locked():
        lock.release()
    time.sleep(0.2)
    with contextlib.suppress(Exception):
        children.clear()
    gc.collect()
    time.sleep(0.05)
    say("woke")


def answer(environ, say):
    """As a request that ends."""


def fail(environ, say):
    raise ValueError("of a child")


def leave(environ, say):
    sys.exit(int(environ["QUERY_STRING"] or 0))


def block(environ, say):
    """Wait for what never comes."""
    Event().wait()


def read(environ, say):
    say("read")
    environ["wsgi.input"].read()


ROLES = {one.__name__: one for one in (look, stay, wake, answer, fail, leave, block, read)}


# Ways to fork. Each calls `child` in the child, and returns the child's pid.


def plainly(child, fork=os.fork):
    pid = fork()
    if pid == 0:
        child()
        raise Returned
    return pid


class Returned(Exception):
    """In a child: its code returns now."""


def by_original(child):
    return plainly(child, original_fork)


def by_forkpty(child):
    return plainly(child, lambda: os.forkpty()[0])


def by_multiprocessing(child):
    process = multiprocessing.get_context("fork").Process(target=child, daemon=True)
    process.start()
    children.append(process)
    return process.pid


def in_greenlet(child):
    return gevent.spawn(quietly, child).get()


def quietly(child, fork=os.fork):
    with contextlib.suppress(Returned):
        return plainly(child, fork)


def in_raw_greenlet(child):
    found = gevent.event.AsyncResult()
    gevent.spawn_raw(lambda: found.set(quietly(child)))
    return found.get()


def in_python_thread(child):
    found = queue.Queue()
    threading.Thread(target=lambda: found.put(quietly(child))).start()
    return found.get()


def in_pool_thread(child):
    return gevent.get_hub().threadpool.apply(quietly, (child, original_fork))


def in_bare_thread(child):
    found = []
    start_native(lambda: found.append(quietly(child, original_fork)), ())
    while not found:
        time.sleep(0.001)
    return found[0]


def in_callback(child):
    """In the hub."""
    found = gevent.event.AsyncResult()
    gevent.get_hub().loop.run_callback(lambda: found.set(quietly(child)))
    return found.get()


def in_handler(child):
    found = gevent.event.AsyncResult()
    signal.signal(signal.SIGALRM, lambda *_: found.set(plainly(child)))
    os.kill(os.getpid(), signal.SIGALRM)
    return found.get()


def nested(child):
    """The child of a child."""

    def twice():
        pid = plainly(child)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)

    return plainly(twice)


WAYS = {
    one.__name__: one
    for one in (
        *(plainly, by_original, by_forkpty, by_multiprocessing, in_greenlet, in_raw_greenlet, in_python_thread),
        *(in_pool_thread, in_bare_thread, in_callback, in_handler, nested),
    )
}


# The application


def app(environ, start_response):
    try:
        out = respond(environ)
    except Returned:
        out = b"of the child"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(out)))])
    return [out]


def respond(environ):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/say":
        return query.encode()
    if path == "/gate":
        gate.wait()
        note("gate")
        return query.encode()
    if path == "/open":
        gate.set()
        return b""
    if path == "/shut":
        gate.clear()
        return b""
    if path == "/lock":
        with lock:
            note("lock")
        return query.encode()
    if path == "/hold":
        lock.acquire()
        return b""
    if path == "/release":
        lock.release()
        return b""
    if path == "/waiting":
        return b"%d %d" % (gate.linkcount(), lock.linkcount())
    if path == "/pid":
        return f"{os.getpid()} {VERSION}".encode()
    if path == "/print":
        print("said once", end="")
        return b""
    if path == "/program":  # whose child waits in the hub before it executes
        before = functools.partial(time.sleep, 0.1)
        return subprocess.run(["echo", query], preexec_fn=before, capture_output=True, check=True).stdout
    if path == "/terminate":
        return terminated().encode()
    if path == "/executor":
        with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as executor:
            return repr(list(executor.map(abs, [-1, -2]))).encode()
    if path == "/broken":
        from greenwsgi.serve import forked_child_hub

        forked_child_hub._survivors = None
        return b""
    if path == "/spawn":  # a greenlet that nobody but a list knows
        children.append(gevent.spawn(finish))
        return b""
    way, role = path.strip("/").split("/")
    return fork(environ, WAYS[way], ROLES[role])


def terminated():
    """How processes end that are told to as soon as they are started."""
    found = set()
    for _ in range(10):
        process = multiprocessing.get_context("fork").Process(target=stay, args=(None, None))
        process.start()
        process.terminate()
        process.join(10)
        found.add(process.exitcode)
    return str(found)


def finish():
    try:
        Event().wait()
    finally:
        note("finally")


def fork(environ, way, role):
    read_end, write_end = os.pipe()

    def say(what):
        os.write(write_end, json.dumps(what).encode())

    if role is wake:
        gevent.spawn(note, "spawned")  # it has not run yet when the fork comes
    pid = way(lambda: role(environ, say))
    close_now(write_end)
    said = {"worker": os.getpid(), "child": pid}
    if role is not stay:
        with os.fdopen(os.dup(read_end), "rb") as file:  # not cooperatively: libev would reap what gevent did not fork
            said["said"] = json.loads(file.read() or b"null")
        said["status"] = status_of(pid)
    os.close(read_end)
    return json.dumps(said).encode()


def status_of(pid):
    if children and getattr(children[-1], "pid", 0) == pid:
        children[-1].join()
        return children[-1].exitcode
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
