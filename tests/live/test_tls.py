"""TLS as its users meet it: curl, openssl, nginx in front; certificates replaced under load; what is wrong said."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.live.client import PATIENCE, Answer, free_port, http_request, read_answer, whole
from tests.live.fronts import Front, parameters
from tests.live.load import Close, KeepAlive, Load, connect
from tests.live.nginx import binary as nginx_binary
from tests.live.server import Server

APP = """
import json

def app(environ, start_response):
    if environ["PATH_INFO"] == "/echo":
        body = environ["wsgi.input"].read()
    else:
        body = json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class Ports:
    """Where the server under test listens, and how it is told so."""

    def __init__(self, files: Certificates) -> None:
        self.https, self.asking, self.suwsgi, self.redirect, self.auto = (free_port() for _ in range(5))
        pair = f"{files.cert},{files.key}"
        self.options = [
            *("--https-socket", f"127.0.0.1:{self.https},{pair}"),
            *("--https", f"127.0.0.1:{self.asking},{pair},,!{files.ca}"),
            *("--suwsgi-socket", f"127.0.0.1:{self.suwsgi},{pair}"),
            *("--http-to-https", f"127.0.0.1:{self.redirect},{self.https}"),
            *("--auto-socket", f"127.0.0.1:{self.auto},{pair}"),
            *("--hsts", "1000", "--proxy-protocol", f"127.0.0.1:{self.auto}"),
            *("--proxy-protocol-from", "127.0.0.0/8"),
        ]


@pytest.fixture(scope="module")
def ports(files: Certificates) -> Ports:
    return Ports(files)


@pytest.fixture(scope="module")
def server(ports: Ports) -> Iterator[Server]:
    with Server(*ports.options, app=APP) as server:
        yield server


def https(files: Certificates, port: int, path: str = "/", client: Path | None = None) -> Answer:
    context = ssl.create_default_context(cafile=str(files.ca))
    if client:
        context.load_cert_chain(str(client))
    with closing(http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=context)) as connection:
        connection.request("GET", path)
        return whole(connection.getresponse())


