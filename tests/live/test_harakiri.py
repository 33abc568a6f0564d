"""A request that takes too long is ended alone; a worker that is blocked is replaced, and says where it was."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.live import ps
from tests.live.client import Answer, read_answer
from tests.live.load import Close, Load
from tests.live.server import Server

APP = """
import os, time
import gevent

def app(environ, start_response):
    name = environ["PATH_INFO"]
    if name == "/stuck":
        stuck_here()
    elif name == "/nap":
        gevent.sleep(0.5)
    elif name == "/spin":
        spin_here()
    elif name == "/streamed":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return half()
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

def half():
    yield b"half"
    stuck_here()

def stuck_here():
    gevent.sleep(600)

def spin_here():
    while True:
        pass
"""


def test_one_of_a_hundred_is_ended_alone() -> None:
    """99 get 200, the one past its deadline 504, and the same worker goes on."""
    with Server("--async", "200", "--harakiri", "30", "--harakiri-for", "^/stuck 2", app=APP) as server:
        pid = server.get("/").text
        with ThreadPoolExecutor(100) as pool:
            together = threading.Barrier(100, timeout=30)

            def ask(path: str) -> Answer:
                together.wait()
                return server.get(path)

            answers = list(pool.map(ask, ["/stuck", *["/nap"] * 99]))
        assert answers[0].status == 504
        assert [(answer.status, answer.text) for answer in answers[1:]] == [(200, pid)] * 99
        assert server.get("/").text == pid
        server.wait_for(r"in stuck_here")
        server.wait_for(r"GET /stuck => .* 504\)")


def test_an_answer_under_way_is_cut_without_its_last_chunk() -> None:
    with Server("--harakiri", "1", app=APP) as server, server.connect() as sock:
        sock.sendall(b"GET /streamed HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while piece := sock.recv(65536):
            data += piece
        assert data.startswith(b"HTTP/1.1 200 ")
        assert data.endswith(b"4\r\nhalf\r\n")
        server.wait_for(r"in stuck_here")
        assert server.get("/").status == 200


def test_a_kept_connection_serves_on_after_a_504() -> None:
    """The connection may go on or say that it closes; the worker goes on in any case."""
    with Server("--harakiri", "1", "--async", "50", app=APP) as server, server.connect() as sock:
        pid = server.get("/").text
        for _ in range(2):
            sock.sendall(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = read_answer(sock)
            assert answer.status == 504
            if answer.headers.get("connection") == "close":
                break
        assert server.get("/").text == pid


def test_a_blocked_worker_is_replaced_and_says_where() -> None:
    """`while True: pass`: the stack in the log, a line for the lost request, a new worker, the others untouched."""
    with Server("--processes", "2", "--harakiri", "1", app=APP) as server:
        first = set(server.workers())
        with Load(Close(server.http_port), Close(server.http_port)) as load:
            sock = server.connect()
            sock.sendall(b"GET /spin HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for(r"in spin_here")
            assert sock.recv(65536) == b""
            sock.close()
            server.wait_for(r"GET /spin => .*killed")
            ps.wait_until(lambda: len(server.workers()) == 2 and set(server.workers()) != first, "a new worker")
            load.wait_for_answers(20)
        survivors = first & set(server.workers())
        assert len(survivors) == 1
        # What the blocked worker had accepted besides died with it; whatever the other served is whole.
        assert all(re.search("NotOneByte|RemoteDisconnected|ConnectionReset", failure) for failure in load.failures)
        assert str(survivors.pop()) in load.texts


STUBBORN = """
import gevent

def app(environ, start_response):
    while environ["PATH_INFO"] == "/stubborn":
        try:
            gevent.sleep(100)
        except BaseException:
            pass
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_a_request_that_swallows_harakiri_costs_its_worker() -> None:
    with Server("--processes", "1", "--async", "10", "--harakiri", "1", app=STUBBORN) as server:
        (before,) = server.workers()
        with server.connect() as client:
            client.sendall(b"GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for(r"strike 3; it is here")
            server.wait_for(r"GET /stubborn from 127\.0\.0\.1 does not end; its worker is replaced")
            server.wait_for(r"GET /stubborn => .*killed")
        assert before not in server.workers()
        assert server.get("/").text == "ok"


def test_a_worker_that_a_request_costs_still_answers_the_others() -> None:
    """Not only requests that run: one whose head has come in part, too."""
    with (
        Server("--processes", "1", "--async", "10", "--harakiri", "1", app=STUBBORN) as server,
        server.connect() as stubborn,
        server.connect() as slow,
    ):
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n")
        stubborn.sendall(b"GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for(r"worker 1 \(pid \d+\) leaves: harakiri: GET /stubborn")
        slow.sendall(b"\r\n")
        assert read_answer(slow).text == "ok"
        server.wait_for(r"GET /stubborn => .*killed")
