"""Clients that others have written: curl by HTTP, uwsgi-tools' uwsgi_curl by the uwsgi protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.client import PATIENCE
from tests.live.server import Server

APP = """
import json

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    seen = {name: value for name, value in environ.items() if isinstance(value, str)}
    said = json.dumps(seen | {"length": len(body), "sum": sum(body)}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(said)))])
    return [said]
"""


PLACES = ("--http-socket", "http.sock", "--uwsgi-socket", "uwsgi.sock", "--http-socket", "proxied.sock")
MORE = ("--auto-socket", "auto.sock", "--proxy-protocol", "proxied.sock", "--proxy-protocol", "auto.sock")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(*PLACES, *MORE, app=APP, uwsgi=True) as server:
        yield server


def run(*words: str, data: bytes = b"") -> bytes:
    """A client's standard output; it must succeed."""
    done = subprocess.run(words, input=data, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, (words, done)
    return done.stdout


def curl(*words: str, data: bytes = b"") -> bytes:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("no curl on PATH")
    return run(program, "--silent", "--show-error", "--fail", "--noproxy", "*", *words, data=data)


BODY = bytes(range(256)) * 8000


@pytest.mark.parametrize(
    ("words", "protocol", "length"),
    [
        ((), "HTTP/1.1", 0),
        (("--http1.0",), "HTTP/1.0", 0),
        (("--data-binary", "@-"), "HTTP/1.1", len(BODY)),  # waits for 100 Continue
        (("--data-binary", "@-", "-H", "Expect:"), "HTTP/1.1", len(BODY)),
        (("--data-binary", "@-", "-H", "Transfer-Encoding: chunked"), "HTTP/1.1", len(BODY)),
        (("-T", "-"), "HTTP/1.1", len(BODY)),
    ],
    ids=["get", "http-1.0", "post", "post-at-once", "post-chunked", "put"],
)
@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_curl(server: Server, transport: str, words: tuple[str, ...], protocol: str, length: int) -> None:
    where = ["--unix-socket", str(server.folder / "http.sock")] if transport == "unix" else []
    url = "http://localhost/a%20b?c=%20" if where else f"http://127.0.0.1:{server.http_port}/a%20b?c=%20"
    found = json.loads(curl(*where, *words, url, data=BODY if length else b""))
    assert (found["PATH_INFO"], found["QUERY_STRING"], found["SERVER_PROTOCOL"]) == ("/a b", "c=%20", protocol)
    assert (found["length"], found["sum"]) == (length, sum(BODY) if length else 0)


def test_curl_uses_its_connection_again(server: Server) -> None:
    url = f"http://127.0.0.1:{server.http_port}/"
    said = curl(url, url, url, "-w", "%{num_connects}\n").decode()
    assert [line[-1:] for line in said.splitlines()] == ["1", "0", "0"]


def test_curl_with_a_proxy_header(server: Server) -> None:
    """Version 1; over a unix socket curl says UNKNOWN. Without the header the connection is closed."""
    place = str(server.folder / "proxied.sock")
    found = json.loads(curl("--haproxy-protocol", "--unix-socket", place, "http://localhost/a"))
    assert (found["PATH_INFO"], found["REMOTE_ADDR"]) == ("/a", "")
    mark = server.mark()
    with pytest.raises(AssertionError, match="returncode=52"):  # an empty reply
        curl("--unix-socket", place, "http://localhost/a")
    server.wait_for(r"refused .* no PROXY header", after=mark)


@pytest.mark.parametrize("words", [(), ("--http1.0",), ("--haproxy-protocol",)], ids=["http", "http-1.0", "proxy"])
def test_curl_where_the_first_bytes_tell(server: Server, words: tuple[str, ...]) -> None:
    place = str(server.folder / "auto.sock")
    assert json.loads(curl(*words, "--unix-socket", place, "http://localhost/a"))["PATH_INFO"] == "/a"


@pytest.mark.parametrize("place", ["tcp", "uwsgi.sock", "auto.sock"])
def test_uwsgi_curl(server: Server, place: str) -> None:
    """It sends few variables, and a body without its length."""
    pytest.importorskip("uwsgi_tools", reason="no uwsgi-tools: install the extra `test`")
    program = str(Path(sys.executable).with_name("uwsgi_curl"))
    address = f"127.0.0.1:{server.uwsgi_port}" if place == "tcp" else str(server.folder / place)
    head, _, body = run(program, address, "shop.example/a?b=c", "-H", "X-Custom: yes").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    found = json.loads(body)
    expected = {"PATH_INFO": "/a", "QUERY_STRING": "b=c", "HTTP_HOST": "shop.example", "HTTP_X-CUSTOM": "yes"}
    assert {name: found.get(name) for name in expected} == expected
