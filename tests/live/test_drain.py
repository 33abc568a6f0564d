"""Long polls and event streams in a reload: each is told, and none outlives the mercy (`make soak` says how soon)."""

from __future__ import annotations

import re
import signal

from tests.live import ps
from tests.live.holders import HOLDS, Held
from tests.live.server import Server

MANY = 100


def test_long_polls_and_streams_are_told_and_leave() -> None:
    with (
        Server("--processes", "2", app=HOLDS) as server,
        Held(server.http_port, "/poll", MANY) as polls,
        Held(server.http_port, "/stream", MANY) as streams,
    ):
        polls.wait_for(b"waiting")
        streams.wait_for(b"tick")
        old = server.workers()
        server.signal(signal.SIGHUP)
        server.wait_for("generation 1 drains")
        polls.wait_for(b"told")
        streams.wait_for(b"event: bye")
        polls.wait_for_the_end()
        streams.wait_for_the_end()
        for pid in old:
            ps.wait_gone(pid)
        assert "gets SIGKILL" not in server.log
    assert server.log.count("GET /poll ") == server.log.count("GET /stream ") == MANY
    assert "killed" not in server.log


def test_who_does_not_listen_is_cut_when_the_mercy_ends() -> None:
    with (
        Server("--worker-reload-mercy", "2", app=HOLDS) as server,
        Held(server.http_port, "/stubborn", 3) as held,
    ):
        held.wait_for(b"waiting")
        (old,) = server.workers()
        server.signal(signal.SIGHUP)
        ps.wait_gone(old)
        held.wait_for_the_end()
        # At the end of the mercy the worker leaves by itself and the master kills it: whoever is first says so.
        server.wait_for("unfinished: worker-reload-mercy 2|SIGKILL: it did not leave within worker-reload-mercy 2")
        server.wait_for(rf"worker 1 \(pid {old}\) (ended|died by signal 9)")
    assert "has closed descriptors" not in server.log, "its listeners, which it closes itself"
    assert len(re.findall(r"GET /stubborn .*killed", server.log)) == 3
