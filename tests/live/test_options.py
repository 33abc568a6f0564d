"""Options whose effect is seen from outside, each in a real server; tests/options says where the others are tested."""

from __future__ import annotations

import json
import os
import resource

import pytest

from tests.live import ps
from tests.live.client import free_port, read_answer
from tests.live.server import Server

ECHO = """
import json
import os
def app(environ, start_response):
    environ["wsgi.input"].read()
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    told["scheme"] = environ["wsgi.url_scheme"]
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def test_max_requests() -> None:
    with Server("--max-requests", "3") as server:
        first = server.workers()
        assert [server.get().status for _ in range(3)] == [200] * 3
        server.wait_for(r"leaves: max-requests 3")
        server.wait_for(rf"worker 1 \(pid {first[0]}\) ended$")
        assert server.get().status == 200
        assert server.workers() != first


def test_limits() -> None:
    options = ("--buffer-size", "2048", "--limit-post", "10", "--underscore-headers", "keep")
    with Server(*options, app=ECHO) as server:
        assert server.get("/", {"X-Long": "x" * 1900}).status == 200
        assert server.get("/", {"X-Long": "x" * 2100}).status == 431
        assert server.request("POST", "/", b"x" * 10).status == 200
        assert server.request("POST", "/", b"x" * 11).status == 413
        assert json.loads(server.get("/", {"X_Under": "kept"}).body)["HTTP_X_UNDER"] == "kept"


@pytest.mark.parametrize(
    ("option", "sent", "status"),
    [
        ("header-timeout", b"GET / HTTP/1.1\r\nHost: x\r\n", 408),
        ("socket-timeout", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf", 408),
        ("keepalive-timeout", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    ],
)
def test_timeouts(option: str, sent: bytes, status: int) -> None:
    """That each ends a connection, not when: the harness' patience is the only clock."""
    with Server(f"--{option}", "0.2", app=ECHO) as server, server.connect() as sock:
        sock.sendall(sent)
        assert read_answer(sock).status == status
        assert sock.recv(1) == b""


def test_proxies() -> None:
    options = (
        "--trusted-proxy",
        "127.0.0.0/8",
        "--trusted-proxy-headers",
        "for,proto,host",
        "--trusted-proxy-count",
        "2",
    )
    headers = {
        "X-Forwarded-For": "6.6.6.6, 1.2.3.4, 10.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    }
    with Server(*options, app=ECHO) as server:
        told = json.loads(server.get("/", headers).body)
    assert (told["REMOTE_ADDR"], told["scheme"], told["HTTP_HOST"]) == ("1.2.3.4", "https", "shop.example")


@pytest.mark.parametrize(("allowed", "status"), [("127.0.0.1", 200), ("10.0.0.0/8", 0)])
def test_uwsgi_allow(allowed: str, status: int) -> None:
    with Server("--uwsgi-allow", allowed, uwsgi=True) as server:
        if status:
            assert server.uwsgi("/").status == status
        else:
            with server.connect(server.uwsgi_port) as stranger:
                assert stranger.recv(1) == b""
        assert server.get().status == 200


def test_dynamic_apps() -> None:
    files = {"other.py": "def app(e, s):\n    s('200 OK', [('Content-Length', '5')])\n    return [b'other']\n"}
    with Server("--dynamic-apps", uwsgi=True, files=files) as server:
        assert server.uwsgi("/", variables={"UWSGI_FILE": f"{server.folder}/other.py"}).body == b"other"
        assert server.uwsgi("/").body == b"hello"


def test_scgi_nph_socket() -> None:
    port = free_port()
    words = ("CONTENT_LENGTH", "0", "SCGI", "1", "REQUEST_METHOD", "GET", "PATH_INFO", "/")
    variables = "".join(f"{word}\0" for word in words).encode()
    with Server("--scgi-nph-socket", f"127.0.0.1:{port}") as server, server.connect(port) as gateway:
        gateway.sendall(b"%d:%s," % (len(variables), variables))
        assert read_answer(gateway).body == b"hello"


MACHINE = """
import json, os, resource
def app(environ, start_response):
    told = {
        "cpus": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "space": resource.getrlimit(resource.RLIMIT_AS)[1],
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
        "processes": resource.getrlimit(resource.RLIMIT_NPROC)[1],
    }
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("X-Powered-By", "app")])
    return [body]
"""


def test_shares_of_the_machine_names_and_headers() -> None:
    nice = min(os.getpriority(os.PRIO_PROCESS, 0) + 1, 19)
    options = (
        *("--procname-prefix-spaced", "shop", "--cpu-affinity", "1", "--prio", str(nice), "--limit-as", "4096"),
        *("--max-fd", "512", "--limit-nproc", "5000", "--add-header", "X-Frame-Options: DENY"),
        *("--del-header", "X-Powered-By"),
    )
    with Server(*options, app=MACHINE) as server:
        answer = server.get()
        assert answer.headers["x-frame-options"] == "DENY"
        assert "x-powered-by" not in answer.headers
        told = json.loads(answer.body)
        assert ps.title(server.pid).startswith(b"shop greenwsgi master")
    cpus = sorted(os.sched_getaffinity(0))[:1] if hasattr(os, "sched_getaffinity") else []
    assert told == {
        "cpus": cpus,
        "nice": nice,
        "space": 4 << 30,
        "descriptors": [512, 512],
        "processes": 5000,
    }


def test_more_descriptors_than_there_may_be() -> None:
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Server("--max-fd", str(2**31 - 1), app=MACHINE) as server:
        assert json.loads(server.get().body)["descriptors"] == [allowed, allowed]
        server.wait_for(f"max-fd 2147483647: this is more than may be had; it is {allowed}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can choose groups")
def test_add_gid() -> None:
    app = """
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [repr(sorted(os.getgroups())).encode()]
"""
    with Server("--gid", "54321", "--add-gid", "54322", app=app) as server:
        assert server.get().body == b"[54321, 54322]"
