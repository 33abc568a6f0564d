"""Throw mutated cases at a parser.

    python -m tests.wire.fuzz --protocol http --seconds 10
    python -m tests.wire.fuzz --protocol uwsgi --inputs 10000000 --seed 7

Seeded with the case tables. Whatever comes in, nothing but PeerError and PeerGone may come out, no variable may hold
what the grammar forbids, nothing may be remembered without bound, and how the bytes were split may change nothing.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import sys
import time
from collections import Counter

from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.wire import (
    cgi_connection,
    fastcgi_pairs,
    header_fields,
    http1,
    protocol_sniffing,
    proxy_header,
    request_line,
    response_head,
    scgi,
    uwsgi,
    variable_layouts,
)
from greenwsgi.wire.protocol import END, RequestHead, WireLimits
from greenwsgi.wire.registry import PROTOCOLS
from tests.wire.cases import proxy_headers
from tests.wire.driving import DATE, TABLES, drive, fingerprint

LIMITS = [
    WireLimits(),
    WireLimits(head=200, request_line=60, headers=6, body=50, chunk_line=20, trailers=30),
    WireLimits(underscores="keep"),
    WireLimits(underscores="refuse", body=1000),
]
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "2")]
LARGE = 1500
EVERY = 64  # one input in so many is looked at closely
MOST_REQUESTS = 64

TOKENS = {
    "http": rb"""\r\n|\r\n\r\n|\n|\r|\0|\t| |:|: |,|;|_|%|%2e|/..|#|?|\xff|\xa0|\x85|\x7f|0|5|ffffffffffffffff|+5|0x5
        |chunked|gzip, |HTTP/1.0|HTTP/1.1|HTTP/2.0|Content-Length: 5\r\n|Content-Length: 0\r\n
        |Transfer-Encoding: chunked\r\n|Host: h\r\n|Host: \r\n|Connection: close\r\n|Connection: keep-alive\r\n
        |Expect: 100-continue\r\n|Cookie: a=b\r\n|X_Y: z\r\n|0\r\n\r\n|5\r\nhello\r\n
        |GET / HTTP/1.1\r\nHost: h\r\n\r\n|POST http://h/ HTTP/1.1\r\n""",
    "uwsgi": rb"""\0|\0\0|\xff|\xff\xff|\x01|\0\x01|\n|\r|\x1e|hello|\x64\0\0\0|\x0e\0CONTENT_LENGTH\x01\0005
        |\x09\0HTTP_HOST\x01\0h|\x0e\0CONTENT_LENGTH\0\0|\x0a\0UWSGI_FILE\x01\0x|\x09\0PATH_INFO\x01\0/
        |\x0e\0REQUEST_METHOD\x04\0POST""",
    "scgi": rb"""\0|\0\0|:|,|;|\n|\r|0|9|999999999|\xff|hello|HTTP_X\0y\0|CONTENT_LENGTH\x005\0|SCGI\x001\0|0:,
        |HTTP_HOST\0h\0|UWSGI_FILE\0x\0|wsgi.input\0x\0|REQUEST_METHOD\0POST\0|DOCUMENT_URI\0/a\0
        |24:CONTENT_LENGTH\x000\0SCGI\x001\0,""",
    "proxy": rb"""\0|\r\n|\n|\r| |PROXY |TCP4 |TCP6 |UNKNOWN|::1|127.0.0.1|65535|65536|\x21\x11\0\x0c|\x20|\x31|\xff
        |\x04\0\0|\x03\0\x04|\x20\0\x05\x07\0\0\0\0|\x02\0\x01a|\x05\0\x02id|\x22\0\x01x""",
    "sniff": rb"""\0|\x01|\x16\x03\x01|\x1e|d|\r\n|\r|\n|PROXY |PROXY T|7:|70|12345|GET |POST / |:| |/|\xff""",
}
TOKENS["fastcgi"] = rb"""\0|\0\0|\x01|\x80|\xff|\x7f|\x7f\xff\xff\xff|\x80\0\0\5|\n|hello|\x01\x01\0\x01\0\x08\0\0
        |\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0|\x01\x01\0\2\0\x08\0\0\0\x01\x01\0\0\0\0\0|\x01\2\0\x01\0\0\0\0
        |\x01\4\0\x01\0\0\0\0|\x01\5\0\x01\0\0\0\0|\x01\5\0\x01\0\5\0\0hello|\x01\5\0\2\0\5\0\0hello|\x01\x09\0\0\0\0\0\0
        |\x01\x09\0\0\0\x0f\0\0\x0d\0FCGI_MAX_REQS|\x01\x0c\0\0\0\0\3\0abc|\x0e\1CONTENT_LENGTH5|\x09\1HTTP_HOSTh
        |\x0a\1UWSGI_FILEx|\x0e\4REQUEST_METHODPOST|\x01\4\0\1\0\x10\0\0\x0e\0CONTENT_LENGTH"""
