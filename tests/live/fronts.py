"""Real web servers before a server under test: each in the foreground, in a folder of its own, on free ports.

A front has one port for each way in which it passes requests on: a protocol over TCP or over a unix socket.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.live import ps
from tests.live.client import PATIENCE, free_port
from tests.live.nginx import binary as nginx_binary
from tests.live.server import ROOT, Log, Server

MODULES = Path("/usr/lib/apache2/modules")
SPOKEN = ("uwsgi", "fastcgi", "scgi", "http")

TWINS = {"https": "http", "suwsgi": "uwsgi"}
"""What is spoken over TLS."""


@dataclass(frozen=True)
class Place:
    """Where the server under test listens with one protocol."""

    port: int
    path: str


class Places:
    """Addresses for a server under test: each protocol by TCP and by a unix socket that any user can reach.

    Beside the protocols: their twins over TLS, "proxied", which is HTTP behind PROXY headers, and "auto", where the
    first bytes tell.
    """

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        names = [*SPOKEN, *TWINS, "proxied", "auto"]
        self.of = {name: Place(free_port(), str(folder / f"{name}.sock")) for name in names}
        self.certificates = Certificates(folder)

    @property
    def options(self) -> list[str]:
        """What greenwsgi is told of them."""
        found = ["--chmod-socket=666"]
        for name, place in self.of.items():
            for address in (f"127.0.0.1:{place.port}", place.path):
                if name == "proxied":
                    found += ["--http-socket", address, "--proxy-protocol", address]
                elif name in TWINS:
                    shown = self.certificates
                    found += [f"--{name}-socket", f"{address},{shown.cert},{shown.key}"]
                else:
                    found += [f"--{name}-socket", address]
        return found


@dataclass
class Front:
    """A running web server. ports: by way, such as "uwsgi-tcp"."""

    name: str
    command: list[str]
    ports: dict[str, int]
    log_file: Path | None = None
    _log: Log = field(default_factory=Log)

    @property
    def log(self) -> str:
        return self._log.text + (self.log_file.read_text("utf-8", "replace") if self.log_file else "")

    @contextmanager
    def running(self) -> Iterator[Front]:
        read_end, write_end = os.pipe()
        process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=write_end, stderr=write_end)
        os.close(write_end)
        self._log.follow(read_end)
        try:
            for port in self.ports.values():
                ps.wait_until(partial(self._answers, process, port), f"{self.name}'s listening")
            yield self
        except BaseException as error:
            error.add_note(f"{self.name}'s log:\n{self.log}")
            raise
        finally:
            process.terminate()
            process.wait(PATIENCE)
            self._log.finish()

    def _answers(self, process: subprocess.Popen[bytes], port: int) -> bool:
        assert process.poll() is None, f"{self.name} has ended:\n{self.log}"
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0


def ways(transports: tuple[str, ...] = ("tcp", "unix")) -> list[str]:
    """Every protocol over every transport."""
    return [f"{name}-{transport}" for name in SPOKEN for transport in transports]


# nginx

NGINX = """
worker_processes 1;
error_log stderr warn;
pid nginx.pid;
events {{ worker_connections 256; }}
stream {{
    {streams}
}}
http {{
    access_log off;
    client_max_body_size 64m;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream http-tcp {{ server 127.0.0.1:{http_port}; keepalive 8; }}
    upstream http-unix {{ server unix:{http_path}; keepalive 8; }}
    upstream https-tcp {{ server 127.0.0.1:{https_port}; keepalive 8; }}
    upstream https-unix {{ server unix:{https_path}; keepalive 8; }}
    proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_trusted_certificate {ca};
    uwsgi_ssl_verify on; uwsgi_ssl_name localhost; uwsgi_ssl_trusted_certificate {ca};
    upstream fastcgi-tcp-kept {{ server 127.0.0.1:{fastcgi_port}; keepalive 8; }}
    upstream fastcgi-unix-kept {{ server unix:{fastcgi_path}; keepalive 8; }}
    {servers}
}}
"""

_PARAMETERS = """
    QUERY_STRING $query_string; REQUEST_METHOD $request_method; CONTENT_TYPE $content_type;
    REQUEST_URI $request_uri; DOCUMENT_URI $document_uri; DOCUMENT_ROOT $document_root;
    SERVER_PROTOCOL $server_protocol; REQUEST_SCHEME $scheme; HTTPS $https if_not_empty;
    REMOTE_ADDR $remote_addr; REMOTE_PORT $remote_port; SERVER_PORT $server_port; SERVER_NAME $server_name;
"""

_MORE = {
    "uwsgi": "CONTENT_LENGTH $content_length; PATH_INFO $document_uri;",
    "scgi": "SCGI 1;",
    "fastcgi": "CONTENT_LENGTH $content_length; SCRIPT_NAME $fastcgi_script_name; GATEWAY_INTERFACE CGI/1.1;",
}
"""With the parameters above: what nginx's own uwsgi_params, scgi_params and fastcgi_params say."""


