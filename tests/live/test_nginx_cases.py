"""The HTTP cases through a real nginx, both ways: it refuses some, the rest gets our answer, none ends in 502."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

import pytest

from tests.live.client import PATIENCE, http_request
from tests.live.nginx import Nginx
from tests.live.server import Server
from tests.wire.cases import KEPT, Case, http_bodies, http_heads

APP = """
def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

CASES = [case for case in (*http_heads.CASES, *http_bodies.CASES) if not case.limits and len(case.data) < 1_000_000]
OURS = {200, 400, 404, 405, 408, 411, 413, 414, 417, 431, 501, 505}
"""What may be answered; nginx's 502, 504 and 500 would mean that it did not understand us."""


@pytest.fixture(scope="module")
def nginx() -> Iterator[Nginx]:
    with Server("--async", "100", "--buffer-size", "4096", app=APP, uwsgi=True) as server, Nginx(server) as nginx:
        yield nginx


LAST = b"GET /last HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"


def statuses(port: int, case: Case) -> list[int]:
    """The statuses that come back for a case's bytes.

    Behind a well-formed case comes a last request, for nginx takes a client that half-closes for one that has gone, and
    drops what it was doing for it; behind any other comes the end of what the client sends.
    """
    said = b""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as client,
        contextlib.suppress(ConnectionError),  # nginx may close while we still send; what it said before counts
    ):
        if case.ending == KEPT:
            client.sendall(case.data + LAST)
        else:
            client.sendall(case.data)
            client.shutdown(socket.SHUT_WR)
        while piece := client.recv(65536):
            said += piece
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d+) ", said) if status != b"100"]


@pytest.mark.parametrize("way", ["uwsgi_pass", "proxy_pass"])
def test_no_case_ends_in_a_bad_gateway(nginx: Nginx, way: str) -> None:
    port = nginx.uwsgi_port if way == "uwsgi_pass" else nginx.http_port
    wrong: dict[str, list[int]] = {}
    answered = 0
    for case in CASES:
        found = statuses(port, case)
        answered += bool(found)
        if not set(found) <= OURS or len(found) > len(case.requests) + 1:
            wrong[case.id] = found
    assert wrong == {}
    assert answered > len(CASES) // 2
    assert http_request(port, "GET", "/").text == "ok"


@pytest.mark.parametrize("way", ["uwsgi_pass", "proxy_pass"])
def test_our_refusal_reaches_the_client(nginx: Nginx, way: str) -> None:
    """A head that nginx takes and our buffer-size does not: 431 and not 502."""
    port = nginx.uwsgi_port if way == "uwsgi_pass" else nginx.http_port
    for _ in range(20):
        assert http_request(port, "GET", "/", headers={"X-Long": "x" * 6000}).status == 431
    assert http_request(port, "GET", "/").text == "ok"
