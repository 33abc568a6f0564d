"""FastCGI seen from outside: its options, cgi-fcgi, and a kept connection of nginx's. Fronts: test_fronts.py."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.client import PATIENCE, free_port, http_request
from tests.live.fronts import rig
from tests.live.server import Server
from tests.wire.cases.fastcgi_records import END, GET_VALUES, RESULT, STDERR, STDOUT, get, pairs, rec, streams

APP = """
import hashlib

def app(environ, start_response):
    if environ["PATH_INFO"] == "/complain":
        environ["wsgi.errors"].write("something is odd\\n")
    body = environ["wsgi.input"].read()
    said = f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(said)))])
    return [said]
"""


def ask(port: int, data: bytes) -> dict[int, bytes]:
    """The streams of what comes back until the server closes."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as gateway:
        gateway.sendall(data)
        while piece := gateway.recv(65536):
            said += piece
    return streams(said)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    options = ("--fastcgi-socket", f"127.0.0.1:{port}", "--fastcgi-stderr", "--processes", "2", "--async", "30")
    with Server(*options, app=APP, http=False) as server:
        yield port
        assert "something is odd" not in server.log


def test_fastcgi_stderr(port: int) -> None:
    found = ask(port, get(("PATH_INFO", "/complain"), flags=0))
    assert found[STDERR] == b"something is odd\n"
    assert found[STDOUT].startswith(b"Status: 200 OK\r\n")
    assert found[END] == bytes(8)


def test_fastcgi_nph_socket() -> None:
    port = free_port()
    with Server("--fastcgi-nph-socket", f"127.0.0.1:{port}", http=False):
        assert ask(port, get(flags=0))[STDOUT].startswith(b"HTTP/1.1 200 OK\r\n")


def test_values_are_the_server_s(port: int) -> None:
    """As many requests as all workers have slots."""
    wanted = pairs(("FCGI_MAX_CONNS", ""), ("FCGI_MAX_REQS", ""), ("FCGI_MPXS_CONNS", ""))
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as gateway:
        gateway.sendall(rec(GET_VALUES, wanted, id=0))
        _, kind, _, size, _, _ = struct.unpack(">BBHHBB", gateway.recv(8, socket.MSG_WAITALL))
        said = gateway.recv(size, socket.MSG_WAITALL)
    assert kind == RESULT
    assert said == pairs(("FCGI_MAX_CONNS", "60"), ("FCGI_MAX_REQS", "60"), ("FCGI_MPXS_CONNS", "0"))


@pytest.mark.parametrize("length", [0, 1, 3_000_000])
def test_cgi_fcgi(port: int, length: int) -> None:
    """The client of the FastCGI developer's kit."""
    program = shutil.which("cgi-fcgi")
    if program is None:
        pytest.skip("no cgi-fcgi here (Debian: apt-get install libfcgi-bin)")
    env = {
        "REQUEST_METHOD": "POST" if length else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/complain",
        "CONTENT_LENGTH": str(length) if length else "",
        "PATH": os.environ["PATH"],
    }
    command = [program, "-bind", "-connect", f"127.0.0.1:{port}"]
    done = subprocess.run(command, input=bytes(length), capture_output=True, env=env, timeout=PATIENCE, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"Status: 200 OK\r\n")
    assert body.split()[0] == str(length).encode()
    assert done.stderr == b"something is odd\n"


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/net/tcp to look at")
def test_nginx_keeps_its_connection() -> None:
    """fastcgi_keep_conn: requests one after the other are on one connection."""

    def connections(port: int) -> set[str]:
        """Our ends of the established ones."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return {row[1] + row[2] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"}

    with rig(APP) as behind:
        front = behind.front("nginx").ports["fastcgi-tcp-kept"]
        backend = behind.places.of["fastcgi"].port
        found = []
        for _ in range(20):
            assert http_request(front, "GET", "/").status == 200
            found.append(connections(backend))
    assert all(len(one) == 1 for one in found)
    assert set.union(*found) == found[0]
