"""Workers that are replaced while they serve, by their limits or by need: no request notices."""

from __future__ import annotations

import contextlib
import os
from http.client import HTTPException

import pytest

from tests.live import ps
from tests.live.load import KeepAlive, Load, every_kind
from tests.live.server import HELLO, Server

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc, which tells of memory")


@pytest.mark.parametrize("processes", [1, 3])
def test_max_requests_under_load(processes: int) -> None:
    options = ["--processes", str(processes), "--max-requests", "50", "--min-worker-lifetime", "0"]
    with (
        Server(*options, "--disable-logging", uwsgi=True) as server,
        every_kind(server.http_port, server.uwsgi_port, each=1) as load,
    ):
        for number in range(1, processes + 1):
            mark = 0
            for _ in range(3):
                mark = server.wait_for(rf"worker {number} \(pid \d+\) leaves: max-requests 50", after=mark).end()
        load.wait_for_answers(20)
        assert len(server.workers()) <= processes + 1
    assert load.failures == []
    assert load.retries == 0


def test_max_worker_lifetime() -> None:
    with (
        Server("--max-worker-lifetime", "1", "--disable-logging", uwsgi=True) as server,
        every_kind(server.http_port, server.uwsgi_port, each=1) as load,
    ):
        server.wait_for(r"leaves: max-worker-lifetime 1\b(?s:.*)leaves: max-worker-lifetime 1\b")
    assert load.failures == []


@needs_proc
def test_reload_on_rss_and_the_evil_one() -> None:
    app = """
kept = []

def app(environ, start_response):
    if environ["PATH_INFO"] == "/grow":
        kept.append(b"x" * (100 << 20))
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
    options = ("--reload-on-rss", "90", "--min-worker-lifetime", "0", "--mem-collector-freq", "0.2")
    with Server(*options, "--evil-reload-on-rss", "250", app=app, uwsgi=True) as server:
        (first,) = server.workers()
        with every_kind(server.http_port, server.uwsgi_port, each=1) as load:
            server.get("/grow")
            server.wait_for(rf"worker 1 \(pid {first}\) leaves: reload-on-rss 90: it has 1\d\d MB")
            load.wait_for_answers(20)
        assert load.failures == []
        ps.wait_gone(first)
    with Server("--evil-reload-on-rss", "150", "--mem-collector-freq", "0.2", app=app) as server:
        (first,) = server.workers()
        server.get("/grow")
        with contextlib.suppress(OSError, HTTPException):  # it may be killed before it has answered
            server.get("/grow")
        server.wait_for(rf"worker 1 \(pid {first}\) gets SIGKILL: evil-reload-on-rss 150: it has 2\d\d MB")
        server.wait_for("died by signal 9")
        assert server.get("/").status == 200


def test_workers_come_with_the_first_connection_and_leave_when_nobody_comes() -> None:
    with Server("--cheap", "--idle", "1", "--processes", "2", ready="serves with 0 workers") as server:
        assert server.workers() == []
        for _ in range(2):
            assert server.get("/").body == b"hello"
            assert len(server.workers()) in (1, 2)
            ps.wait_until(lambda: server.workers() == [], "the workers' end")
    assert "no worker will run until a connection comes" in server.log


def test_a_busy_server_gets_more_workers_and_ends_them_again() -> None:
    app = """
from gevent import sleep

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        sleep(3)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
    options = ("--processes", "3", "--cheaper", "1", "--cheaper-algo", "busyness", "--cheaper-overload", "1")
    with Server(
        *options, "--cheaper-busyness-multiplier", "1", "--async", "4", "--queue-size", "99", app=app, uwsgi=True
    ) as server:
        assert len(server.workers()) == 1
        with Load(*(KeepAlive(server.http_port, "/hold") for _ in range(12))) as load:
            server.wait_for("cheaper-algo busyness: 3 workers will run")
            ps.wait_until(lambda: len(server.workers()) == 3, "three workers")
        with every_kind(server.http_port, server.uwsgi_port, each=1) as light:
            ps.wait_until(lambda: len(server.workers()) == 1, "one worker again")
    assert load.failures == light.failures == []


def test_processes_auto() -> None:
    with Server("--processes", "auto", app=HELLO) as server:
        assert 1 <= len(server.workers()) <= (os.cpu_count() or 1)
