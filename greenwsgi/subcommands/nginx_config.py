"""`greenwsgi nginx FILE`: the nginx server block that goes with a configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from greenwsgi.config.load import load
from greenwsgi.config.option_rules import needs_proxy_headers, takes_proxy_headers
from greenwsgi.config.settings import Settings
from greenwsgi.config.show_config import printable
from greenwsgi.errors import UsageError
from greenwsgi.options.listen_addresses import Tcp, Unix, read_place
from greenwsgi.options.value_types import AUTO, Address
from greenwsgi.subcommands.argument_parser import Arguments

MARGIN = 5
"""Seconds that nginx waits longer than harakiri: the client gets our 504, and the log its stack."""

KEPT = 32
"""Connections that each nginx process keeps open to us."""

_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}
"""By the address that stands for all of this machine's, one to reach it by."""


@dataclass(frozen=True, slots=True)
class Speech:
    """How nginx speaks a protocol: the directives' prefix, what stands before the address, and the lines it takes."""

    prefix: str
    scheme: str = ""
    lines: tuple[str, ...] = ()
    kept: bool = False


_PROXY = (
    "proxy_http_version 1.1;",
    'proxy_set_header Connection "";',
    "proxy_set_header Host $http_host;",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "proxy_set_header X-Forwarded-Proto $scheme;",
)
_FASTCGI = ("include fastcgi_params;", "fastcgi_param PATH_INFO $document_uri;", 'fastcgi_param SCRIPT_NAME "";')

_UWSGI = Speech("uwsgi", lines=("include uwsgi_params;",))

SPEECHES = {
    ("uwsgi", False): _UWSGI,
    (AUTO, False): _UWSGI,
    (AUTO, True): _UWSGI,  # where TLS may be left out
    ("uwsgi", True): Speech("uwsgi", "suwsgi://", (*_UWSGI.lines, "uwsgi_ssl_verify off;")),
    ("fastcgi", False): Speech("fastcgi", lines=(*_FASTCGI, "fastcgi_keep_conn on;"), kept=True),
    ("scgi", False): Speech("scgi", lines=("include scgi_params;",)),
    ("http", False): Speech("proxy", "http://", _PROXY, kept=True),
    ("http", True): Speech("proxy", "https://", (*_PROXY, "proxy_ssl_verify off;"), kept=True),
}
"""By protocol, and whether there is a certificate; those that carry most about the client first."""


@dataclass(frozen=True, slots=True)
class Way:
    """A listener that nginx can reach; server: its address as nginx writes it."""

    listener: Address
    server: str
    speech: Speech

    @property
    def preference(self) -> tuple[int, bool]:
        """The least is the best: by protocol, and a unix socket before a port."""
        return list(SPEECHES.values()).index(self.speech), not self.server.startswith("unix:")

    @property
    def peer(self) -> str:
        """Whom we see at the other end, as trusted-proxy names him."""
        return "unix" if self.server.startswith("unix:") else "::1" if self.server.startswith("[") else "127.0.0.1"


def run(arguments: Sequence[str]) -> int:
    """Print it. Raises UsageError when the configuration has no socket that nginx could reach."""
    parser = Arguments("nginx", "The block goes inside http { } of nginx.conf, or into a file of conf.d.")
    parser.add_argument("file", metavar="FILE", help="the configuration, as for greenwsgi itself")
    parser.add_argument("--server-name", metavar="NAME", default="_", help="the site's host name")
    given = parser.parse_args(arguments)
    settings = load([given.file], os.environ).settings
    print(printable("\n".join(block(settings, given.server_name))))
    return 0