def parameters(protocol: str) -> str:
    """The stock parameters of a protocol, as directives."""
    each = (_PARAMETERS + _MORE[protocol]).replace("\n", " ").split(";")
    return " ".join(f"{protocol}_param {one.strip()};" for one in each if one.strip())


def nginx_location(way: str, place: Place) -> str:
    """What nginx does with a request."""
    protocol, transport = way.split("-", 1)
    if protocol in ("http", "https"):
        return (
            f"proxy_pass {protocol}://{way}; proxy_http_version 1.1; proxy_request_buffering off;"
            ' proxy_set_header Connection ""; proxy_set_header Host $http_host;'
            " proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;"
        )
    address = f"127.0.0.1:{place.port}" if transport.startswith("tcp") else f"unix:{place.path}"
    if transport.endswith("kept"):
        return f"{protocol}_pass {way}; {protocol}_keep_conn on; {parameters(protocol)}"
    if protocol == "suwsgi":
        protocol, address = "uwsgi", f"suwsgi://{address}"
    return f"{protocol}_pass {address}; {protocol}_request_buffering off; {parameters(protocol)}"


def nginx_ways() -> list[str]:
    """FastCGI also with connections that are kept; HTTP also as a stream behind version 1 of PROXY."""
    kept = ["fastcgi-tcp-kept", "fastcgi-unix-kept"]
    auto = [f"{name}-tcp-auto" for name in SPOKEN if name != "http"]
    twins = [f"{name}-{transport}" for name in TWINS for transport in ("tcp", "unix")]
    return [*ways(), *twins, *kept, *auto, "http-proxy1-tcp", "http-proxy1-unix"]


def place_of(way: str, places: Places) -> Place:
    """Where a way goes to."""
    return places.of["auto" if way.endswith("auto") else way.split("-")[0]]


def nginx(folder: Path, places: Places) -> Front:
    """nginx with a server for each way."""
    ports = {way: free_port() for way in nginx_ways()}
    servers = "\n".join(
        f"server {{ listen 127.0.0.1:{port}; location / {{ {nginx_location(way, place_of(way, places))} }} }}"
        for way, port in ports.items()
        if "proxy" not in way
    )
    proxied = places.of["proxied"]
    streams = "\n".join(
        f"server {{ listen 127.0.0.1:{ports[way]}; proxy_pass {there}; proxy_protocol on; }}"
        for way, there in [
            ("http-proxy1-tcp", f"127.0.0.1:{proxied.port}"),
            ("http-proxy1-unix", f"unix:{proxied.path}"),
        ]
    )
    addresses: dict[str, int | str] = {f"{name}_port": place.port for name, place in places.of.items()}
    addresses |= {f"{name}_path": place.path for name, place in places.of.items()}
    text = NGINX.format(ca=places.certificates.ca, servers=servers, streams=streams, **addresses)
    if os.getuid() == 0:  # its own user could not read the temporary folder
        text = "user root;\n" + text
    (folder / "nginx.conf").write_text(text, "utf-8")
    return Front("nginx", [nginx_binary(), "-p", f"{folder}/", "-c", "nginx.conf", "-g", "daemon off;"], ports)


# Apache

APACHE = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
ServerName localhost
PidFile apache.pid
User www-data
Group www-data
ErrorLog error.log
LogLevel warn
StartServers 1
ThreadsPerChild 32
MaxRequestWorkers 64
{modules}
Include shipped.conf
"""

_MODULES = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http", "proxy_fcgi", "proxy_scgi", "proxy_uwsgi")

_SHIPPED = {"uwsgi": ("uwsgi", 8000, 3031), "fastcgi": ("fcgi", 8001, 3032), "scgi": ("scgi", 8002, 3033)}
_SHIPPED |= {"http": ("http", 8003, 8080)}
"""By protocol, what conf/apache.conf says: the scheme, Apache's port and ours."""


def apache(folder: Path, places: Places, transport: str) -> Front:
    """Apache with conf/apache.conf, its addresses replaced; over `transport`."""
    program = shutil.which("apache2", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or not (MODULES / "mod_proxy_uwsgi.so").exists():
        pytest.skip("no apache2 with its proxy modules here (Debian: apt-get install apache2)")
    text = (ROOT / "conf/apache.conf").read_text("utf-8")
    ports: dict[str, int] = {}
    for protocol, (scheme, front, back) in _SHIPPED.items():
        port = free_port()
        text = once(text, f"Listen {front}\n", f"Listen 127.0.0.1:{port}\n")
        text = once(text, f"<VirtualHost *:{front}>", f"<VirtualHost 127.0.0.1:{port}>")
        ports[f"{protocol}-{transport}"] = port
        place = places.of[protocol]
        there = (
            f"{scheme}://127.0.0.1:{place.port}/" if transport == "tcp" else f"unix:{place.path}|{scheme}://localhost/"
        )
        text = once(text, f'"{scheme}://127.0.0.1:{back}/" f', f'"{there}" f')
    (folder / "shipped.conf").write_text(text, "utf-8")
    modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in _MODULES)
    (folder / "apache.conf").write_text(APACHE.format(folder=folder, modules=modules), "utf-8")
    command = [program, "-f", str(folder / "apache.conf"), "-DFOREGROUND"]
    return Front("Apache", command, ports, folder / "error.log")


