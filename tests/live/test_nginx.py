"""Real nginx in front, by uwsgi_pass and by proxy_pass, with conf/nginx.conf."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.live.client import PATIENCE, http_request
from tests.live.load import Close, KeepAlive, Load
from tests.live.nginx import Nginx
from tests.live.server import Server

APP = """
import hashlib, json
from gevent.event import Event

go_on = Event()

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/environ":
        body = json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()
    elif path == "/digest":
        digest, length = hashlib.sha256(), 0
        while piece := environ["wsgi.input"].read(65536):
            digest.update(piece)
            length += len(piece)
        body = json.dumps({"length": length, "sha256": digest.hexdigest()}).encode()
    elif path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Accel-Buffering", "no")])
        return stream()
    elif path == "/go-on":
        go_on.set()
        body = b"ok"
    else:
        body = b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

def stream():
    yield b"first\\n"
    go_on.wait()
    for number in range(2000):
        yield b"%06d " % number * 10
"""

STREAMED = b"first\n" + b"".join(b"%06d " % number * 10 for number in range(2000))


@dataclass(frozen=True)
class Front:
    """nginx's port for one way of passing requests on."""

    way: str
    port: int


@pytest.fixture(scope="module")
def nginx() -> Iterator[Nginx]:
    with Server("--async", "100", app=APP, uwsgi=True) as server, Nginx(server) as nginx:
        yield nginx


@pytest.fixture(params=["uwsgi_pass", "proxy_pass"])
def front(request: pytest.FixtureRequest, nginx: Nginx) -> Front:
    return Front(request.param, nginx.uwsgi_port if request.param == "uwsgi_pass" else nginx.http_port)


def test_get(front: Front) -> None:
    answer = http_request(front.port, "GET", "/")
    assert (answer.status, answer.text) == (200, "hello")
    assert answer.headers["server"].startswith("nginx")


@pytest.mark.parametrize("chunked", [False, True])
def test_five_megabytes_up(front: Front, chunked: bool) -> None:
    body = random.Random(5).randbytes(5_000_000)
    sent = (body[start : start + 99_999] for start in range(0, len(body), 99_999)) if chunked else body
    answer = http_request(front.port, "POST", "/digest", sent)
    assert answer.status == 200
    assert json.loads(answer.body) == {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_stream_comes_as_it_is_made(front: Front) -> None:
    """The first line is here while the application still waits for our word to go on; then the rest comes, whole."""
    with closing(http.client.HTTPConnection("127.0.0.1", front.port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/stream")
        response = connection.getresponse()
        assert response.getheader("Transfer-Encoding") == "chunked"
        first = response.read(6)
        assert http_request(front.port, "GET", "/go-on").status == 200
        assert first + response.read() == STREAMED


def test_thousand_requests_none_lost(front: Front, nginx: Nginx) -> None:
    with Load(*(KeepAlive(front.port) for _ in range(3)), Close(front.port)) as load:
        load.wait_for_answers(500)
    assert load.failures == []
    assert load.retries == 0
    assert load.answers.total() >= 1000
    assert set(load.texts) == {"hello"}
    assert "upstream" not in nginx.log


def test_environ_by_uwsgi_pass(nginx: Nginx) -> None:
    headers = {"Host": "shop.example", "X-Custom": "yes"}
    answer = http_request(nginx.uwsgi_port, "GET", "/environ?a=%20b&c", headers=headers)
    environ = json.loads(answer.body)
    expected = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/environ?a=%20b&c",
        "PATH_INFO": "/environ",
        "QUERY_STRING": "a=%20b&c",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": str(nginx.uwsgi_port),
        "HTTP_HOST": "shop.example",
        "HTTP_X_CUSTOM": "yes",
        "TENANT": "blue",
        "wsgi.url_scheme": "http",
    }
    assert {name: environ.get(name) for name in expected} == expected
    assert environ["REMOTE_PORT"].isdecimal()


def test_path_is_decoded_once(front: Front) -> None:
    """nginx's $document_uri is decoded already; what looks encoded after that is the application's."""
    environ = json.loads(http_request(front.port, "GET", "/environ?").body)
    assert environ["PATH_INFO"] == "/environ"
    answer = http_request(front.port, "GET", "/%65nviron")
    assert json.loads(answer.body)["PATH_INFO"] == "/environ"


def test_environ_by_proxy_pass(nginx: Nginx) -> None:
    answer = http_request(nginx.http_port, "GET", "/environ", headers={"Host": "shop.example"})
    environ = json.loads(answer.body)
    expected = {
        "HTTP_HOST": "shop.example",
        "HTTP_X_REAL_IP": "127.0.0.1",
        "HTTP_X_FORWARDED_FOR": "127.0.0.1",
        "HTTP_X_FORWARDED_PROTO": "http",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    assert {name: environ.get(name) for name in expected} == expected


def test_uwsgi_pass_reports_the_real_client(nginx: Nginx) -> None:
    """REMOTE_PORT is the client's own, not that of nginx's connection to us."""
    with closing(http.client.HTTPConnection("127.0.0.1", nginx.uwsgi_port, timeout=PATIENCE)) as connection:
        connection.connect()
        own_port = connection.sock.getsockname()[1]
        connection.request("GET", "/environ")
        assert json.loads(connection.getresponse().read())["REMOTE_PORT"] == str(own_port)


@pytest.mark.parametrize("count", [60, pytest.param(500, marks=pytest.mark.long)])
def test_an_application_that_ignores_large_bodies(front: Front, nginx: Nginx, count: int) -> None:
    """Each is answered, and nginx tells of no reset: what is left of a body is read away behind the answer."""
    mark = len(nginx.log)
    body = bytes(5_000_000)
    answers = [http_request(front.port, "POST", "/ignored", body).text for _ in range(count)]
    assert answers == ["hello"] * count
    assert "reset" not in nginx.log[mark:]
    assert "prematurely" not in nginx.log[mark:]