def curl(*words: str) -> str:
    if not shutil.which("curl"):
        pytest.skip("no curl on PATH")
    return subprocess.run(["curl", "-sS", *words], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def test_https_and_what_the_application_learns(server: Server, files: Certificates, ports: Ports) -> None:
    answer = https(files, ports.https, "/a?b")
    environ = json.loads(answer.text)
    assert (environ["wsgi.url_scheme"], environ["HTTPS"], environ["SSL_TLS_SNI"]) == ("https", "on", "localhost")
    assert environ["SERVER_PORT"] == str(ports.https)
    assert answer.headers["strict-transport-security"] == "max-age=1000"
    assert "strict-transport-security" not in server.get("/").headers
    assert json.loads(server.get("/").text)["wsgi.url_scheme"] == "http"


def test_the_master_stays_free_of_ssl(server: Server) -> None:
    maps = Path(f"/proc/{server.pid}/maps")
    if not maps.exists():
        pytest.skip("no /proc/PID/maps here")
    assert "libssl" not in maps.read_text()
    assert any("libssl" in Path(f"/proc/{pid}/maps").read_text() for pid in server.workers())


def test_curl_posts_a_large_body(server: Server, files: Certificates, ports: Ports, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"0123456789abcdef" * 100_000)
    url = f"https://localhost:{ports.https}/echo"
    assert curl("--cacert", str(files.ca), "--data-binary", f"@{body}", url) == body.read_text()


def test_a_certificate_is_required_of_clients(server: Server, files: Certificates, ports: Ports) -> None:
    environ = json.loads(https(files, ports.asking, client=files.client).text)
    assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert environ["SSL_CLIENT_S_DN_CN"] == "Ann, the 1st"
    mark = server.mark()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        https(files, ports.asking)
    server.wait_for("TLS handshake: peer did not return a certificate", after=mark)


def test_http_is_sent_on_to_https(server: Server, files: Certificates, ports: Ports) -> None:
    answer = http_request(ports.redirect, "GET", "/a?b", headers={"Host": "example.org:81"})
    assert (answer.status, answer.headers["location"]) == (301, f"https://example.org:{ports.https}/a?b")
    answer = http_request(ports.redirect, "POST", "/a", b"x", headers={"Host": "[::1]"})
    assert (answer.status, answer.headers["location"]) == (308, f"https://[::1]:{ports.https}/a")
    assert http_request(ports.redirect, "GET", "/", headers={"Host": "a/b"}).status == 400


def test_the_wrong_language(server: Server, ports: Ports) -> None:
    answer = http_request(ports.https, "GET", "/")
    assert answer.status == 400
    assert "HTTPS" in answer.text
    mark = server.mark()
    context = ssl.create_default_context()
    with server.connect() as sock, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(sock, server_hostname="localhost")
    server.wait_for("TLS is spoken on a socket without it", after=mark)


def test_half_a_hello_ends_in_time(files: Certificates) -> None:
    """On a server of its own: on a busy machine whole handshakes do not end within such a time."""
    port = free_port()
    options = ("--https-socket", f"127.0.0.1:{port},{files.cert},{files.key}", "--handshake-timeout", "0.5")
    with Server(*options) as server, server.connect(port) as sock:
        sock.sendall(b"\x16\x03\x01")
        assert sock.recv(10) == b""
        server.wait_for("did not come in time .handshake-timeout")


def test_no_renegotiation(server: Server, files: Certificates, ports: Ports) -> None:
    if not shutil.which("openssl"):
        pytest.skip("no openssl on PATH")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{ports.https}", "-tls1_2", "-CAfile", str(files.ca)]
    done = subprocess.run(command, input=b"R\n", capture_output=True, timeout=PATIENCE, check=False)
    assert b"Verify return code: 0 (ok)" in done.stdout
    assert b"no renegotiation" in done.stderr or done.returncode != 0


def test_one_port_for_all(server: Server, files: Certificates, ports: Ports) -> None:
    assert http_request(ports.auto, "GET", "/").status == 200
    assert json.loads(https(files, ports.auto).text)["HTTPS"] == "on"
    with server.connect(ports.auto) as sock:
        sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert json.loads(read_answer(sock).text)["REMOTE_ADDR"] == "192.0.2.7"


def test_proxy_headers_on_all_http_sockets() -> None:
    header = b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n"
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with Server("--enable-proxy-protocol", app=APP, uwsgi=True) as server:
        with server.connect() as sock:
            sock.sendall(header + request)
            assert json.loads(read_answer(sock).text)["REMOTE_ADDR"] == "192.0.2.7"
        assert json.loads(server.get("/").text)["REMOTE_ADDR"] == "127.0.0.1"  # a health check, say
        assert server.uwsgi("/").status == 200
    with Server("--proxy-protocol", "all", app=APP) as server:
        with server.connect() as sock:
            sock.sendall(request)
            assert sock.recv(10) == b""
        server.wait_for("refused 127.0.0.1 on .*: no PROXY header")
    with Server("--enable-proxy-protocol", "--proxy-protocol-from", "192.0.2.1", app=APP) as server:
        with server.connect() as sock:
            sock.sendall(header + request)
            assert sock.recv(10) == b""
        server.wait_for("refused 127.0.0.1 on .*: a PROXY header from a peer that is not in proxy-protocol-from")
        assert server.get("/").status == 200


def test_proxy_headers_of_the_http_router_are_none_of_http_socket() -> None:
    port = free_port()
    with Server("--http-enable-proxy-protocol", "--http", f"127.0.0.1:{port}", app=APP) as server:
        with server.connect(port) as sock:
            sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert json.loads(read_answer(sock).text)["REMOTE_ADDR"] == "192.0.2.7"
        assert http_request(port, "GET", "/").status == 200
        assert server.get("/").status == 200
        with server.connect() as sock:
            sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_answer(sock).status == 400


# nginx in front

NGINX = """
worker_processes 1;
error_log stderr warn;
pid nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream kept {{ server 127.0.0.1:{ports.https}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{proxy};
        location / {{
            proxy_pass https://kept; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_ssl_verify on; proxy_ssl_trusted_certificate {files.ca}; proxy_ssl_name localhost;
            proxy_ssl_server_name on;
        }}
    }}
    server {{
        listen 127.0.0.1:{uwsgi};
        location / {{
            uwsgi_pass suwsgi://127.0.0.1:{ports.suwsgi}; {parameters}
            uwsgi_ssl_verify on; uwsgi_ssl_trusted_certificate {files.ca}; uwsgi_ssl_name localhost;
        }}
    }}
    server {{
        listen 127.0.0.1:{moving};
        location /old {{ uwsgi_pass 127.0.0.1:{ports.auto}; {parameters} }}
        location /new {{ proxy_pass http://127.0.0.1:{ports.auto}; }}
        location /safe {{ uwsgi_pass suwsgi://127.0.0.1:{ports.auto}; {parameters} }}
    }}
}}
"""


@pytest.fixture(scope="module")
def nginx(
    server: Server, ports: Ports, files: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    at = {"proxy": free_port(), "uwsgi": free_port(), "moving": free_port()}
    (folder / "nginx.conf").write_text(NGINX.format(ports=ports, files=files, parameters=parameters("uwsgi"), **at))
    user = "user root; " if Path("/proc/self").owner() == "root" else ""
    command = [nginx_binary(), "-p", f"{folder}/", "-c", "nginx.conf", "-g", f"{user}daemon off;"]
    with Front("nginx", command, at).running() as front:
        yield front


def test_nginx_passes_on_by_https(nginx: Front) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", nginx.ports["proxy"], timeout=PATIENCE)) as connection:
        remotes = set()
        for _ in range(3):
            connection.request("GET", "/")
            environ = json.loads(connection.getresponse().read())
            assert environ["HTTPS"] == "on"
            remotes.add(environ["REMOTE_PORT"])
        connection.request("POST", "/echo", b"x" * 300_000)
        assert connection.getresponse().read() == b"x" * 300_000
    assert len(remotes) == 1, "the connection is not kept"


def test_nginx_passes_on_by_suwsgi(nginx: Front) -> None:
    environ = json.loads(http_request(nginx.ports["uwsgi"], "GET", "/a").text)
    assert environ["PATH_INFO"] == "/a"
    assert environ["wsgi.url_scheme"] == "http"  # as its own client came
    assert http_request(nginx.ports["uwsgi"], "POST", "/echo", b"x" * 300_000).body == b"x" * 300_000


def test_nginx_moves_from_uwsgi_to_http_on_one_port(nginx: Front) -> None:
    for path in ("/old", "/new", "/safe"):
        assert json.loads(http_request(nginx.ports["moving"], "GET", path).text)["PATH_INFO"] == path


# HAProxy in front, with PROXY headers

HAPROXY = """
defaults
    mode tcp
    timeout connect 10s
    timeout client 30s
    timeout server 30s
listen v1
    bind 127.0.0.1:{v1}
    server app 127.0.0.1:{ports.auto} send-proxy
listen v2
    bind 127.0.0.1:{v2}
    server app 127.0.0.1:{ports.auto} send-proxy-v2
listen tls
    bind 127.0.0.1:{tls} ssl crt {both} ca-file {files.ca} verify optional
    server app 127.0.0.1:{ports.auto} send-proxy-v2-ssl-cn proxy-v2-options authority
listen through
    bind 127.0.0.1:{through}
    server app 127.0.0.1:{ports.auto} send-proxy-v2
"""


@pytest.fixture(scope="module")
def haproxy(
    server: Server, ports: Ports, files: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no haproxy here (Debian: apt-get install haproxy)")
    folder = tmp_path_factory.mktemp("haproxy")
    both = folder / "both.pem"
    both.write_bytes(files.cert.read_bytes() + files.key.read_bytes())
    at = {name: free_port() for name in ("v1", "v2", "tls", "through")}
    (folder / "haproxy.cfg").write_text(HAPROXY.format(ports=ports, files=files, both=both, **at))
    with Front("HAProxy", [program, "-db", "-f", str(folder / "haproxy.cfg")], at).running() as front:
        yield front


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_says_who_the_client_is(haproxy: Front, version: str) -> None:
    port = haproxy.ports[version]
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        environ = json.loads(read_answer(sock).text)
        assert environ["REMOTE_PORT"] == str(sock.getsockname()[1])
    assert environ["SERVER_PORT"] == str(port)
    assert environ["SERVER_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "http"


def test_haproxy_says_how_the_clients_tls_is(haproxy: Front, files: Certificates) -> None:
    environ = json.loads(https(files, haproxy.ports["tls"], client=files.client).text)
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTPS"] == "on"
    assert environ["SSL_PROTOCOL"].startswith("TLSv1.")
    assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert environ["SSL_CLIENT_S_DN_CN"] == "Ann, the 1st"
    assert json.loads(https(files, haproxy.ports["tls"]).text)["SSL_CLIENT_VERIFY"] == "NONE"


def test_haproxy_passes_tls_through(haproxy: Front, files: Certificates) -> None:
    """The PROXY header first, then the client's own handshake with us."""
    environ = json.loads(https(files, haproxy.ports["through"]).text)
    assert environ["SSL_TLS_SNI"] == "localhost"
    assert environ["SERVER_PORT"] == str(haproxy.ports["through"])


# Certificates replaced


def serial(files: Certificates, port: int) -> str:
    context = ssl.create_default_context(cafile=str(files.ca))
    with connect(port, context) as client:
        assert isinstance(client, ssl.SSLSocket)
        return str((client.getpeercert() or {})["serialNumber"])


@pytest.mark.parametrize("reloads", [2, pytest.param(10, marks=pytest.mark.long)])
def test_certificates_replaced_under_load(tmp_path: Path, reloads: int) -> None:
    files, port = Certificates(tmp_path), free_port()
    context = ssl.create_default_context(cafile=str(files.ca))
    clients = [kind(port, tls=context) for kind in (KeepAlive, KeepAlive, Close, Close)]
    address = f"127.0.0.1:{port},{files.cert},{files.key}"
    options = ["--processes", "2", "--disable-logging", "--https-socket", address]
    with Server(*options, http=False) as server, Load(*clients) as load:
        seen = [serial(files, port)]
        for generation in range(2, 2 + reloads):
            files.issue("cert", "localhost", "127.0.0.1")
            server.signal(signal.SIGHUP)
            server.wait_for(rf"generation {generation} serves with")
            load.wait_for_answers(10)
            seen.append(serial(files, port))
        files.key.write_text("nothing")
        server.signal(signal.SIGHUP)
        server.wait_for(r"reload failed: generation \d+: command line: TLS: the key .* cannot be read")
        load.wait_for_answers(10)
        assert serial(files, port) == seen[-1]
    assert len(set(seen)) == 1 + reloads
    assert load.failures == []
    assert load.retries == 0
