"""What keeps a worker from serving is said: a blocked loop, an early import, things open before the fork."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.server import ROOT, Server

BLOCKING = """
from gevent import monkey
nap = monkey.get_original("time", "sleep")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/blocks":
        hold_everybody_up()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

def hold_everybody_up():
    nap(1.5)
"""


def test_a_blocked_loop_is_reported_with_its_request_and_place_and_not_stopped() -> None:
    with Server("--blocked-loop-warning", "0.5", app=BLOCKING) as server:
        assert server.get("/blocks").status == 200
        server.wait_for(r"worker 1's loop is blocked, for \S+ s so far, by GET /blocks from 127.0.0.1 on core \d+")
        server.wait_for(r'File ".*app.py", line 12, in hold_everybody_up')
        server.wait_for(r"worker 1's loop turns again after [1-9]\d*\.\d s")
        assert server.get("/").status == 200


EARLY = """
import socket
from gevent import monkey
inside = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(inside.getsockname())
begun = monkey.get_original("threading", "Lock")()
begun.acquire()

def native():
    begun.release()
    monkey.get_original("time", "sleep")(1000)

monkey.get_original("_thread", "start_new_thread")(native, ())
begun.acquire()

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/self to look at")
def test_early_imports_and_what_a_fork_breaks_are_named_and_the_server_starts(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import bird\n")
    (tmp_path / "bird.py").write_text("from time import sleep\n")
    with Server(app=EARLY, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}) as server:
        server.wait_for(r"imported before gevent's patch, and blocks: bird\.sleep;")
        server.wait_for(r"open before the fork.*: 1 native thread \(.*native at .*app\.py:\d+\)")
        server.wait_for(r"open before the fork.*: descriptor \d+, a socket that listens on 127\.0\.0\.1:\d+")
        server.wait_for(r"open before the fork.*: descriptor \d+, a connection to 127\.0\.0\.1:\d+")
        assert server.get("/").status == 200


SLOW = """
import gevent

def app(environ, start_response):
    if environ["PATH_INFO"] == "/asks":
        environ["greenwsgi.harakiri"](60)
    if environ["PATH_INFO"] != "/":
        gevent.sleep(1.6)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_harakiri_by_route_and_by_the_application() -> None:
    with Server("--harakiri", "1", "--harakiri-for", "^/report 60", app=SLOW) as server:
        assert [server.get(path).status for path in ("/", "/report/7", "/asks", "/slow")] == [200, 200, 200, 504]


def test_a_wrong_harakiri_for_is_one_line() -> None:
    with (
        pytest.raises(AssertionError, match=r"harakiri-for: found '\^/\( 5', wanted a regular expression"),
        Server("--harakiri-for", "^/( 5"),
    ):
        pass
