"""PROXY headers and first bytes in a whole worker's service: who is believed, and what is spoken then."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from gevent import socket

from greenwsgi.serve.admission import Admission
from greenwsgi.serve.connection_preamble import SPOKEN, Preamble
from greenwsgi.serve.tls_contexts import load
from greenwsgi.wire import protocol_sniffing, proxy_header
from greenwsgi.wsgi.forwarded_headers import TrustList
from tests.certificates import Certificates
from tests.serve.conftest import Make
from tests.serve.site import Site, read_all, settle, wait_until
from tests.serve.test_tls_contexts import LAST, Secure, secure, settings, show  # noqa: F401  # one is a fixture

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"
V2 = (
    proxy_header.SIGNATURE
    + b"\x21\x11"
    + struct.pack("!H", 12)
    + bytes([192, 0, 2, 7, 198, 51, 100, 1])
    + b"\x9c\x40\x01\xbb"
)
LOCAL = proxy_header.SIGNATURE + b"\x20\x00\0\0"


def with_tls_facts() -> bytes:
    """A v2 header of a client that came by TLS and showed a certificate."""
    facts = b"\x03" + bytes(4) + b"\x21\0\x07TLSv1.3" + b"\x22\0\x03Ann" + b"\x23\0\x06CIPHER"
    more = b"\x02\0\x09a.example" + b"\x20" + struct.pack("!H", len(facts)) + facts
    return V2[:14] + struct.pack("!H", 12 + len(more)) + V2[16:] + more


def packet(**variables: str) -> bytes:
    texts = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a", **variables}
    data = b"".join(
        struct.pack("<H", len(text)) + text for pair in texts.items() for text in (pair[0].encode(), pair[1].encode())
    )
    return struct.pack("<BHB", 0, len(data), 0) + data


def fastcgi(**variables: str) -> bytes:
    params = b"".join(bytes([len(name), len(text)]) + name.encode() + text.encode() for name, text in variables.items())
    records = [(1, b"\0\1\0\0\0\0\0\0"), (4, params), (4, b""), (5, b"")]
    return b"".join(struct.pack("!BBHHBB", 1, kind, 1, len(data), 0, 0) + data for kind, data in records)


def stdout(records: bytes) -> bytes:
    """What a FastCGI answer says on its standard output."""
    said = b""
    while records:
        _, kind, _, length, padding, _ = struct.unpack("!BBHHBB", records[:8])
        said += records[8 : 8 + length] if kind == 6 else b""
        records = records[8 + length + padding :]
    return said


REQUESTS = {
    "http": LAST,
    "uwsgi": packet(REMOTE_ADDR="203.0.113.9", HTTPS="on"),
    "fastcgi": fastcgi(REQUEST_METHOD="GET", PATH_INFO="/a", HTTPS="on"),
    "scgi": b"37:CONTENT_LENGTH\x000\0SCGI\x001\0HTTPS\0on\0X\0y\0,",
}


def announced(make: Make, *senders: str, protocol: str = "http", **options: Any) -> Site:
    """A site where PROXY headers come first, from these peers."""
    return make(show, protocol=protocol, preamble=Preamble(timeout=10, proxies=TrustList(senders), **options))


def environ_of(answer: bytes) -> dict[str, str]:
    if answer.startswith(b"\x01"):
        answer = b"HTTP/1.1 200\r\n" + stdout(answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200" in head.partition(b"\r\n")[0], answer
    return json.loads(body)  # type: ignore[no-any-return]


# PROXY


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("senders", [(), ("127.0.0.1",)], ids=["all", "named"])
def test_the_header_tells_who_the_client_is(make: Make, header: bytes, senders: tuple[str, ...]) -> None:
    environ = environ_of(announced(make, *senders).answer(header + LAST))
    assert environ["REMOTE_ADDR"] == "192.0.2.7"
    assert environ["REMOTE_PORT"] == "40000"
    assert environ["SERVER_ADDR"] == "198.51.100.1"
    assert environ["SERVER_PORT"] == "443"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["PATH_INFO"] == "/a"


def test_the_clients_tls(make: Make) -> None:
    site = announced(make)
    environ = environ_of(site.answer(with_tls_facts() + LAST))
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTPS"] == "on"
    assert environ["SSL_PROTOCOL"] == "TLSv1.3"
    assert environ["SSL_CIPHER"] == "CIPHER"
    assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert environ["SSL_CLIENT_S_DN_CN"] == "Ann"
    assert environ["SSL_TLS_SNI"] == "a.example"
    assert "192.0.2.7 () {" in site.log


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", LOCAL], ids=["v1", "v2"])
def test_a_proxy_that_speaks_for_itself(make: Make, header: bytes) -> None:
    environ = environ_of(announced(make).answer(header + LAST))
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert "SERVER_ADDR" not in environ


def test_a_gateway_knows_better_than_the_header(make: Make) -> None:
    environ = environ_of(announced(make, protocol="uwsgi").answer(with_tls_facts() + packet()))
    assert environ["REMOTE_ADDR"] == "192.0.2.7"  # the packet says nothing of it
    assert environ["wsgi.url_scheme"] == "http"
    environ = environ_of(announced(make, protocol="uwsgi").answer(V1 + REQUESTS["uwsgi"]))
    assert environ["REMOTE_ADDR"] == "203.0.113.9"
    assert environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize("header", [V1, with_tls_facts()], ids=["v1", "v2"])
def test_byte_by_byte(make: Make, header: bytes) -> None:
    site = announced(make)
    with site.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header + LAST:
            client.sendall(bytes([byte]))
            settle()
        assert environ_of(read_all(client))["REMOTE_ADDR"] == "192.0.2.7"


@pytest.mark.parametrize("senders", [(), ("127.0.0.1",)], ids=["all", "named"])
@pytest.mark.parametrize("data", [LAST, b"PROXY TCP4 x\r\n", V2[:12] + b"\x35" + V2[13:], b"\0"])
def test_who_must_send_one_and_does_not(make: Make, senders: tuple[str, ...], data: bytes) -> None:
    site = announced(make, *senders)
    assert site.answer(data) == b""
    assert site.log.count("refused 127.0.0.1 on here: ") == len(site.log.splitlines()) == 1
    assert "(proxy-protocol)" in site.log


@pytest.mark.parametrize("piecewise", [False, True])
@pytest.mark.parametrize(("header", "client"), [(b"", "127.0.0.1"), (V1, "192.0.2.7"), (V2, "192.0.2.7")])
def test_who_need_not_send_one(make: Make, header: bytes, client: str, piecewise: bool) -> None:
    site = announced(make, optional=True)
    for request in (LAST, LAST.replace(b"GET", b"POST"), LAST.replace(b"GET", b"PRO")):
        with site.connect() as sock:
            data = header + request
            for piece in [data[at : at + 1] for at in range(len(data))] if piecewise else [data]:
                sock.sendall(piece)
                settle()
            assert environ_of(read_all(sock))["REMOTE_ADDR"] == client


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_who_must_not_send_one_and_does(make: Make, header: bytes) -> None:
    site = announced(make, "192.0.2.1")
    assert site.answer(header + LAST) == b""
    assert "a PROXY header from a peer that is not in proxy-protocol-from" in site.log
    assert environ_of(site.answer(LAST))["REMOTE_ADDR"] == "127.0.0.1"
    method = b"PROXY / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"  # which nobody forbids
    assert environ_of(site.answer(method))["REQUEST_METHOD"] == "PROXY"


def test_half_a_header_that_stalls(make: Make) -> None:
    site = announced(make)
    with site.connect(V1[:20]) as client:
        wait_until(lambda: site.service.deadlines.waiting)
        settle()
        site.later(11)
        assert client.recv(10) == b""
    assert "handshake-timeout" in site.log


def test_connections_are_counted_for_the_client_that_the_header_names(make: Make) -> None:
    site = announced(make, admission=Admission(None, 1))
    with site.connect(V1) as first:
        wait_until(lambda: any(one.peer == "192.0.2.7" for one in site.service.connections))
        assert site.answer(V1 + LAST) == b""
        assert "refused 192.0.2.7 on here: holds 1 connections already" in site.log
        assert environ_of(site.answer(V1.replace(b"2.7", b"2.8") + LAST))["REMOTE_ADDR"] == "192.0.2.8"
        first.sendall(LAST)
        read_all(first)
    wait_until(lambda: not site.service.connections)
    assert environ_of(site.answer(V1 + LAST))["REMOTE_ADDR"] == "192.0.2.7"


# First bytes


def auto(make: Make, **options: Any) -> Site:
    return make(show, protocol="auto", preamble=Preamble(timeout=10, **options))


@pytest.mark.parametrize("protocol", REQUESTS)
@pytest.mark.parametrize("piecewise", [False, True])
def test_the_first_bytes_tell(make: Make, protocol: str, piecewise: bool) -> None:
    """What follows is as on a socket of that protocol."""
    there, here = auto(make), make(show, protocol=protocol)
    with there.connect() as client:
        for piece in [bytes([byte]) for byte in REQUESTS[protocol]] if piecewise else [REQUESTS[protocol]]:
            client.sendall(piece)
            settle()
        environ = environ_of(read_all(client))
    expected = environ_of(here.answer(REQUESTS[protocol]))
    assert {**environ, "REMOTE_PORT": ""} == {**expected, "REMOTE_PORT": ""}
    assert environ["wsgi.url_scheme"] == ("http" if protocol == "http" else "https")


def test_all_that_is_spoken_is_tried() -> None:
    assert set(REQUESTS) == set(SPOKEN) == set(protocol_sniffing.SIGNS) - {"proxy", "tls"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x16\x03\x01\0\x01", "the first bytes are of no protocol that is served here"),
        (b"\xff\xff\xff\xff", "the first bytes are of no protocol that is served here"),
    ],
)
def test_what_is_nothing_that_is_spoken(make: Make, data: bytes, why: str) -> None:
    site = auto(make)
    with site.connect(data) as client:
        client.shutdown(socket.SHUT_WR)
        read_all(client)
    settle()
    assert f"refused 127.0.0.1 on here: {why}" in site.log
    assert b"200 OK" in site.answer(LAST)


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_proxy_header_where_none_is_taken_is_no_request(make: Make, header: bytes) -> None:
    site = auto(make)
    assert b"200 OK" not in site.answer(header + LAST)
    assert "refused 127.0.0.1 on here: 400" in site.log


def test_half_a_beginning_that_stalls(make: Make) -> None:
    site = auto(make)
    with site.connect(b"12") as client:  # SCGI, or a method
        wait_until(lambda: site.service.deadlines.waiting)
        settle()
        site.later(11)
        assert client.recv(10) == b""
    assert "handshake-timeout" in site.log


def test_only_web_servers_may_speak_as_such(make: Make) -> None:
    site = auto(make, gateways=TrustList(["192.0.2.1"]))
    assert site.answer(REQUESTS["uwsgi"]) == b""
    assert "refused 127.0.0.1 on here: uwsgi from a peer that is not in uwsgi-allow" in site.log
    assert b"200 OK" in site.answer(LAST)


def test_proxy_headers_are_taken_from_those_who_may_send_them(make: Make) -> None:
    site = auto(make, proxies=TrustList(["127.0.0.1"]), optional=True)
    for protocol, request in REQUESTS.items():
        expected = "203.0.113.9" if protocol == "uwsgi" else "192.0.2.7"
        assert environ_of(site.answer(V2 + request))["REMOTE_ADDR"] == expected
    assert environ_of(site.answer(LAST))["REMOTE_ADDR"] == "127.0.0.1"
    stranger = auto(make, proxies=TrustList(["192.0.2.1"]))
    assert stranger.answer(V1 + LAST) == b""
    assert "not in proxy-protocol-from" in stranger.log


@pytest.mark.parametrize("header", [b"", V1], ids=["alone", "behind PROXY"])
@pytest.mark.parametrize("protocol", REQUESTS)
def test_tls_inside(secure: Secure, make: Make, protocol: str, header: bytes) -> None:  # noqa: F811
    f: Certificates = secure.files
    tls = load(settings(f"auto-socket = :0,{f.cert},{f.key}"))[":0"]
    site = auto(make, tls=tls, proxies=TrustList(["127.0.0.1"]), optional=True)
    raw = site.connect(header)
    with secure.context().wrap_socket(raw, server_hostname="localhost") as client:
        client.sendall(REQUESTS[protocol])
        environ = environ_of(read_all(client))
    assert environ["wsgi.url_scheme"] == "https"
    if protocol == "http":
        assert environ["SSL_PROTOCOL"] == "TLSv1.3"
        assert environ["REMOTE_ADDR"] == ("192.0.2.7" if header else "127.0.0.1")
    assert environ_of(site.answer(LAST))["wsgi.url_scheme"] == "http"