TOKENS["fastcgi-nph"] = TOKENS["fastcgi"]
TOKENS["scgi-nph"] = TOKENS["scgi"]
"""What is put in, between bars, with Python's escapes."""

Seeds = tuple[set[bytes], set[bytes]]
"""The inputs that are mutated: all of them, and those that are served."""

SEEDS: dict[str, Seeds] = {
    protocol: ({case.data for case in cases}, {case.data for case in cases if not case.status and case.data})
    for protocol, cases in TABLES.items()
}
SEEDS["proxy"] = (
    {case.data for case in proxy_headers.CASES},
    {case.data for case in proxy_headers.CASES if isinstance(case.result, proxy_header.ProxyHeader)},
)
SEEDS["sniff"] = (
    {data[:40] for every, _ in SEEDS.values() for data in every},
    {data[:40] for _, good in SEEDS.values() for data in good},
)


def tokens(protocol: str) -> list[bytes]:
    """The tokens of a protocol as bytes."""
    text = TOKENS[protocol].decode("ascii").replace("\n        ", "")
    return [token.encode("ascii").decode("unicode_escape").encode("latin-1") for token in text.split("|")]


def mend_uwsgi(data: bytes, plain: bool) -> bytes:
    """The same with the right block size, and perhaps modifier 0."""
    if len(data) <= 4:
        return data
    size = min(len(data) - 4, 65535)
    return (b"\0" if plain else data[:1]) + size.to_bytes(2, "little") + data[3:]


def mend_scgi(data: bytes, plain: bool) -> bytes:
    """The same with the right size in front of what ends with NUL and comma; or all of it, with a comma behind."""
    _, _, rest = data.partition(b":")
    end = rest.rfind(b"\0,") + 1
    if plain and end:
        return b"%d:%b" % (end, rest)
    return b"%d:%b," % (len(rest), rest)


def mend_proxy(data: bytes, plain: bool) -> bytes:
    """The same with the right length and checksum, where it looks like version 2."""
    size = len(data) - proxy_header.V2_FIXED
    if not data.startswith(proxy_header.SIGNATURE) or not 0 <= size <= 65535:
        return data
    data = data[:14] + size.to_bytes(2, "big") + data[16:]
    if plain and data[-7:-4] == b"\x03\0\x04":
        data = data[:-4] + proxy_header.crc32c(data[:-4] + bytes(4)).to_bytes(4, "big")
    return data


_RECORD = re.compile(rb"\x01(?:\x01\0[\0-\x09].{12}|[\x02-\x0c]\0[\0-\x09].{4})", re.DOTALL)
"""What looks like the header of a record; of a BEGIN_REQUEST all of it, for its content looks like a header too."""


def mend_fastcgi(data: bytes, plain: bool) -> bytes:
    """The same with each record as long as it is up to where the next one seems to begin; or the first of them only."""
    starts = [match.start() for match in _RECORD.finditer(data)]
    if not starts:
        return data
    pieces = [data[: starts[0]]]
    for start, stop in zip(starts, [*starts[1:], len(data)], strict=True):
        content = data[start + 8 : stop]
        if data[start + 1] == 1:  # BEGIN_REQUEST
            content = (content + b"\0\x01\x01\0\0\0\0\0"[len(content) :])[:8]
        padding = 0 if data[start + 1] == 1 else min(data[start + 6] if start + 6 < stop else 0, len(content))
        size = min(len(content) - padding, 65535)
        pieces.append(data[start : start + 4] + size.to_bytes(2, "big") + bytes((padding, 0)) + content)
        if not plain:
            pieces.append(data[stop:])
            break
    return b"".join(pieces)


