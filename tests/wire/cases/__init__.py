"""Tables of bytes and their right answers: plain data, so that they run against the parsers and against a live server.

A case is what a client sends on one connection, and then (unless it waits) the end of what it sends. The application is
taken to read every body whole and to answer 200 with a Content-Length of 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

KEPT, CLOSED, REFUSED, GONE = "kept", "closed", "refused", "gone"
"""How a connection ends: it could carry more; closed after its answer; refused; the peer left in the middle."""


@dataclass(frozen=True)
class Seen:
    """A request that reaches the application: some of its variables, names that must be missing, its body.

    body None: reading it fails.
    """

    vars: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    body: bytes | None = b""


@dataclass(frozen=True)
class Case:
    """id: unique in its protocol. requests: what reaches the application, in order. status: of the refusal, or 0.

    answered: the refusal can be said to somebody. replies: what the protocol answers by itself.
    """

    id: str
    data: bytes
    requests: tuple[Seen, ...] = ()
    ending: str = KEPT
    status: int = 0
    limits: dict[str, Any] = field(default_factory=dict)
    answered: bool = True
    replies: bytes = b""


def seen(vars: dict[str, str] | None = None, body: bytes | None = b"", absent: Iterable[str] = ()) -> Seen:
    """A request that reaches the application."""
    return Seen(vars or {}, tuple(absent), body)


def kept(id: str, data: bytes, *requests: Seen, **limits: Any) -> Case:
    """Served, and the connection can carry another request."""
    return Case(id, data, requests or (seen(),), KEPT, 0, limits)


def closed(id: str, data: bytes, *requests: Seen, **limits: Any) -> Case:
    """Served, then closed by us."""
    return Case(id, data, requests or (seen(),), CLOSED, 0, limits)


def refused(id: str, status: int, data: bytes, *requests: Seen, **limits: Any) -> Case:
    """Refused, after `requests` were served."""
    return Case(id, data, requests, REFUSED, status, limits)


def gone(id: str, data: bytes, *requests: Seen, **limits: Any) -> Case:
    """The peer leaves before its request is whole."""
    return Case(id, data, requests, GONE, 0, limits)
