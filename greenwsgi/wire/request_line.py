"""Request lines (RFC 9112 3): method, target and version -> the first six CGI variables.

Hot path, budget 0.1 us for a line that was seen lately (`KNOWN_REQUESTS`, bounded), 3 us for one that was not.
docs/paths.md has the table of targets with uWSGI's answer and ours.
"""

from __future__ import annotations

import re

from greenwsgi.errors import PeerError
from greenwsgi.wire.header_fields import check_host

VARIABLES = 6
"""How many variables a request line gives."""

MOST_REQUESTS = 1024
LONGEST_REQUEST = 256

RequestLine = tuple[dict[str, str], bool, bool, str]
"""Variables to copy, is it HTTP/1.1, is it HEAD, host of an absolute target or ""."""

COMMON_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

KNOWN_REQUESTS: dict[bytes, RequestLine] = {}

_CLEAN = bytes(ord("?") if i < 32 or i == 127 else i for i in range(256))
"""Translates a line to itself unless it has a control byte."""
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSIONISH = re.compile(r"[A-Za-z]+/[0-9.]+")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*)(.*)")


def parse(line: bytes) -> RequestLine:
    """A request line. Raises PeerError: 505 for another version, 501 for CONNECT, else 400."""
    if line.translate(_CLEAN) != line:
        raise PeerError("control character in the request line")
    words = line.decode("latin-1").split(" ")
    if len(words) == 2 and _METHOD.fullmatch(words[0]):
        raise PeerError("HTTP/0.9 request", 505)
    if len(words) != 3:
        raise PeerError("malformed request line")
    method, target, version = words
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise PeerError("HTTP version is neither 1.0 nor 1.1", 505 if _VERSIONISH.fullmatch(version) else 400)
    if method not in COMMON_METHODS and _METHOD.fullmatch(method) is None:
        raise PeerError("malformed method")
    host, uri = split_target(method, target)
    raw_path, _, query = uri.partition("?")
    variables = {
        "REQUEST_METHOD": method,
        "REQUEST_URI": uri,
        "PATH_INFO": decode_path(raw_path),
        "QUERY_STRING": query,
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": version,
    }
    parsed = (variables, version == "HTTP/1.1", method == "HEAD", host)
    if len(line) <= LONGEST_REQUEST:
        if len(KNOWN_REQUESTS) >= MOST_REQUESTS:
            KNOWN_REQUESTS.clear()
        KNOWN_REQUESTS[line] = parsed
    return parsed


def split_target(method: str, target: str) -> tuple[str, str]:
    """(host of an absolute target or "", path with query). RFC 9112 3.2 has the four forms.

    CONNECT, which alone takes the authority form, is 501: nothing here makes tunnels. A fragment is never sent
    (RFC 9112 3.2.1), so it is refused; so is a target of any other form.
    """
    if method == "CONNECT":
        raise PeerError("CONNECT is not served here", 501)
    if "#" in target:
        raise PeerError("fragment in the request target")
    if target.startswith("/"):
        return "", target
    if target == "*" and method == "OPTIONS":
        return "", target
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise PeerError("malformed request target")
    host, uri = match.groups()
    check_host(host)
    return host, uri if uri.startswith("/") else "/" + uri


def decode_path(path: str) -> str:
    """PATH_INFO: percent-decoded once, then `.` and `..` segments resolved (RFC 3986 5.2.4); `//` stays.

    Resolved after decoding, so that no spelling of `..` reaches an application; uWSGI resolves before, and lets
    `/%2e%2e/` through. A broken escape and %00 are refused, as nginx does.
    """
    if "%" in path:
        if _BAD_ESCAPE.search(path):
            raise PeerError("bad percent-encoding in the path")
        path = _ESCAPE.sub(_octet, path)
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _octet(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))
