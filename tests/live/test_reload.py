"""SIGHUP under load: new workers are ready before old ones leave; no request is lost, none waits for the import."""

from __future__ import annotations

import signal

import pytest

from tests.live.load import Close, KeepAlive, Load, Uwsgi
from tests.live.ps import wait_until
from tests.live.server import Server

IMPORT_SECONDS = 1.5

APP = """
import time
{first}
VERSION = b"{version}"

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(VERSION)))])
    return [VERSION]
"""


def source(version: str, first: str = "") -> str:
    return APP.format(version=version, first=first)


def every_kind(server: Server) -> Load:
    http, uwsgi = server.http_port, server.uwsgi_port
    return Load(KeepAlive(http), KeepAlive(http), Close(http), Close(http), Uwsgi(uwsgi), Uwsgi(uwsgi))


def reload(server: Server, generation: int) -> None:
    """Send SIGHUP and wait until the new generation serves and the old one has left."""
    before = set(server.processes()) - {server.pid}
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_for(rf"generation {generation} serves with", after=mark)
    wait_until(lambda: before.isdisjoint(server.processes()), "the old generation's end")


@pytest.mark.parametrize("processes", [1, 4])
def test_no_request_fails_and_none_waits_for_the_import(processes: int) -> None:
    slow = f"time.sleep({IMPORT_SECONDS})"
    options = ["--processes", str(processes), "--async", "100", "--disable-logging"]
    with Server(*options, app=source("1", slow), uwsgi=True) as server, every_kind(server) as load:
        for generation in (2, 3, 4):
            server.write("app.py", source(str(generation), slow))
            reload(server, generation)
            load.wait_for_answers(20)
            assert server.get("/").text == str(generation)
            assert len(server.workers()) == processes
    assert load.failures == []
    assert load.retries == 0
    assert set(load.texts) == {"1", "2", "3", "4"}
    assert load.longest_gap < IMPORT_SECONDS


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("def app(:\n", r'app\.py", line 1'),
        ("VERSION = 1\n1 / 0\n", r'app\.py", line 2'),
        ("VERSION = 1\n", r"app\.py.*neither 'application' nor 'app'"),
        ("import sys\nsys.exit(3)\n", r'app\.py", line 2|SystemExit'),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", r"signal 9|SIGKILL"),
    ],
)
def test_a_broken_application_leaves_the_old_one_serving(broken: str, named: str) -> None:
    with Server("--processes", "2", app=source("old"), uwsgi=True) as server, every_kind(server) as load:
        before = server.workers()
        server.write("app.py", broken)
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_for(r"generation 1 serves on", after=mark)
        server.wait_for(named, after=mark)
        assert server.workers() == before
        load.wait_for_answers(20)
        server.write("app.py", source("mended"))
        reload(server, 3)
        assert server.get("/").text == "mended"
    assert load.failures == []
    assert set(load.texts) <= {"old", "mended"}
