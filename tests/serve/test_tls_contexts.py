"""TLS in a whole worker's service: handshakes good and bad, bytes under records, what the application learns."""

from __future__ import annotations

import contextlib
import itertools
import json
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import gevent.ssl
import pytest
from gevent import socket

from greenwsgi.config.settings import Assignment, Settings, build
from greenwsgi.errors import Origin
from greenwsgi.serve import tls_contexts
from greenwsgi.serve.connection_preamble import Preamble
from tests.certificates import Certificates
from tests.serve.conftest import Make
from tests.serve.site import Site, read_all, read_answer, settle, wait_until
from tests.serve.test_disconnect import look

GET = b"GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /a?b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def show(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The texts of environ."""
    body = json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def settings(*lines: str) -> Settings:
    """Of `name = value` lines, as if they stood in x.ini."""
    pairs = [line.split(" = ", 1) for line in lines]
    return build(Assignment(name, text, Origin("x.ini", number)) for number, (name, text) in enumerate(pairs, 1))


class Secure:
    """Makes sites that speak TLS, and clients for them."""

    def __init__(self, make: Make, files: Certificates) -> None:
        self._make = make
        self.files = files

    def site(
        self, application: Any = show, *lines: str, words: str = "", socket: str = "https-socket", **options: Any
    ) -> Site:
        """words: what stands behind the key in https-socket, or another `socket`. lines: other options."""
        f = self.files
        configured = settings(f"{socket} = :0,{f.cert},{f.key}{words}", *lines)
        preamble = Preamble(timeout=10, tls=tls_contexts.load(configured)[":0"])
        return self._make(application, preamble=preamble, **options)

    def context(self, client: Path | None = None) -> Any:
        context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(self.files.ca))
        if client is not None:
            context.load_cert_chain(str(client))
        return context

    def connect(self, site: Site, data: bytes = b"", context: Any = None, name: str = "localhost") -> Any:
        """A client behind its handshake, for which the server's end is one only with TLS's own word for it."""
        client = (context or self.context()).wrap_socket(
            site.connect(), server_hostname=name, suppress_ragged_eofs=False
        )
        if data:
            client.sendall(data)
        return client

    def environ(self, site: Site, context: Any = None, name: str = "localhost") -> dict[str, str]:
        with self.connect(site, GET, context, name) as client:
            return json.loads(read_answer(client)[1])  # type: ignore[no-any-return]


@pytest.fixture
def secure(make: Make, files: Certificates) -> Secure:
    return Secure(make, files)


# Served


def test_the_application_learns_of_tls(secure: Secure) -> None:
    environ = secure.environ(secure.site())
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTPS"] == "on"
    assert environ["SSL_PROTOCOL"] == "TLSv1.3"
    assert environ["SSL_CIPHER"].startswith("TLS_")
    assert environ["SSL_TLS_SNI"] == "localhost"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert "SSL_CLIENT_VERIFY" not in environ


def test_requests_that_came_in_one_record_are_all_answered(secure: Secure) -> None:
    """What TLS has decrypted gives no sign on the socket."""
    with secure.connect(secure.site(), GET + GET + LAST) as client:
        for _ in range(3):
            assert json.loads(read_answer(client)[1])["PATH_INFO"] == "/a"
        assert client.recv(1) == b""  # an end that TLS vouches for


def test_kept_connections_and_large_bodies(secure: Secure) -> None:
    site, body = secure.site(echo), bytes(range(256)) * 12000
    with secure.connect(site) as client:
        for _ in range(3):
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
            sender = gevent.spawn(client.sendall, head + body)
            assert read_answer(client)[1] == body
            sender.get()


def test_a_file_goes_out_under_tls(secure: Secure, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 30000)

    def send(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [("Content-Length", "300000")])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with secure.connect(secure.site(send), GET) as client:
        assert read_answer(client)[1] == path.read_bytes()


def test_uwsgi_under_tls_knows_its_gateway(secure: Secure) -> None:
    """What the web server says of its client's TLS counts; how the web server came to us does not."""
    packet = b"".join(
        struct.pack("<H", len(text)) + text
        for text in (b"REQUEST_METHOD", b"GET", b"PATH_INFO", b"/a", b"REMOTE_ADDR", b"192.0.2.1")
    )
    with secure.connect(secure.site(protocol="uwsgi"), struct.pack("<BHB", 0, len(packet), 0) + packet) as client:
        answer = read_all(client)
    environ = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert environ["REMOTE_ADDR"] == "192.0.2.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ


