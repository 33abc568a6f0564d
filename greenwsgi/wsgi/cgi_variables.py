"""CGI/1.1 (RFC 3875), the pure part: the variables that a program gets, and the head of its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from greenwsgi import __version__
from greenwsgi.errors import PeerError
from greenwsgi.wire.request_line import decode_path
from greenwsgi.wsgi.types import Environ, Headers
from greenwsgi.wsgi.wsgi_input import EMPTY

HEAD_LIMIT = 65536

_PASSED = frozenset(
    {
        *("AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "DOCUMENT_ROOT", "QUERY_STRING", "REQUEST_METHOD"),
        *("REQUEST_URI", "SERVER_ADDR", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "UNIQUE_ID"),
        *("CONTEXT_DOCUMENT_ROOT", "CONTEXT_PREFIX", "HTTPS_CC", "HTTPS_CN", "HTTPS_DN"),
        *("SSL_CIPHER", "SSL_CIPHERS", "SSL_CIPHER_ALGKEYSIZE", "SSL_CIPHER_EXPORT", "SSL_CIPHER_USEKEYSIZE"),
        *("SSL_COMPRESS_METHOD", "SSL_CURVE", "SSL_CURVES", "SSL_EARLY_DATA", "SSL_PROTOCOL", "SSL_SECURE_RENEG"),
        *("SSL_SESSION_ID", "SSL_SESSION_RESUMED", "SSL_SESSION_REUSED", "SSL_SRP_USER", "SSL_SRP_USERINFO"),
        *("SSL_TLS_SNI", "SSL_VERSION_INTERFACE", "SSL_VERSION_LIBRARY"),
    }
)
_PASSED_FAMILY = re.compile(r"HTTP_[A-Z0-9_]+|(?:REDIRECT|REMOTE|SSL_CLIENT|SSL_SERVER)_[A-Za-z0-9_]+")
"""The variables of a request that reach a program: those of RFC 3875, and those of mod_ssl and nginx about TLS.

A gateway may send any name, and so may every process that can reach the socket. LD_PRELOAD or PYTHONPATH would run
their code, SSL_CERT_FILE would make the program trust their certificates. HTTP_ names are those that a header can have.
"""

_KEPT_FROM = frozenset({"HTTP_PROXY", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_CONNECTION"})
"""HTTP libraries take HTTP_PROXY as the proxy to use (CVE-2016-5385), and http_proxy, which is not passed anyway. The
server has handled the other headers before a program runs."""

_ALWAYS = ("QUERY_STRING", "REMOTE_ADDR", "REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL")
"""RFC 3875 4.1: these are never missing."""

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_STATUS = re.compile(rb"(?:HTTP/1\.[01] +)?([2-5][0-9][0-9])(?: +(?:([\x20-\x7e\xa0-\xff]*)|[^\x00-\x1f\x7f]*))?")
"""A reason with bytes that are not allowed is not taken; the standard reason of the code replaces it."""
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


class CgiError(Exception):
    """The output of a program is not a valid answer."""


@dataclass(frozen=True, slots=True)
class Script:
    """A program for a request."""

    file: bytes
    """The program, with all symbolic links resolved."""
    command: tuple[bytes, ...]
    """The arguments to execute; the file is one of them."""
    script_name: str
    """The request's path up to the program, included."""
    path_info: str
    """The rest of the request's path."""
    folder: bytes
    """PATH_TRANSLATED is path_info below this folder."""


def variables(environ: Environ, script: Script, inherited: Mapping[str, str]) -> dict[bytes, bytes]:
    """The whole environment of a program: `inherited`, and the request's variables, which win (RFC 3875 4.1)."""
    found = {
        name: value
        for name, value in environ.items()
        if type(value) is str and name not in _KEPT_FROM and (name in _PASSED or _PASSED_FAMILY.fullmatch(name))
    }
    for name in _ALWAYS:
        found.setdefault(name, "")
    found |= {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": f"greenwsgi/{__version__}",
        "SCRIPT_NAME": script.script_name,
        "REDIRECT_STATUS": "200",  # php-cgi does not run without it
        "REQUEST_SCHEME": environ["wsgi.url_scheme"],
    }
    if environ["wsgi.url_scheme"] == "https":
        found["HTTPS"] = "on"
    if not found.get("CONTENT_LENGTH"):
        found.pop("CONTENT_LENGTH", None)
    given = {name.encode("latin-1"): value.encode("latin-1") for name, value in found.items()}
    given[b"SCRIPT_FILENAME"] = script.file
    if script.path_info:
        root = found.get("DOCUMENT_ROOT", "").encode("latin-1") or script.folder
        given[b"PATH_INFO"] = script.path_info.encode("latin-1")
        given[b"PATH_TRANSLATED"] = root.rstrip(b"/") + given[b"PATH_INFO"]
    surrounding = {name.encode("utf-8", "surrogateescape"): value for name, value in inherited.items()}
    return {name: value.encode("utf-8", "surrogateescape") for name, value in surrounding.items()} | given


