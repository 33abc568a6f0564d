"""Drive a protocol as a server does, with an application that reads every body whole and answers `ok`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.wire import fastcgi_pairs, header_fields, request_line, scgi, uwsgi
from greenwsgi.wire.protocol import Reply, RequestHead, WireLimits, WireProtocol
from greenwsgi.wire.registry import PROTOCOLS
from tests.wire.cases import (
    CLOSED,
    GONE,
    KEPT,
    REFUSED,
    Case,
    fastcgi_records,
    http_bodies,
    http_heads,
    scgi_requests,
    uwsgi_packets,
)

TABLES: dict[str, list[Case]] = {
    "http": [*http_heads.CASES, *http_bodies.CASES],
    "uwsgi": uwsgi_packets.CASES,
    "fastcgi": fastcgi_records.CASES,
    "fastcgi-nph": fastcgi_records.NPH,
    "scgi": scgi_requests.CASES,
    "scgi-nph": scgi_requests.NPH,
}
"""Every protocol's cases."""

ANSWERED = re.compile(rb"(?:HTTP/1\.[01]|Status:) (\d{3}) ")
"""The status of an answer, however its protocol says it."""

DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"


@dataclass
class Outcome:
    """What happened on a connection. requests: (variables, body or None). sent: all that we sent.

    replies: what of it the protocol said by itself.
    """

    requests: list[tuple[dict[str, str], bytes | None]] = field(default_factory=list)
    ending: str = ""
    status: int = 0
    sent: bytes = b""
    replies: bytes = b""


def fingerprint(outcome: Outcome) -> tuple[object, ...]:
    """What must not depend on how the bytes were split."""
    return outcome.requests, outcome.ending, outcome.status, outcome.replies


def make(protocol: str, **limits: Any) -> WireProtocol:
    """A fresh connection's protocol."""
    return PROTOCOLS[protocol].factory(WireLimits(**limits))


def drive(wire: WireProtocol, pieces: Iterable[bytes]) -> Outcome:
    """Feed the pieces, then the end of what the peer sends; serve what comes."""
    outcome = Outcome()
    feed = iter([*pieces, b""])
    parts: list[bytes] | None = None  # of the body that is being read; None: between requests
    while True:
        try:
            event = wire.next_event()
        except (PeerError, PeerGone) as error:
            if parts is not None:
                outcome.requests[-1] = (outcome.requests[-1][0], None)
            if isinstance(error, PeerGone):
                outcome.ending = GONE
            else:
                outcome.ending, outcome.status = REFUSED, error.status
                outcome.sent += wire.refuse(error.status, error.text, DATE) + wire.parting()
            return outcome
        if event is None:
            if wire.at_eof:
                assert wire.idle
                outcome.ending = KEPT
                return outcome
            wire.receive_data(next(feed))
        elif isinstance(event, Reply):
            outcome.sent += event.data
            outcome.replies += event.data
        elif isinstance(event, RequestHead):
            assert parts is None
            outcome.requests.append((event.vars, b""))
            outcome.sent += wire.interim()
            parts = []
        elif isinstance(event, bytes):
            assert parts is not None
            assert event
            parts.append(event)
        elif parts is None:  # the end, behind a reply
            assert outcome.replies
            assert wire.body_done
            assert not wire.reusable
            outcome.ending = CLOSED
            return outcome
        else:
            assert wire.body_done
            outcome.requests[-1] = (outcome.requests[-1][0], b"".join(parts))
            parts = None
            outcome.sent += (
                wire.head("200 OK", [("Content-Length", "2")], -1, DATE, True) + wire.chunk(b"ok") + wire.end()
            )
            if not wire.reusable:
                outcome.ending = CLOSED
                return outcome
            wire.next_request()


def forget() -> None:
    """Empty the tables of what was seen lately, so that nothing takes the quick way."""
    for table in (
        header_fields.KNOWN_LINES,
        header_fields.KNOWN_NAMES,
        request_line.KNOWN_REQUESTS,
        uwsgi.KNOWN_NAMES,
        uwsgi.LAYOUTS,
    ):
        table.clear()
    for other in (scgi.KNOWN_NAMES, fastcgi_pairs.KNOWN_NAMES, fastcgi_pairs.LAYOUTS):
        other.clear()


def splits(data: bytes) -> dict[str, list[bytes]]:
    """The ways in which a case is fed."""
    ways = {
        "whole": [data],
        "at every CRLF": re.split(rb"(?<=\n)", data),
        "two halves": [data[: len(data) // 2], data[len(data) // 2 :]],
    }
    if len(data) <= 4096:
        ways["byte by byte"] = [data[i : i + 1] for i in range(len(data))]
    return {name: [piece for piece in pieces if piece] for name, pieces in ways.items()}