def block(settings: Settings, server_name: str) -> Iterator[str]:
    """The lines of an upstream and a server for it."""
    way = choose(settings)
    speech = way.speech
    origin = "" if settings.listens_by_default else f"  # {way.listener.origin}"
    yield "upstream greenwsgi {"
    yield f"    server {way.server};{origin}"
    if speech.kept:
        idle = settings.limits.keepalive_timeout
        yield f"    keepalive {KEPT};"
        yield f"    keepalive_timeout {max(idle - 15, idle / 2):g}s;  # below keepalive-timeout: nginx closes first"
    yield "}"
    yield ""
    yield "server {"
    yield "    listen 80;"
    yield f"    server_name {server_name};"
    yield f"    client_max_body_size {_size(settings.limits.limit_post)};  # limit-post"
    count, size = _header_buffers(settings.limits.buffer_size)
    yield f"    large_client_header_buffers {count} {_size(size)};  # together at most buffer-size"
    for path, folder in _static(settings).items():
        yield ""
        yield f"    location {path}/ {{"
        yield f"        alias {folder.rstrip('/')}/;"
        yield "    }"
    yield ""
    yield "    location / {"
    for line in (*speech.lines, f"{speech.prefix}_pass {speech.scheme}greenwsgi;", *_timeouts(settings, speech.prefix)):
        yield f"        {line}"
    yield f"        {speech.prefix}_request_buffering off;  # a greenlet waits for a slow upload at no cost"
    yield "    }"
    yield "}"
    if speech.prefix == "proxy" and not settings.proxies.trusted_proxy:
        yield f"# Add `trusted-proxy = {way.peer}` to the configuration,"
        yield "# so that X-Forwarded-For and -Proto are believed."


def choose(settings: Settings) -> Way:
    """The listener that nginx had best be pointed at, which must answer itself. Raises UsageError if there is none."""
    ways = [
        Way(one, server, speech)
        for one in settings.listeners
        if (speech := SPEECHES.get((one.protocol, one.certificate is not None)))
        and (server := _server(one.text, settings.listening.abstract_socket))
        and not one.redirect
        and not (takes_proxy_headers(settings, one.protocol, one.text) and needs_proxy_headers(settings, one.text))
    ]
    if not ways:
        raise UsageError("there is no socket here that nginx can reach: add one, such as socket = 127.0.0.1:3031")
    return min(ways, key=lambda way: way.preference)


def _server(text: str, abstract: bool) -> str:
    """How nginx writes an address of this machine; "" for what it cannot reach."""
    try:
        place = read_place(text, abstract=abstract)
    except ValueError:
        return ""
    if isinstance(place, Unix):
        return f"unix:{os.path.abspath(place.path)}"
    if not isinstance(place, Tcp) or not place.port:
        return ""
    host = _ANY.get(place.host, place.host)
    if host.endswith("*"):
        return ""
    return f"[{host}]:{place.port}" if ":" in host else f"{host}:{place.port}"


def _timeouts(settings: Settings, prefix: str) -> Iterator[str]:
    limits = settings.limits
    longest = [limits.harakiri, *(seconds for _, seconds in limits.harakiri_for)]
    if limits.harakiri and 0 not in longest:
        yield f"{prefix}_read_timeout {max(longest) + MARGIN:g}s;  # above harakiri, which answers first and says why"
    else:
        yield f"{prefix}_read_timeout 60s;  # nginx leaves then; set harakiri, so that the request does not run on"
    yield f"{prefix}_send_timeout {limits.socket_timeout + MARGIN:g}s;"


def _static(settings: Settings) -> dict[str, str]:
    """Folders by path, as static-map says; of several for one path the first, and not `/`, which is the application."""
    found: dict[str, str] = {}
    for one in settings.assignments:
        path, _, folder = one.text.partition("=")
        if one.key == "static-map" and re.fullmatch(r"/[^\s;{}]+", path) and re.fullmatch(r"[^\s;{}$]+", folder):
            found.setdefault(path.rstrip("/"), os.path.abspath(folder))
    found.pop("", None)
    return found


def _header_buffers(head: int) -> tuple[int, int]:
    """Number and bytes: a line must fit one buffer, all must fit our head."""
    count = 4 if head >= 16384 else 2
    return count, head // count // 1024 * 1024 or 1024


def _size(count: int) -> str:
    for unit, letter in ((1 << 20, "m"), (1 << 10, "k")):
        if count and not count % unit:
            return f"{count // unit}{letter}"
    return str(count)
