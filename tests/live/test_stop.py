"""A stop lets requests in flight finish, and leaves nothing."""

from __future__ import annotations

import signal
import socket

import pytest

from tests.live.client import read_answer, uwsgi_packet
from tests.live.server import Server

APP = """
import sys
from gevent.event import Event

go_on = Event()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        print("held", file=environ["wsgi.errors"], flush=True)
        environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"finished"]
"""

# The request is under way until its body's last byte comes, which is when the test says. The body is not a small one,
# which would be read before the application is called.
FIRST = bytes(20_000)
HEAD = b"POST /hold HTTP/1.1\r\nHost: stop\r\nContent-Length: 20004\r\n\r\n" + FIRST


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("protocol", ["http", "uwsgi"])
def test_a_request_in_flight_finishes(sig: int, protocol: str) -> None:
    with Server("--processes", "2", app=APP, uwsgi=True) as server:
        port, head = {
            "http": (server.http_port, HEAD),
            "uwsgi": (server.uwsgi_port, uwsgi_packet("/hold", 20_004) + FIRST),
        }[protocol]
        with server.connect(port) as sock:
            sock.sendall(head)
            server.wait_for("held")
            server.signal(sig)
            server.wait_for(r"the server stops")
            sock.sendall(b"last")
            answer = read_answer(sock)
        assert (answer.status, answer.text) == (200, "finished")
        server.wait(status=0)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_new_clients_are_refused_at_once(kind: str) -> None:
    """They go elsewhere, and do not wait for the end of a server that would never accept them."""
    with Server("--http-socket", "x.sock", app=APP) as server, server.connect() as sock:
        sock.sendall(HEAD)
        server.wait_for("held")
        server.signal(signal.SIGTERM)
        server.wait_for(r"leaves: the server stops")
        tcp, unix = ("127.0.0.1", server.http_port), str(server.folder / "x.sock")
        late = socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
        with late, pytest.raises(ConnectionRefusedError):
            late.connect(tcp if kind == "tcp" else unix)
        sock.sendall(b"last")
        assert read_answer(sock).text == "finished"
        server.wait(status=0)
        assert "Traceback" not in server.log
        assert "EINVAL" not in server.log
        assert "Invalid argument" not in server.log


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_second_signal_stops_at_once(second: int) -> None:
    with Server(app=APP) as server, server.connect() as sock:
        sock.sendall(HEAD)
        server.wait_for("held")
        server.signal(signal.SIGTERM)
        server.wait_for(r"the server stops")
        server.signal(second)
        server.wait(status=0)


def test_unix_socket_and_pidfile_go_with_the_server() -> None:
    with Server("--socket", "app.sock", "--chmod-socket=660", "--vacuum", "--pidfile", "app.pid") as server:
        path = server.folder / "app.sock"
        assert path.is_socket()
        assert path.stat().st_mode & 0o777 == 0o660
        assert (server.folder / "app.pid").read_text() == f"{server.pid}\n"
        server.stop()
        assert not path.exists()
        assert not (server.folder / "app.pid").exists()
