"""Header field lines (RFC 9110 5, RFC 9112 5): one line -> one CGI variable, by a strict grammar.

Hot path, budget 0.1 us for a line that was seen lately and 1 us for one that was not. Two bounded tables do that, the
idea of HPACK's dynamic table: `KNOWN_LINES` has whole lines that were validated lately (browsers repeat nearly all of
their lines), `KNOWN_NAMES` validated names. The plain alternative, a partition, a grammar and a strip for each line of
each head, costs 0.55 us a line (7 lines: 3.8 us against 1.2 us).
"""

from __future__ import annotations

import re

from greenwsgi.errors import PeerError

Variable = tuple[str, str]

DROPPED: Variable = ("", "")
"""What a field line gives that is valid but not passed on."""

MOST_LINES = 2048
MOST_NAMES = 1024
LONGEST_LINE = 256
LONGEST_NAME = 64

KNOWN_LINES: dict[bytes, Variable] = {}
"""Lines that `learn` has seen: about 1 MB at most. Full, it is emptied: what is in use returns at once."""

KNOWN_NAMES: dict[bytes, str] = {}
"""Name as written -> CGI variable, "" for names that are dropped. Names with `_` are never in here."""

SECRETS = frozenset({"HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_PROXY_AUTHORIZATION", "HTTP_X_API_KEY"})
"""Kept in no table: a process should not remember them longer than their request lasts."""

SINGLETONS = frozenset(
    {"HTTP_HOST", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_AUTHORIZATION", "HTTP_EXPECT"}
)
"""Given twice, even with the same value, the request is refused: two readers might believe different ones."""

UNDERSCORELESS = SINGLETONS | {
    "HTTP_CONNECTION",
    "HTTP_COOKIE",
    "HTTP_PROXY",
    "HTTP_TE",
    "HTTP_TRAILER",
    "HTTP_UPGRADE",
}
"""Variables that a name with `_` never sets, whatever `underscores` says: `Content_Length` is not a length."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CLEAN = bytes(ord("?") if (i < 32 and i != 9) or i == 127 else i for i in range(256))
"""Translates a text to itself unless it has a control byte, HTAB excepted. 0.1 us; a regex takes 0.6."""

_REG_NAME = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+"
_IPV6 = r"\[[0-9A-Fa-f:.]{2,45}\]"
_IPVFUTURE = r"\[[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+\]"
_HOST = re.compile(rf"(?:{_REG_NAME}|{_IPV6}|{_IPVFUTURE})(?::[0-9]{{0,5}})?")
"""uri-host [ ":" port ] of RFC 9110 7.2 and RFC 3986 3.2.2, never empty. No user information, no slash."""

_TRAILERS_REFUSED = frozenset(
    [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "content-range",
        "transfer-encoding",
        "connection",
        "trailer",
        "te",
        "upgrade",
        "expect",
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "cache-control",
        "max-forwards",
    ]
)


def check_host(value: str) -> None:
    """Refuse what is no host, or more than one."""
    if _HOST.fullmatch(value) is None:
        raise PeerError("malformed Host" if value else "empty Host")


def parse(line: bytes, underscores: str) -> Variable:
    """The variable of a header line, or DROPPED. Raises PeerError. Remembers the line when that is wise."""
    raw_name, colon, raw_value = line.partition(b":")
    if not colon:
        raise PeerError("header line without a colon")
    name = KNOWN_NAMES.get(raw_name)
    if name is None:
        name = _learn_name(raw_name, underscores)
    raw_value = raw_value.strip(b" \t")
    if raw_value.translate(_CLEAN) != raw_value:
        raise PeerError("control character in a header value")
    if not name:
        return DROPPED
    value = raw_value.decode("latin-1")
    if name in SINGLETONS:
        _check_singleton(name, value)
    if name not in SECRETS and len(line) <= LONGEST_LINE and b"_" not in raw_name:
        if len(KNOWN_LINES) >= MOST_LINES:
            KNOWN_LINES.clear()
        KNOWN_LINES[line] = (name, value)
    return name, value


def _learn_name(raw_name: bytes, underscores: str) -> str:
    """Validate a header name and give its variable."""
    if _TOKEN.fullmatch(raw_name) is None:
        raise PeerError("malformed header name")
    text = raw_name.decode("ascii").upper()
    name = text.replace("-", "_")
    if name not in ("CONTENT_LENGTH", "CONTENT_TYPE"):
        name = "HTTP_" + name
    if "_" in text:
        if underscores == "refuse":
            raise PeerError("header name with an underscore")
        return "" if underscores == "drop" or name in UNDERSCORELESS else name
    if text == "PROXY":  # https://httpoxy.org: it would become HTTP_PROXY, which programs take for a setting
        name = ""
    if len(raw_name) <= LONGEST_NAME:
        if len(KNOWN_NAMES) >= MOST_NAMES:
            KNOWN_NAMES.clear()
        KNOWN_NAMES[raw_name] = name
    return name


def _check_singleton(name: str, value: str) -> None:
    if name == "HTTP_HOST":
        check_host(value)
    elif (
        name == "CONTENT_LENGTH" and not value.isdecimal()
    ):  # in latin-1, only 0-9 are decimal; isdigit() takes superscripts
        raise PeerError("Content-Length is not a number")


def join(lines: list[bytes], underscores: str) -> dict[str, str]:
    """The variables of a head in which something repeats or is dropped: the careful way.

    Repeats are joined with ", " (RFC 9110 5.3), cookies with "; " (RFC 9113 8.2.3); of a singleton they are refused. A
    name with an underscore gives way to the same name written with hyphens.
    """
    variables: dict[str, str] = {}
    guests: set[str] = set()
    for line in lines:
        name, value = KNOWN_LINES.get(line) or parse(line, underscores)
        if not name:
            continue
        guest = b"_" in line.partition(b":")[0]
        if name not in variables or (name in guests and not guest):
            variables[name] = value
            guests.discard(name)
            if guest:
                guests.add(name)
        elif guest and name not in guests:
            continue
        elif name in SINGLETONS:
            raise PeerError(f"more than one {name.removeprefix('HTTP_').replace('_', '-').title()}")
        else:
            variables[name] += ("; " if name == "HTTP_COOKIE" else ", ") + value
    return variables


def refuse_trailer(line: bytes) -> None:
    """Check a trailer line: it must be a valid field that says nothing of framing, routing or who the client is."""
    raw_name, colon, value = line.partition(b":")
    if not colon or _TOKEN.fullmatch(raw_name) is None or value.translate(_CLEAN) != value:
        raise PeerError("malformed trailer")
    if raw_name.decode("ascii").lower() in _TRAILERS_REFUSED:
        raise PeerError("trailer that belongs in the head")