def once(text: str, written: str, here: str) -> str:
    """Replace what must be there once."""
    assert text.count(written) == 1, f"the configuration no longer says {written!r} once"
    return text.replace(written, here)


# HAProxy

HAPROXY = """
global
    log stderr format raw daemon notice
    tune.bufsize 65536
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    option forwardfor
    http-reuse always
fcgi-app app
    docroot /
    path-info ^()(/.*)$
{proxies}
"""

HAPROXY_WAYS = [f"http-{how}{transport}" for how in ("", "proxy1-", "proxy2-") for transport in ("tcp", "unix")]
HAPROXY_WAYS += ["https-tcp", "https-unix", "fastcgi-tcp", "fastcgi-unix"]

ENDS_TLS = "tls"
"""HAProxy's port where clients speak TLS, of which a PROXY header tells us."""

_SENDS = {
    "proxy1": "send-proxy",
    "proxy2": "send-proxy-v2 proxy-v2-options crc32c,authority,unique-id",
}


def haproxy_listener(way: str, port: int, places: Places) -> str:
    """One way of HAProxy: HTTP, FastCGI, or bytes behind a PROXY header."""
    protocol, *how, transport = way.split("-")
    place = places.of["proxied" if how else protocol]
    there = f"127.0.0.1:{place.port}" if transport == "tcp" else f"unix@{place.path}"
    ca = places.certificates.ca
    lines = [f"listen {way}", f"bind 127.0.0.1:{port}"]
    if how:
        lines += ["mode tcp", r"unique-id-format %{+X}o\ %ci:%cp", f"server app {there} {_SENDS[how[0]]}"]
    elif protocol == "fastcgi":
        lines += ["use-fcgi-app app", f"server app {there} proto fcgi"]
    else:
        tls = f" ssl verify required verifyhost localhost ca-file {ca}" if protocol == "https" else ""
        lines += ["http-request set-header X-Forwarded-Proto http", f"server app {there}{tls}"]
    return "\n    ".join(lines)


def haproxy(folder: Path, places: Places) -> Front:
    """HAProxy, by HTTP, by FastCGI and by PROXY."""
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no haproxy here (Debian: apt-get install haproxy)")
    ports = {way: free_port() for way in HAPROXY_WAYS}
    proxies = "\n".join(haproxy_listener(way, port, places) for way, port in ports.items())
    shown, ports[ENDS_TLS] = places.certificates, free_port()
    (folder / "front.pem").write_bytes(shown.cert.read_bytes() + shown.key.read_bytes())
    proxies += (
        f"\nlisten tls\n    mode tcp\n"
        f"    bind 127.0.0.1:{ports[ENDS_TLS]} ssl crt {folder}/front.pem ca-file {shown.ca} verify optional"
        " crt-ignore-err all alpn http/1.1\n"
        f"    server app 127.0.0.1:{places.of['proxied'].port} send-proxy-v2-ssl-cn"
        " proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c\n"
    )
    (folder / "haproxy.cfg").write_text(HAPROXY.format(proxies=proxies), "utf-8")
    return Front("HAProxy", [program, "-db", "-f", str(folder / "haproxy.cfg")], ports)


ROWS = [
    *(("nginx", way) for way in nginx_ways()),
    *(("apache-tcp", way) for way in ways(("tcp",))),
    *(("apache-unix", way) for way in ways(("unix",))),
    *(("haproxy", way) for way in HAPROXY_WAYS),
]
"""(front, way): all that is tested."""


class Rig:
    """A server under test with every kind of socket, and the fronts before it, each begun when first asked for."""

    def __init__(self, server: Server, places: Places, stack: ExitStack) -> None:
        self.server = server
        self.places = places
        self._stack = stack
        self._fronts: dict[str, Front] = {}

    def front(self, name: str) -> Front:
        """A running front; the test is skipped where that program is not installed."""
        if name not in self._fronts:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="greenwsgi-front-")))
            folder.chmod(0o755)
            if name == "nginx":
                front = nginx(folder, self.places)
            elif name == "haproxy":
                front = haproxy(folder, self.places)
            else:
                front = apache(folder, self.places, name.removeprefix("apache-"))
            self._fronts[name] = self._stack.enter_context(front.running())
        return self._fronts[name]


@contextmanager
def rig(app: str, *options: str) -> Iterator[Rig]:
    """A server with that application, and whatever fronts are asked for."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenwsgi-places-")))
        places = Places(folder)
        server = stack.enter_context(Server(*places.options, *options, app=app, http=False))
        yield Rig(server, places, stack)