def test_a_session_is_resumed(secure: Secure) -> None:
    site, context = secure.site(), secure.context()
    with secure.connect(site, GET, context) as first:
        read_answer(first)
        session = first.session
    client = context.wrap_socket(site.connect(), server_hostname="localhost", session=session)
    with client:
        client.sendall(GET)
        assert json.loads(read_answer(client)[1])["SSL_SESSION_RESUMED"] == "Resumed"


@pytest.mark.parametrize("host", ["localhost", "one.example"])
@pytest.mark.parametrize(("protocol", "offered"), [("https", "http/1.1"), ("suwsgi", None)])
def test_alpn_offers_http_1_1_where_it_is_spoken(secure: Secure, host: str, protocol: str, offered: str | None) -> None:
    context = secure.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    cert, key = secure.files.issue("one", "one.example")
    site = secure.site(show, f"sni = one.example {cert},{key}", socket=f"{protocol}-socket")
    with secure.connect(site, b"", context, host) as client:
        assert client.selected_alpn_protocol() == offered


def test_the_certificate_is_that_of_the_host_asked_for(secure: Secure) -> None:
    one, wild = secure.files.issue("one", "one.example"), secure.files.issue("wild", "*.wild.example")
    site = secure.site(
        show,
        f"sni = One.Example {one[0]},{one[1]}",
        f"sni = *.wild.example {wild[0]},{wild[1]}",
    )
    for host in ("localhost", "one.example", "a.wild.example"):
        assert secure.environ(site, name=host)["SSL_TLS_SNI"] == host  # the client checks the certificate
    for host in ("wild.example", "a.b.wild.example", "two.example"):
        with pytest.raises(ssl.SSLCertVerificationError):
            secure.environ(site, name=host)


# Clients' certificates


def test_who_shows_a_certificate_is_named(secure: Secure) -> None:
    site = secure.site(words=f",,{secure.files.ca}")
    environ = secure.environ(site, secure.context(secure.files.client))
    assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert environ["SSL_CLIENT_S_DN"].startswith(r"CN=Ann\, the 1st,")
    assert environ["SSL_CLIENT_S_DN"].endswith(",O=Example")
    assert environ["SSL_CLIENT_S_DN_CN"] == environ["HTTPS_CN"] == "Ann, the 1st"
    assert environ["SSL_CLIENT_I_DN"].startswith("OU=Testing CA")
    assert environ["HTTPS_DN"].startswith("/O=Example/")
    assert int(environ["SSL_CLIENT_M_SERIAL"], 16) > 0
    assert environ["SSL_CLIENT_CERT"].startswith("-----BEGIN CERTIFICATE-----")
    assert secure.environ(site)["SSL_CLIENT_VERIFY"] == "NONE"


def test_what_goes_with_a_socket_counts_for_all_its_hosts(secure: Secure) -> None:
    """The CA of its clients, and its ciphers."""
    cert, key = secure.files.issue("one", "one.example")
    cipher = "ECDHE-ECDSA-AES256-GCM-SHA384"
    site = secure.site(show, f"sni = one.example {cert},{key}", words=f",{cipher},!{secure.files.ca}")
    for context in (secure.context(), secure.context(secure.files.stranger)):
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # it is judged before the client is done
        with pytest.raises((ssl.SSLError, ConnectionError)):
            secure.environ(site, context, "one.example")
    context = secure.context(secure.files.client)
    assert secure.environ(site, context, "one.example")["SSL_CLIENT_VERIFY"] == "SUCCESS"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert secure.environ(site, context, "one.example")["SSL_CIPHER"] == cipher


@pytest.mark.parametrize("known", [False, True])
def test_without_the_certificate_that_is_required(secure: Secure, known: bool) -> None:
    site = secure.site(words=f",,!{secure.files.ca}")
    context = secure.context(secure.files.stranger if known else None)
    with pytest.raises((ssl.SSLError, ConnectionError)), secure.connect(site, GET, context) as client:
        read_answer(client)  # in TLS 1.3 the client is done before the server has judged
    why = "certificate verify failed" if known else "peer did not return a certificate"
    assert f"refused 127.0.0.1 on here: TLS handshake: {why}" in site.log
    assert secure.environ(site, secure.context(secure.files.client))["SSL_CLIENT_VERIFY"] == "SUCCESS"


