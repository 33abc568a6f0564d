"""The head of an HTTP/1.1 answer (RFC 9112 4, RFC 9110 6.6).

Hot path, budget 1.5 us for three headers. Status lines, what a header name means to us, and the closing lines (Date,
Server) are looked up in bounded tables instead of being made again.
"""

from __future__ import annotations

from collections.abc import Iterable

DATE, SERVER, LENGTH, CLOSE, UPGRADE, DROP = 1, 2, 4, 8, 16, 32
"""What an application's header means to us. Those above LENGTH are written only if `passes` says so."""

BODY, NO_BODY, NO_LENGTH, SWITCHING = range(4)
"""What a status says of a body: may be; none (304); none and no Content-Length (1xx, 204); another protocol (101)."""

_MEANINGS = {
    "date": DATE,
    "server": SERVER,
    "content-length": LENGTH,
    "connection": CLOSE,
    "upgrade": UPGRADE,
    # Ours to say, or hop-by-hop and so not the application's (PEP 3333 "Other HTTP Features").
    "transfer-encoding": DROP,
    "keep-alive": DROP,
    "proxy-connection": DROP,
}

MOST = 512
MOST_DATES = 8
known_names: dict[str, int] = {}
known_statuses: dict[str, tuple[str, int]] = {}
known_closings: dict[bytes, bytes] = {}


def meaning(name: str) -> int:
    """What a header name means, remembered."""
    if len(known_names) >= MOST:
        known_names.clear()
    known = known_names[name] = _MEANINGS.get(name.lower(), 0)
    return known


def status(text: str) -> tuple[str, int]:
    """(status line, what it says of a body), remembered."""
    code = text[:3]
    if code == "101":
        body = SWITCHING
    elif code == "204" or code[:1] == "1":
        body = NO_LENGTH
    else:
        body = NO_BODY if code == "304" else BODY
    if len(known_statuses) >= MOST:
        known_statuses.clear()
    known = known_statuses[text] = (f"HTTP/1.1 {text}\r\n", body)
    return known


def closing(date: bytes) -> bytes:
    """Date, Server and the empty line, remembered while that second lasts."""
    if len(known_closings) >= MOST_DATES:
        known_closings.clear()
    known = known_closings[date] = b"Date: %b\r\nServer: greenwsgi\r\n\r\n" % date
    return known


def partial_closing(seen: int, date: bytes) -> bytes:
    """The same for an application that gave Date or Server itself."""
    lines = b"" if seen & DATE else b"Date: %b\r\n" % date
    return lines + (b"\r\n" if seen & SERVER else b"Server: greenwsgi\r\n\r\n")


def passes(kind: int, body: int, code: str) -> bool:
    """Whether a header of that meaning is written: a few are ours to say, or have no place in such an answer."""
    if kind == LENGTH:
        return body in (BODY, NO_BODY)
    if kind == CLOSE:
        return body == SWITCHING
    if kind == UPGRADE:
        return body == SWITCHING or code.startswith("426")
    return kind != DROP


def plain(first: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A head just as it is given: first line, header lines, empty line."""
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    return f"{first}\r\n{''.join(lines)}\r\n".encode("latin-1")


def refusal(first: str, text: str, extra: Iterable[tuple[str, str]], bodiless: bool = False) -> bytes:
    """A whole small text answer that says what was wrong."""
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *extra]
    return plain(first, headers) + (b"" if bodiless else body)
