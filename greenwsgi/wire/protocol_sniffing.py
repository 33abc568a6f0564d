"""Which protocol is this? The first bytes of a connection tell (option auto-socket).

Each protocol has one predicate: may these bytes be the beginning of one of its connections? Told is who alone remains.
A handful of bytes is enough: uwsgi begins with its modifier (0, 9, 30, 100), FastCGI with its version (1), TLS with a
handshake record (22, 3), SCGI with a netstring's size, HTTP with a method, PROXY with its own line or signature.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from greenwsgi.errors import PeerError
from greenwsgi.wire import proxy_header
from greenwsgi.wire.uwsgi import CGI, PING, WSGI, WSGI_UNDER_SCRIPT_NAME

ENOUGH = 16
"""No protocol needs more: what these bytes leave open stays open."""

_SCGI = re.compile(rb"[1-9][0-9]{0,8}(?::.*)?", re.DOTALL)
_HTTP = re.compile(rb"(?:\r\n)*(?:\r|(?!PROXY [TU])[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?: .*)?)?", re.DOTALL)
"""Empty lines, a method, a space, anything (RFC 9112 2.2 and 3): not what version 1 of PROXY begins with."""

_UWSGI = frozenset({WSGI, CGI, WSGI_UNDER_SCRIPT_NAME, PING})
_V1 = (proxy_header.V1 + b"TCP", proxy_header.V1 + b"UNKNOWN")


def _begins(data: bytes, text: bytes) -> bool:
    """May `data`, perhaps with more behind it, begin with `text`?"""
    return data.startswith(text) or text.startswith(data)


def may_be_proxy(data: bytes) -> bool:
    """The line of version 1, or the signature of version 2."""
    return any(_begins(data, text) for text in (proxy_header.SIGNATURE, *_V1))


def may_be_tls(data: bytes) -> bool:
    """A record of a handshake, of any version since SSL 3.0 (RFC 8446 5.1)."""
    return _begins(data, b"\x16\x03")


def may_be_uwsgi(data: bytes) -> bool:
    """A packet with a modifier that may be served here."""
    return not data or data[0] in _UWSGI


def may_be_fastcgi(data: bytes) -> bool:
    """A record of version 1."""
    return _begins(data, b"\x01")


def may_be_scgi(data: bytes) -> bool:
    """The size of a netstring, and a colon."""
    return not data or _SCGI.fullmatch(data) is not None


def may_be_http(data: bytes) -> bool:
    """A request line, perhaps behind empty lines."""
    return _HTTP.fullmatch(data) is not None


SIGNS: dict[str, Callable[[bytes], bool]] = {
    "proxy": may_be_proxy,
    "tls": may_be_tls,
    "uwsgi": may_be_uwsgi,
    "fastcgi": may_be_fastcgi,
    "scgi": may_be_scgi,
    "http": may_be_http,
}
"""By the name of what is spoken: may a connection of it begin with these bytes? True for none at all."""

_BY_FIRST_BYTE = [[name for name, may_be in SIGNS.items() if may_be(bytes((byte,)))] for byte in range(256)]


def tell(data: bytes | bytearray, offered: Collection[str] = tuple(SIGNS)) -> str | None:
    """What is spoken by a peer whose first bytes these are: a name of SIGNS, or None when more bytes are needed.

    data: everything received so far; only the first ENOUGH bytes are looked at, and none is used up: all of them go on
    to the protocol. offered: the names that the socket serves; others are not told. Raises PeerError when it can be
    none of them, or may be several whatever still comes. A caller that reads on only after None holds ENOUGH bytes.
    Behind a "proxy" header the question is asked again, of the rest and without "proxy".
    """
    if not data:
        return None
    left = [name for name in _BY_FIRST_BYTE[data[0]] if name in offered]
    size = 1
    while len(left) > 1:  # byte by byte, so that it does not matter how they came
        size += 1
        if size > ENOUGH:
            raise PeerError(f"the first bytes may be of {' and '.join(left)}")
        if size > len(data):
            return None
        first = bytes(data[:size])
        left = [name for name in left if SIGNS[name](first)]
    if not left:
        raise PeerError(f"the first bytes are of no protocol that is served here ({', '.join(offered)})")
    return left[0]