# Refused


def test_plain_http_is_told_so(secure: Secure) -> None:
    site = secure.site()
    answer = site.answer(GET)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in answer
    assert b"plain HTTP was sent to an HTTPS port" in answer
    assert "refused 127.0.0.1 on here: 400 plain HTTP was sent to an HTTPS port" in site.log


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x00\x01\x02\x03", "no TLS on a socket that speaks it"),
        (b"\x16\x03\x01\x00\x05hello", "TLS handshake: "),
        (b"\x16\x02hello", "no TLS on a socket that speaks it"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "no TLS on a socket that speaks it"),
        (b"\x16\x03\x01\xff\xff" + b"\x01" * 65535, "TLS handshake: "),
    ],
)
def test_garbage_closes_the_connection(secure: Secure, data: bytes, why: str) -> None:
    site = secure.site()
    with site.connect(data) as client, contextlib.suppress(ConnectionResetError):  # it said more than was read
        assert b"HTTP" not in read_all(client)
    assert f"refused 127.0.0.1 on here: {why}" in site.log
    assert secure.environ(site)["HTTPS"] == "on"


def test_a_tls_hello_on_a_plain_socket(make: Make, secure: Secure) -> None:
    for protocol in ("http", "uwsgi"):
        site = make(show, protocol=protocol)
        with pytest.raises((ssl.SSLError, OSError)):
            secure.connect(site)
        assert "refused 127.0.0.1 on here: TLS is spoken on a socket without it" in site.log


def test_a_version_that_is_too_old(secure: Secure) -> None:
    site, context = secure.site(show, "tls-min-version = 1.3"), secure.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        secure.connect(site, GET, context)
    assert "TLS handshake: unsupported protocol" in site.log


def test_the_ciphers_are_those_configured(secure: Secure) -> None:
    context = secure.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    general = "tls-ciphers = ECDHE-ECDSA-AES256-GCM-SHA384"
    assert secure.environ(secure.site(show, general), context)["SSL_CIPHER"] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    site = secure.site(show, general, words=",ECDHE-ECDSA-AES128-GCM-SHA256")
    assert secure.environ(site, context)["SSL_CIPHER"] == "ECDHE-ECDSA-AES128-GCM-SHA256"
    context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    with pytest.raises(ssl.SSLError):
        secure.connect(site, GET, context)
    assert "TLS handshake: no shared cipher" in site.log


# In pieces, stalled, gone


class Hello:
    """A client's TLS without a socket: what it wants to send, byte by byte if one likes."""

    def __init__(self, files: Certificates) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(files.ca))
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def step(self, action: Callable[[], Any]) -> tuple[Any, bytes]:
        """What an action gave, None if it needs bytes, and what is to be sent."""
        try:
            done = action()
        except ssl.SSLWantReadError:
            done = None
        return done, self.outgoing.read()


