"""`greenwsgi nginx FILE`: the nginx server block that goes with a configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from greenwsgi.config.load import load
from greenwsgi.config.settings import Settings
from greenwsgi.errors import UsageError
from greenwsgi.options.kinds import Address
from greenwsgi.subcommands.arguments import Arguments

MARGIN = 5
"""Seconds that nginx waits longer than harakiri: the client gets our 504, and the log its stack."""

KEPT = 32
"""Connections that each nginx process keeps open to us."""


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

SPEECHES = {
    "uwsgi": Speech("uwsgi", lines=("include uwsgi_params;",)),
    "suwsgi": Speech("uwsgi", "suwsgi://", ("include uwsgi_params;", "uwsgi_ssl_verify off;")),
    "fastcgi": Speech("fastcgi", lines=(*_FASTCGI, "fastcgi_keep_conn on;"), kept=True),
    "scgi": Speech("scgi", lines=("include scgi_params;",)),
    "http": Speech("proxy", "http://", _PROXY, kept=True),
    "https": Speech("proxy", "https://", (*_PROXY, "proxy_ssl_verify off;"), kept=True),
}
"""By protocol, the ones that carry most about the client first."""


def run(arguments: Sequence[str]) -> int:
    """Print it. Raises UsageError when the configuration has no socket that nginx could reach."""
    parser = Arguments("nginx", "The block goes inside http { } of nginx.conf, or into a file of conf.d.")
    parser.add_argument("file", metavar="FILE", help="the configuration, as for greenwsgi itself")
    parser.add_argument("--server-name", metavar="NAME", default="_", help="the site's host name")
    given = parser.parse_args(arguments)
    settings = load([given.file], os.environ).settings
    print("\n".join(block(settings, given.server_name)))
    return 0


def block(settings: Settings, server_name: str) -> Iterator[str]:
    """The lines of an upstream and a server for it."""
    listener = choose(settings.listeners)
    speech = SPEECHES[listener.protocol]
    origin = "" if listener.origin.source == "default" else f"  # {listener.origin}"
    yield "upstream greenwsgi {"
    yield f"    server {_reached(listener.text)};{origin}"
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
    for path, folder in _static(settings):
        yield ""
        yield f"    location {path.rstrip('/')}/ {{"
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
        proxy = "unix" if _is_path(listener.text) else "127.0.0.1"
        yield f"# Add `trusted-proxy = {proxy}` to the configuration, so that X-Forwarded-For and -Proto are believed."


def choose(listeners: Sequence[Address]) -> Address:
    """The listener that nginx had best be pointed at."""
    reachable = [one for one in listeners if one.protocol in SPEECHES and not one.text.startswith(("@", "fd://", "="))]
    if not reachable:
        raise UsageError("there is no socket here that nginx can reach: add one, such as socket = 127.0.0.1:3031")
    order = list(SPEECHES)
    return min(reachable, key=lambda one: (order.index(one.protocol), not _is_path(one.text)))


def _timeouts(settings: Settings, prefix: str) -> Iterator[str]:
    limits = settings.limits
    longest = [limits.harakiri, *(seconds for _, seconds in limits.harakiri_for)]
    if limits.harakiri and 0 not in longest:
        yield f"{prefix}_read_timeout {max(longest) + MARGIN:g}s;  # above harakiri, which answers first and says why"
    else:
        yield f"{prefix}_read_timeout 60s;  # nginx leaves then; set harakiri, so that the request does not run on"
    yield f"{prefix}_send_timeout {limits.socket_timeout + MARGIN:g}s;"


def _static(settings: Settings) -> Iterator[tuple[str, str]]:
    """What static-map says, which nginx does itself."""
    for one in settings.assignments:
        path, equals, folder = one.text.partition("=")
        if (
            one.key == "static-map"
            and equals
            and re.fullmatch(r"/[^\s;{}]*", path)
            and re.fullmatch(r"[^\s;{}]+", folder)
        ):
            yield path, os.path.abspath(folder)


def _header_buffers(head: int) -> tuple[int, int]:
    """Number and bytes: a line must fit one buffer, all must fit our head."""
    count = 4 if head >= 16384 else 2
    return count, head // count // 1024 * 1024 or 1024


def _reached(text: str) -> str:
    if _is_path(text):
        return f"unix:{os.path.abspath(text)}"
    host, _, port = text.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("", "0.0.0.0", "*") else f"[::1]:{port}" if host == "[::]" else text


def _is_path(text: str) -> bool:
    return text.startswith(("/", ".")) or ":" not in text


def _size(count: int) -> str:
    for unit, letter in ((1 << 20, "m"), (1 << 10, "k")):
        if count and not count % unit:
            return f"{count // unit}{letter}"
    return str(count)