MENDERS = {
    "uwsgi": mend_uwsgi,
    "fastcgi": mend_fastcgi,
    "fastcgi-nph": mend_fastcgi,
    "scgi": mend_scgi,
    "scgi-nph": mend_scgi,
    "proxy": mend_proxy,
}
"""What makes a mutated input's size right again, or nothing would get past it."""


class Mutator:
    """Makes inputs of the cases: spliced, cut, repeated, flipped, with tokens put in. Deterministic by its seed."""

    def __init__(self, protocol: str, seed: int) -> None:
        every, good = map(sorted, SEEDS[protocol])
        self._small = [item for item in every if len(item) <= LARGE]
        self._good = [item for item in good if len(item) <= LARGE]
        self._large = [item for item in every if len(item) > LARGE]
        self._tokens = tokens(protocol)
        self._mend = MENDERS.get(protocol)
        self._random = random.Random(seed).random

    def next(self) -> bytes:
        """The next input."""
        rand = self._random
        if rand() < 0.002 and self._large:
            data = self._large[int(rand() * len(self._large))]
        else:
            pool = self._good if rand() < 0.6 else self._small
            data = pool[int(rand() * len(pool))]
        for _ in range(1 + int(rand() * 3)):
            data = self._mutate(data)
        if self._mend is not None and rand() < 0.7:
            data = self._mend(data, rand() < 0.9)
        return data

    def _mutate(self, data: bytes) -> bytes:
        rand = self._random
        size = len(data)
        at = int(rand() * (size + 1))
        kind = int(rand() * 8)
        if kind <= 2:
            return data[:at] + self._tokens[int(rand() * len(self._tokens))] + data[at:]
        if kind == 3:
            return data[:at] + bytes((int(rand() * 256),)) + data[at + 1 :]
        if kind == 4:
            return data[:at] + data[at + 1 + int(rand() * 8) :]
        if kind == 5:
            return data[:at] + data[max(0, at - int(rand() * 40)) :]
        if kind == 6:
            other = self._small[int(rand() * len(self._small))]
            return data[:at] + other[int(rand() * len(other)) :]
        return data[:at]

    def pieces(self, data: bytes) -> list[bytes]:
        """The input as it arrives: mostly whole, else in two or three."""
        rand = self._random
        if rand() < 0.75 or len(data) < 2:
            return [data, b""] if data else [b""]
        cuts = sorted({1 + int(rand() * (len(data) - 1)) for _ in range(2)})
        return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)] + [b""]


def ask_proxy(data: bytes) -> str:
    """Read a PROXY header; what became of it."""
    try:
        found = proxy_header.read(data)
    except PeerError:
        return "refused"
    if found is None:
        assert len(data) < proxy_header.V2_MOST, "too much is waited for"
        return "more"
    assert found.consumed <= len(data), "more than is here"
    for name, value in found.variables().items():
        assert value.isprintable() or not value.isascii(), (name, value)
    return "local" if found.source is None else "told"


def ask_sniff(data: bytes) -> str:
    """Tell the protocol; what became of it."""
    try:
        told = protocol_sniffing.tell(data)
    except PeerError:
        return "refused"
    assert told or len(data) < protocol_sniffing.ENOUGH, "too much is waited for"
    return told or "more"


QUESTIONS = {"proxy": ask_proxy, "sniff": ask_sniff}
"""What is asked of all bytes so far instead of being fed: one function each."""


def inquire(protocol: str, pieces: list[bytes]) -> str:
    """Ask after each piece; once there is an answer it stands."""
    ask, data, found = QUESTIONS[protocol], b"", "more"
    for piece in pieces:
        data += piece
        before, found = found, ask(data)
        assert before in ("more", found), f"{before}, then {found}"
    return found