def test_a_handshake_and_a_request_byte_by_byte(secure: Secure) -> None:
    site, hello = secure.site(), Hello(secure.files)
    with site.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def trickle(data: bytes) -> None:
            for byte in data:
                sock.sendall(bytes([byte]))
                settle()

        finished = False
        while not finished:
            _, data = hello.step(hello.tls.do_handshake)
            finished = hello.tls.version() is not None and hello.incoming.pending == 0 and bool(data)
            trickle(data)
            if not finished or hello.step(hello.tls.do_handshake)[1]:
                hello.incoming.write(sock.recv(65536))
        hello.tls.write(LAST)
        trickle(hello.outgoing.read())
        while piece := sock.recv(65536):
            hello.incoming.write(piece)
        assert hello.tls.read(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("sent", [1, 2, 100])
def test_half_a_hello_that_stalls(secure: Secure, sent: int) -> None:
    site, hello = secure.site(), Hello(secure.files)
    _, data = hello.step(hello.tls.do_handshake)
    with site.connect(data[:sent]) as client:
        wait_until(lambda: site.service.deadlines.waiting)
        settle()
        site.later(9)
        assert site.service.connections
        site.later(2)
        assert client.recv(100) == b""
    assert "refused 127.0.0.1 on here: what comes before a request did not come in time (handshake-timeout)" in site.log


def test_many_half_handshakes_beside_live_traffic(secure: Secure) -> None:
    site, hello = secure.site(), Hello(secure.files)
    _, data = hello.step(hello.tls.do_handshake)
    halves = [site.connect(data[: 1 + number % len(data)]) for number in range(300)]
    wait_until(lambda: len(site.service.connections) == 300)
    for _ in range(3):
        assert secure.environ(site)["HTTPS"] == "on"
    site.later(11)
    wait_until(lambda: not site.service.connections)
    for client in halves:
        client.close()
    assert site.log.count("handshake-timeout") == 300
    assert secure.environ(site)["HTTPS"] == "on"


def test_a_client_that_says_nothing_is_let_go_without_a_word(secure: Secure) -> None:
    site = secure.site()
    with site.connect() as client:
        wait_until(lambda: site.service.deadlines.waiting)
        site.later(11)
        assert client.recv(100) == b""
    assert site.log == ""


@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_leaves_in_its_handshake(secure: Secure, reset: bool) -> None:
    site, hello = secure.site(), Hello(secure.files)
    _, data = hello.step(hello.tls.do_handshake)
    client = site.connect(data[:200])
    wait_until(lambda: site.service.deadlines.waiting)
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    wait_until(lambda: not site.service.connections)
    assert "Traceback" not in site.log
    assert secure.environ(site)["HTTPS"] == "on"


def leave(client: Any, politely: bool) -> None:
    """With TLS's own word for it, or without."""
    if politely:
        client.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):  # it would wait for the server's
            client.unwrap()
    socket.socket(fileno=client.detach()).close()


@pytest.mark.parametrize("politely", [False, True])
def test_a_client_that_leaves_is_noticed_while_its_request_runs(secure: Secure, politely: bool) -> None:
    left: list[bool] = []  # by way of the event: what TLS sends besides is not taken for an end

    def wait(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        left.append(environ["greenwsgi.disconnected"].wait(30))
        start_response("200 OK", [])
        return [b"too late"]

    site = secure.site(wait)
    client = secure.connect(site, GET)
    wait_until(lambda: site.service.running)
    look(site)
    leave(client, politely)
    wait_until(lambda: left)
    assert left == [True]
    wait_until(lambda: not site.service.connections)
    assert "(HTTP/1.1 499)" in site.log


@pytest.mark.parametrize("politely", [False, True])
def test_events_for_a_client_that_has_left_end(secure: Secure, politely: bool) -> None:
    """What cannot be encrypted any more cannot be sent: the application is not to go on for nobody."""

    def events(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield b"data: begun\n\n"
        environ["greenwsgi.disconnected"].wait()
        for number in itertools.count():
            yield b"data: %d\n\n" % number
            gevent.sleep()

    site = secure.site(events)
    client = secure.connect(site, GET)
    assert b"begun" in client.recv(65536)
    look(site)
    leave(client, politely)
    wait_until(lambda: not site.service.connections)
    assert len(site.service.slots.free) == 10
    assert "(HTTP/1.1 499)" in site.log


def test_bytes_of_the_next_request_are_kept_while_one_is_watched(secure: Secure) -> None:
    application = Pair()
    site = secure.site(application)
    with secure.connect(site, GET) as client:
        wait_until(lambda: site.service.running)
        look(site)
        client.sendall(LAST)
        settle()
        application.go.set()
        assert read_all(client).count(b"HTTP/1.1 200 OK") == 2


class Pair:
    """An application whose answers wait for a word."""

    def __init__(self) -> None:
        self.go = gevent.event.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.go.wait()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


def test_a_body_that_is_cut_short(secure: Secure) -> None:
    """By a client that ends the connection without TLS's word for it."""
    site = secure.site(echo)
    client = secure.connect(site, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    wait_until(lambda: site.service.running)
    socket.socket(fileno=client.detach()).close()
    wait_until(lambda: not site.service.connections)
    assert "400)" in site.log or "499)" in site.log
