"""Real web servers in front: nginx, Apache and HAProxy, by every protocol they speak, over TCP and unix sockets."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.live import ps
from tests.live.client import PATIENCE, http_request
from tests.live.fronts import ENDS_TLS, ROWS, Rig, rig
from tests.live.load import Close, Load
from tests.live.test_nginx_cases import CASES, statuses
from tests.wire.cases import GONE

APP = """
import hashlib, json

left = []

def app(environ, start_response):
    path = environ["PATH_INFO"]
    status, headers = "200 OK", [("Content-Type", "text/plain")]
    if path == "/digest":
        digest, length = hashlib.sha256(), 0
        while piece := environ["wsgi.input"].read(65536):
            digest.update(piece)
            length += len(piece)
        body = json.dumps({"length": length, "sha256": digest.hexdigest()}).encode()
    elif path == "/large":
        body = b"0123456789abcdef" * 200_000
    elif path == "/stream":
        start_response(status, headers)
        return (b"%07d\\n" % number * 1000 for number in range(300))
    elif path == "/endless":
        start_response(status, headers)
        return endless()
    elif path == "/left":
        body = str(len(left)).encode()
    elif path == "/teapot":
        status, body = "418 I'm a teapot", b"short and stout"
        headers += [("X-One", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    elif path == "/empty":
        start_response("204 No Content", [])
        return []
    elif path == "/raise":
        raise RuntimeError("on purpose")
    else:
        environ["wsgi.input"].read()
        body = json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()
    start_response(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]

def endless():
    try:
        while True:
            yield b"x" * 65536
    finally:
        left.append(1)
"""


@dataclass(frozen=True)
class Way:
    """One front's port for one way of passing requests on, and all that stands behind it."""

    rig: Rig
    front: str
    protocol: str
    transport: str
    port: int

    @property
    def gateway(self) -> bool:
        """The front tells who the client is by variables or a PROXY header, not by headers of HTTP."""
        return self.protocol not in ("http", "https") or self.transport.startswith("proxy")

    @property
    def haproxy_fastcgi(self) -> bool:
        return (self.front, self.protocol) == ("haproxy", "fastcgi")


@pytest.fixture(scope="module")
def behind() -> Iterator[Rig]:
    with rig(
        APP, "--async", "100", "--buffer-size", "16k", "--trusted-proxy", "127.0.0.1", "--trusted-proxy", "unix"
    ) as found:
        yield found


@pytest.fixture(params=ROWS, ids="-".join)
def way(request: pytest.FixtureRequest, behind: Rig) -> Way:
    name, how = request.param
    protocol, transport = how.split("-", 1)
    return Way(behind, name.split("-")[0], protocol, transport, behind.front(name).ports[how])


def environ(way: Way, target: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    answer = http_request(way.port, "GET", target, headers=headers)
    assert answer.status == 200, answer.text
    found: dict[str, str] = json.loads(answer.body)
    return found


def test_facts(way: Way) -> None:
    """Who asks, for what, by which scheme: the client's, not the front's."""
    with closing(http.client.HTTPConnection("127.0.0.1", way.port, timeout=PATIENCE)) as connection:
        connection.connect()
        own_port = connection.sock.getsockname()[1]
        connection.request("GET", "/a?b=c", headers={"Host": "shop.example", "X-Custom": "yes", "Cookie": "k=v"})
        found = json.loads(connection.getresponse().read())
    expected = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/a?b=c",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a",
        "QUERY_STRING": "b=c",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "shop.example",
        "HTTP_X_CUSTOM": "yes",
        "HTTP_COOKIE": "k=v",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
    }
    if way.gateway:
        if not way.haproxy_fastcgi:  # which keeps the port to itself
            expected["REMOTE_PORT"] = str(own_port)
        assert found["SERVER_PORT"] in (str(way.port), "80")  # Apache says what it takes the Host header to mean
    assert {name: found.get(name, "") for name in expected} == expected


TARGETS = [
    ("/", "/", ""),
    ("/?", "/", ""),
    ("/?a=%2F&b=c?d&e=+", "/", "a=%2F&b=c?d&e=+"),
    ("/a%20b/c", "/a b/c", ""),
    ("/caf%C3%A9", "/caf\xc3\xa9", ""),
    ("/a%25b", "/a%b", ""),
    ("/a%3Fb?c", "/a?b", "c"),
    ("/a;b,c=d", "/a;b,c=d", ""),
    ("/a+b", "/a+b", ""),
    ("/~a/*/(b)/!$&'", "/~a/*/(b)/!$&'", ""),
    ("/a/", "/a/", ""),
    ("/.a/..b", "/.a/..b", ""),
    ("/" + "x" * 3000, "/" + "x" * 3000, ""),
    ("/?" + "y" * 3000, "/", "y" * 3000),
]


def test_paths_and_queries(way: Way) -> None:
    """The path is decoded once, the query not at all, whatever the way."""
    for target, path, query in TARGETS:
        found = environ(way, target)
        assert (found["PATH_INFO"], found.get("QUERY_STRING", "")) == (path, query), target
        assert found.get("SCRIPT_NAME", "") == ""


def test_many_headers(way: Way) -> None:
    headers = {f"X-Header-{number}": f"value {number}" for number in range(80)}
    found = environ(way, "/", headers)
    assert {name: found.get("HTTP_" + name.upper().replace("-", "_")) for name in headers} == headers


@pytest.mark.parametrize("chunked", [False, True])
def test_three_megabytes_up(way: Way, chunked: bool) -> None:
    body = random.Random(3).randbytes(3_000_000)
    if chunked and way.haproxy_fastcgi:
        body = body[:10_000]  # it collects such a body to say its length, and refuses what exceeds its own buffer
    sent = (body[start : start + 99_999] for start in range(0, len(body), 99_999)) if chunked else body
    answer = http_request(way.port, "POST", "/digest", sent)
    if chunked and way.front == "apache" and way.protocol in ("uwsgi", "scgi"):
        assert answer.status == 411  # its own: these two modules want a length
        return
    assert answer.status == 200, answer.text
    assert json.loads(answer.body) == {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_small_bodies(way: Way) -> None:
    for size in (1, 8191, 8192, 65536):
        body = bytes(size)
        answer = http_request(way.port, "POST", "/digest", body)
        assert json.loads(answer.body) == {"length": size, "sha256": hashlib.sha256(body).hexdigest()}


def test_large_answers(way: Way) -> None:
    """With a length, and without one."""
    assert http_request(way.port, "GET", "/large").body == b"0123456789abcdef" * 200_000
    streamed = http_request(way.port, "GET", "/stream")
    assert streamed.body == b"".join(b"%07d\n" % number * 1000 for number in range(300))


def test_statuses_and_headers_pass(way: Way) -> None:
    answer = http_request(way.port, "GET", "/teapot")
    assert (answer.status, answer.text, answer.headers["x-one"]) == (418, "short and stout", "1")
    assert http_request(way.port, "GET", "/empty").status == 204
    assert http_request(way.port, "GET", "/raise").status == 500
    with closing(http.client.HTTPConnection("127.0.0.1", way.port, timeout=PATIENCE)) as connection:
        connection.request("HEAD", "/large")
        response = connection.getresponse()
        length = (
            None if (way.front == "apache" and way.protocol in ("scgi", "fastcgi")) else "3200000"
        )  # they keep it back
        assert (response.status, response.getheader("Content-Length"), response.read()) == (200, length, b"")
        connection.request("GET", "/teapot")
        assert connection.getresponse().headers.get_all("Set-Cookie") == ["a=1", "b=2"]


def test_a_kept_connection(way: Way) -> None:
    """Requests of all sorts one behind the other on a client's connection; HTTP upstreams are kept too."""
    ports = set()
    with closing(http.client.HTTPConnection("127.0.0.1", way.port, timeout=PATIENCE)) as connection:
        connection.connect()
        sock = connection.sock
        for number in range(40):
            body = bytes(number * 100)
            connection.request("POST" if number & 1 else "GET", f"/{number}", body or None)
            response = connection.getresponse()
            found = json.loads(response.read())
            assert (response.status, found["PATH_INFO"]) == (200, f"/{number}")
            ports.add(found.get("REMOTE_PORT"))
        assert connection.sock is sock
    if way.gateway:
        assert len(ports) == 1
    elif way.transport == "tcp":
        assert len(ports) < 40


def test_a_client_that_leaves(way: Way) -> None:
    """An endless answer ends when its client has gone, and the next one is served."""
    before = int(http_request(way.port, "GET", "/left").text)
    with closing(http.client.HTTPConnection("127.0.0.1", way.port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/endless")
        assert connection.getresponse().read(200_000) == b"x" * 200_000
    ps.wait_until(lambda: int(http_request(way.port, "GET", "/left").text) > before, "the answer's end")


def test_a_client_that_leaves_within_its_body(way: Way) -> None:
    """Half a body, then nothing: the next request is served, and nothing of ours failed."""
    with way.rig.server.connect(way.port) as client:
        client.sendall(b"POST /digest HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + bytes(300_000))
    assert environ(way, "/next")["PATH_INFO"] == "/next"
    assert "a defect of greenwsgi" not in way.rig.server.log


def test_our_refusal_reaches_the_client(way: Way) -> None:
    """A head that the front takes and our buffer-size does not: 431, not 502; again and again, since a front that keeps
    connections must not send its next request on one that we end.

    Over a unix socket the end cannot go with the answer, so HAProxy may lose a few requests to it: docs/fronts.md.
    """
    headers = {f"X-Long-{number}": "x" * 6000 for number in range(4)}
    found = Counter(http_request(way.port, "GET", "/", headers=headers).status for _ in range(50))
    if (way.front, way.protocol, way.transport) == ("haproxy", "fastcgi", "unix"):
        assert found[431] >= 40
        del found[502]
    assert set(found) == {431}
    assert environ(way, "/next")["PATH_INFO"] == "/next"


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("", {"SSL_CLIENT_VERIFY": "NONE", "SSL_CLIENT_S_DN_CN": None}),
        ("client", {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN_CN": "Ann, the 1st"}),
        ("stranger", {"SSL_CLIENT_VERIFY": "FAILED:", "SSL_CLIENT_S_DN_CN": "Ann, the 1st"}),
    ],
)
def test_tls_that_haproxy_ends(behind: Rig, client: str, expected: dict[str, str | None]) -> None:
    """Version 2 of PROXY tells of the client's TLS and certificate."""
    port = behind.front("haproxy").ports[ENDS_TLS]
    certificates = behind.places.certificates
    context = ssl.create_default_context(cafile=str(certificates.ca))
    if client:
        context.load_cert_chain(getattr(certificates, client))
    with closing(http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=context)) as connection:
        connection.request("GET", "/a")
        found = json.loads(connection.getresponse().read())
    expected |= {"wsgi.url_scheme": "https", "HTTPS": "on", "SSL_PROTOCOL": "TLSv1.3", "SSL_TLS_SNI": "localhost"}
    expected |= {"REMOTE_ADDR": "127.0.0.1", "SERVER_PORT": str(port)}
    seen = {name: found.get(name) for name in expected}
    if client == "stranger":
        assert seen["SSL_CLIENT_VERIFY"].startswith("FAILED:")
        seen["SSL_CLIENT_VERIFY"] = "FAILED:"
    assert seen == expected
    assert found["SSL_CIPHER"].startswith("TLS_")


@pytest.mark.parametrize("name", ["nginx", "apache-tcp"])
def test_no_http_case_ends_in_a_bad_gateway_by_scgi(behind: Rig, name: str) -> None:
    """The front refuses some, the rest gets our answer; test_nginx_cases.py does the same by uwsgi and by HTTP."""
    port = behind.front(name).ports["scgi-tcp"]
    found = {case.id: statuses(port, case) for case in CASES if case.ending != GONE}  # to those Apache says 500
    assert {id: said for id, said in found.items() if {500, 502, 503, 504} & set(said)} == {}
    assert sum(map(bool, found.values())) > len(found) // 2


@pytest.mark.parametrize("front", ["haproxy", "nginx"])
def test_a_reload_under_load_over_kept_fastcgi_connections(front: str) -> None:
    """They end with the last answer: nothing in FastCGI tells the front beforehand.

    Over unix sockets an end cannot go with the data, and HAProxy needs `retry-on` (docs/fronts.md).
    """
    ways = {"haproxy": ("fastcgi-tcp",), "nginx": ("fastcgi-tcp-kept", "fastcgi-unix-kept")}
    with rig(APP, "--processes", "2", "--disable-logging") as behind:
        ports = behind.front(front).ports
        with Load(*(Close(ports[way]) for way in ways[front] for _ in range(3))) as load:
            for generation in range(2, 6):
                behind.server.reload(generation)
            load.wait_for_answers(20)
    assert load.failures == []