def exercise(protocol: str, limits: WireLimits, pieces: list[bytes]) -> str:
    """Serve one connection, quickly; what became of it."""
    if protocol in QUESTIONS:
        return inquire(protocol, pieces)
    wire = PROTOCOLS[protocol].factory(limits)
    served = 0
    try:
        for piece in pieces:
            wire.receive_data(piece)
            while (event := wire.next_event()) is not None:
                if event is END:
                    if not served:
                        return "closed"  # behind a reply
                    wire.head("200 OK", HEADERS, -1, DATE, True)
                    wire.end()
                    if not wire.reusable or served > MOST_REQUESTS:
                        return "closed"
                    wire.next_request()
                elif type(event) is RequestHead:
                    served += 1
    except PeerError as error:
        return str(error.status)
    except PeerGone:
        return "gone"
    return "kept"


def look_closely(protocol: str, limits: WireLimits, data: bytes, pieces: list[bytes]) -> None:
    """The slow checks: what variables hold, and that neither splits nor memory change the outcome."""
    if protocol in QUESTIONS:
        inquire(protocol, [data[at : at + 1] for at in range(len(data))])
        return
    whole = drive(PROTOCOLS[protocol].factory(limits), [data])
    for variables, _ in whole.requests:
        for name, value in variables.items():
            assert name, "a variable without a name"
            assert "\0" not in value, (name, value)
            assert name in cgi_connection.PATHS or not {"\r", "\n"} & set(value), (name, value)
    assert fingerprint(drive(PROTOCOLS[protocol].factory(limits), pieces[:-1])) == fingerprint(whole), "splits matter"


def check_tables() -> None:
    """Nothing grows without bound."""
    for table, most in (
        (header_fields.KNOWN_LINES, header_fields.MOST_LINES),
        (header_fields.KNOWN_NAMES, header_fields.MOST_NAMES),
        (request_line.KNOWN_REQUESTS, request_line.MOST_REQUESTS),
        (uwsgi.KNOWN_NAMES, uwsgi.MOST_NAMES),
        (uwsgi.LAYOUTS, variable_layouts.MOST_LAYOUTS),
        (fastcgi_pairs.KNOWN_NAMES, fastcgi_pairs.MOST_NAMES),
        (fastcgi_pairs.LAYOUTS, variable_layouts.MOST_LAYOUTS),
        (scgi.KNOWN_NAMES, scgi.MOST_NAMES),
        (http1.known_connections, http1.MOST_CONNECTIONS),
        (response_head.known_names, response_head.MOST),
        (response_head.known_statuses, response_head.MOST),
    ):
        assert len(table) <= most


def fuzz(protocol: str, seed: int, inputs: int = 0, seconds: float = 0.0) -> Counter[str]:
    """Run that many inputs, or that long. Raises whatever should not have come out, with the input as a note."""
    mutator = Mutator(protocol, seed)
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + seconds
    number = 0
    while number < inputs if inputs else time.monotonic() < until:
        number += 1
        data = mutator.next()
        pieces = mutator.pieces(data)
        limits = LIMITS[number & 3]
        try:
            outcomes[exercise(protocol, limits, pieces)] += 1
            if number % EVERY == 0:
                look_closely(protocol, limits, data, pieces)
                check_tables()
        except Exception as error:
            error.add_note(f"{protocol}, seed {seed}, input {number}: {limits} {pieces}")
            raise
    return outcomes


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", choices=[*SEEDS], required=True)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--inputs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    outcomes = fuzz(given.protocol, given.seed, given.inputs, given.seconds)
    took = time.monotonic() - begun
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    total = outcomes.total()
    print(f"{given.protocol}: {total} inputs in {took:.1f} s, {total / took:.0f} a second, seed {given.seed}")
    print(f"  outcomes: {', '.join(f'{name} {count}' for name, count in outcomes.most_common())}")
    print(f"  nothing but PeerError and PeerGone came out; memory grew by {grown} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