@dataclass(frozen=True, slots=True)
class CgiHead:
    """The head of a program's answer."""

    status: str
    """The status line."""
    headers: Headers = field(default_factory=list)
    """Without those that concern one connection only."""
    redirect: str = ""
    """The path of this server that answers in its place (a local redirect), "" for none."""
    length: int = -1
    """The Content-Length, -1 if there is none."""


def read_head(data: bytes) -> tuple[CgiHead, bytes] | None:
    """The head at the start of `data` and what follows it; None if the head is not complete (RFC 3875 6).

    A status line as in HTTP (`nph-` programs) replaces Status. Raises CgiError for an invalid head, and for one that
    does not end within HEAD_LIMIT bytes.
    """
    end = _end_of_head(data)
    if end is None:
        if len(data) > HEAD_LIMIT:
            raise CgiError(f"no end of its head within {HEAD_LIMIT} bytes")
        return None
    head, body = end
    lines = [line.removesuffix(b"\r") for line in data[:head].split(b"\n")]
    status, said = b"", []
    if lines and lines[0].startswith(b"HTTP/1."):
        status = lines.pop(0)
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise CgiError(f"no header line: {line[:100]!r}")
        if match[1].lower() == b"status":
            status = match[2]
        else:
            said.append((match[1].decode("latin-1"), match[2].rstrip().decode("latin-1")))
    return _head(status, said), data[body:]


def _end_of_head(data: bytes) -> tuple[int, int] | None:
    """Where the head ends, and where the body begins: after the first empty line, with either kind of line end."""
    if data.startswith((b"\n", b"\r\n")):
        raise CgiError("its answer begins with an empty line")
    match = re.compile(rb"\r?\n\r?\n").search(data, 0, HEAD_LIMIT)
    return (match.start(), match.end()) if match else None


def _head(status: bytes, said: Headers) -> CgiHead:
    headers = [
        (name, value)
        for name, value in said
        if name.lower() not in _HOP_BY_HOP and (value or name.lower() != "content-length")
    ]
    values = {name.lower(): value for name, value in headers}
    location = values.get("location", "")
    if not status and location.startswith("/") and not location.startswith("//") and len(headers) == 1:
        _path_of(location)
        return CgiHead("", redirect=location)
    if not status and not location and "content-type" not in values:
        raise CgiError("its head has none of Content-Type, Location and Status")
    lengths = {value for name, value in headers if name.lower() == "content-length"}
    if len(lengths) > 1:
        raise CgiError(f"more than one Content-Length: {', '.join(sorted(lengths))}")
    length = values.get("content-length", "")
    if length and not (length.isascii() and length.isdecimal() and len(length) <= 18):
        raise CgiError(f"Content-Length {length!r} is no number")
    return CgiHead(_status(status, "302 Found" if location else "200 OK"), headers, "", int(length) if length else -1)


def _status(text: bytes, default: str) -> str:
    if not text:
        return default
    match = _STATUS.fullmatch(text.rstrip())
    if match is None:
        raise CgiError(f"no status: {text[:100]!r}")
    code, reason = match[1].decode(), (match[2] or b"").decode("latin-1")
    return f"{code} {reason or _REASONS.get(int(code), 'Status')}"


def _path_of(location: str) -> str:
    """PATH_INFO of a local redirect, as a client's request for it would have it. Raises CgiError."""
    try:
        return decode_path(location.partition("?")[0])
    except PeerError as error:
        raise CgiError(f"Location {location[:100]!r}: {error.text}") from None


def redirected(environ: Environ, location: str) -> dict[str, Any]:
    """The environ of the request that a local redirect asks for: GET, without a body (RFC 3875 6.2.2)."""
    again = {name: value for name, value in environ.items() if name not in ("CONTENT_LENGTH", "CONTENT_TYPE")}
    return again | {
        "REQUEST_METHOD": "HEAD" if environ.get("REQUEST_METHOD") == "HEAD" else "GET",
        "REQUEST_URI": location,
        "PATH_INFO": _path_of(location),
        "SCRIPT_NAME": "",
        "QUERY_STRING": location.partition("?")[2],
        "wsgi.input": EMPTY,
    }
