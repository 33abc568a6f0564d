"""As many slow bodies as there are slots: others are answered all the same."""

from __future__ import annotations

import contextlib
import re

import pytest

from tests.live.client import read_answer
from tests.live.server import Server

SLOTS = 4
APP = """
def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
HEAD = b"POST /slow HTTP/1.1\r\nHost: x\r\n"


def test_small_ones_take_no_slot() -> None:
    with Server("--async", str(SLOTS), app=APP) as server, contextlib.ExitStack() as made:
        slow = [made.enter_context(server.connect()) for _ in range(SLOTS)]
        for client in slow:
            client.sendall(HEAD + b"Content-Length: 4096\r\n\r\nx")
        for _ in range(SLOTS):
            assert server.get("/").status == 200
        slow[0].sendall(bytes(4095))
        assert read_answer(slow[0]).status == 200
        assert "overloaded" not in server.log


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 100000\r\n\r\nx", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"]
)
def test_others_lose_their_slots_when_requests_wait(framing: bytes) -> None:
    with Server("--async", str(SLOTS), app=APP) as server, contextlib.ExitStack() as made:
        slow = [made.enter_context(server.connect()) for _ in range(SLOTS)]
        for client in slow:
            client.sendall(HEAD + framing)
        assert server.get("/").status == 200  # after 2 s
        server.wait_for("overloaded: 1 requests were ended, since their bodies came too slowly")
        for client in slow:
            client.close()
        server.wait_for(r"POST /slow .*HTTP/1\.1 408\)")
        assert len(re.findall("POST /slow .*HTTP/1.1 408", server.log)) == 1
