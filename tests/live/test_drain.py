"""Long polls and event streams in a reload: each is told within a second, and none outlives the mercy."""

from __future__ import annotations

import re
import signal
import time

from tests.live import ps
from tests.live.holders import Held
from tests.live.server import Server

MANY = 100

APP = """
from gevent import sleep

def poll(draining):
    yield b"waiting"
    draining.wait(600)
    yield b"told" if draining.is_set() else b"not told"

def stream(draining):
    while not draining.is_set():
        yield b"data: tick\\n\\n"
        draining.wait(0.2)
    yield b"event: bye\\n\\n"

def stubborn(draining):
    yield b"waiting"
    sleep(600)
    yield b"never"

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return globals()[environ["PATH_INFO"][1:] or "poll"](environ["greenwsgi.draining"])
"""


def test_long_polls_and_streams_are_told_within_a_second() -> None:
    with (
        Server("--processes", "2", app=APP) as server,
        Held(server.http_port, "/poll", MANY) as polls,
        Held(server.http_port, "/stream", MANY) as streams,
    ):
        polls.wait_for(b"waiting")
        streams.wait_for(b"tick")
        old = server.workers()
        server.signal(signal.SIGHUP)
        server.wait_for("generation 1 drains")
        drains = time.monotonic()
        assert max(polls.wait_for(b"told")) < drains + 1
        assert max(streams.wait_for(b"event: bye")) < drains + 1
        polls.wait_for_the_end()
        streams.wait_for_the_end()
        for pid in old:
            ps.wait_gone(pid)
        assert "gets SIGKILL" not in server.log
    assert server.log.count("GET /poll ") == server.log.count("GET /stream ") == MANY
    assert "killed" not in server.log


def test_who_does_not_listen_is_cut_when_the_mercy_ends() -> None:
    with (
        Server("--worker-reload-mercy", "1", app=APP) as server,
        Held(server.http_port, "/stubborn", 3) as held,
    ):
        held.wait_for(b"waiting")
        (old,) = server.workers()
        server.signal(signal.SIGHUP)
        ps.wait_gone(old)
        held.wait_for_the_end()
        # At the end of the mercy the worker leaves by itself and the master kills it: whoever is first says so.
        server.wait_for("unfinished: worker-reload-mercy 1|SIGKILL: it did not leave within worker-reload-mercy 1")
        server.wait_for(rf"worker 1 \(pid {old}\) (ended|died by signal 9)")
    assert len(re.findall(r"GET /stubborn .*killed", server.log)) == 3
