"""Which protocol it is: every case of every table is told right, from however few bytes; nothing is claimed by two."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenwsgi.errors import PeerError
from greenwsgi.wire import protocol_sniffing
from greenwsgi.wire.proxy_header import ProxyHeader
from tests.wire.cases import proxy_headers
from tests.wire.driving import TABLES

REFUSED, MORE = "refused", "more"

TLS = [
    bytes.fromhex("16030100f8010000f40303"),  # TLS 1.2 and 1.3 begin so
    bytes.fromhex("1603030045010000410303"),
    bytes.fromhex("16030000610100005d0300"),  # SSL 3.0: told as TLS, which refuses it
    bytes.fromhex("160304"),
]


def tell(data: bytes, offered: tuple[str, ...] = tuple(protocol_sniffing.SIGNS)) -> str:
    try:
        return protocol_sniffing.tell(data, offered) or MORE
    except PeerError:
        return REFUSED


def first_packets() -> list[tuple[str, str, bytes]]:
    """(protocol, case, bytes): whatever is served, and begins with a byte that shows something."""
    found = [
        (protocol.removesuffix("-nph"), f"{protocol}:{case.id}", case.data)
        for protocol, cases in TABLES.items()
        for case in cases
        if case.data.strip(b"\r\n") and (case.requests or case.ending in ("kept", "closed"))
    ]
    found += [("proxy", case.id, case.data) for case in proxy_headers.CASES if isinstance(case.result, ProxyHeader)]
    return found + [("tls", f"tls-{number}", data) for number, data in enumerate(TLS)]


PACKETS = first_packets()


@pytest.mark.parametrize("protocol", protocol_sniffing.SIGNS)
def test_every_first_packet_is_told_right(protocol: str) -> None:
    """Whole, and by each of its prefixes: until it is told it is waited for, then it is told for ever."""
    packets = [(name, data) for spoken, name, data in PACKETS if spoken == protocol]
    assert packets or protocol not in TABLES
    for name, data in packets:
        told = [tell(data[:size]) for size in range(len(data[: protocol_sniffing.ENOUGH]) + 1)]
        assert tell(data) == told[-1] == protocol, name
        assert told == sorted(told, key=lambda one: one != MORE), name
        assert set(told) <= {MORE, protocol}, name
        assert tell(data, (protocol,)) == protocol, name


def test_what_is_not_offered_is_not_told() -> None:
    for protocol, name, data in PACKETS:
        others = tuple(one for one in protocol_sniffing.SIGNS if one != protocol)
        assert tell(data, others) != protocol, name


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", MORE),
        (b"\x09", "uwsgi"),
        (b"G", "http"),
        (b"get / HTTP/1.1", "http"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http"),
        (b"P", MORE),
        (b"PROX", MORE),
        (b"PROP", "http"),
        (b"PROXY ", MORE),
        (b"PROXY T", "proxy"),
        (b"PROXY U", "proxy"),
        (b"PROXY /", "http"),
        (b"PROXY http://h/ HTTP/1.1", "http"),
        (b"PROXY\r\n", REFUSED),
        (b"\r\n", MORE),
        (b"\r\n\r\n", MORE),
        (b"\r\n\r\n\0", "proxy"),
        (b"\r\nGET", "http"),
        (b"\r\n\r\n\r\n", "http"),
        (b"\n", REFUSED),
        (b"\x16", "tls"),
        (b"\x80\x2e\x01", REFUSED),  # SSL 2.0
        (b"\x00", "uwsgi"),
        (b"\x1e", "uwsgi"),
        (b"\x05", REFUSED),  # a uwsgi modifier that is not served
        (b"d", MORE),
        (b"d\0\0\0", "uwsgi"),  # a ping
        (b"de", MORE),
        (b"delete / HTTP/1.1\r\n", REFUSED),  # or a ping with a block of 27,749 bytes
        (b"\x01", "fastcgi"),
        (b"\x01\x01\0\x01\0\x08\0\0", "fastcgi"),
        (b"7", MORE),
        (b"70:", "scgi"),
        (b"70 ", "http"),  # a method of that name, which HTTP allows
        (b"0", "http"),
        (b"123456789", MORE),
        (b"1234567890", "http"),
        (b"\xff", REFUSED),
        (b" GET", REFUSED),
        (b"SSH-2.0-x\r\n", "http"),  # refused there
    ],
)
def test_table(data: bytes, told: str) -> None:
    assert tell(data) == told


def test_nothing_is_claimed_by_two() -> None:
    """Every beginning of up to two bytes, and three of those left open: who is told is the only one that could be."""
    bytes_ = [bytes((number,)) for number in range(256)]
    opened = [b""]
    for _ in range(3):
        opened = [begin + byte for begin in opened for byte in bytes_]
        for data in opened:
            told = tell(data)
            claims = [name for name, may_be in protocol_sniffing.SIGNS.items() if may_be(data)]
            if told == MORE:
                assert len(claims) > 1
            else:
                assert len(claims) <= 1
                assert told in (claims or [REFUSED])
        opened = [data for data in opened if tell(data) == MORE]
    assert 0 < len(opened) < 20_000


BEGINS = st.sampled_from([data[:24] for _, _, data in PACKETS] + [b"PROXY ", b"\r\n\r\n", b"d", b"1", b"99999"])


@given(st.one_of(BEGINS, st.binary(max_size=24)), st.binary(max_size=24), st.integers(0, 24))
@example(b"delete / HTTP/1.1", b"", 24)
def test_more_bytes_never_change_an_answer(begin: bytes, noise: bytes, cut: int) -> None:
    """Once told or refused, that stands; a signature is prefix-closed; ENOUGH bytes always decide."""
    data = begin[:cut] + noise
    answers = [tell(data[:size]) for size in range(len(data) + 1)]
    decided = list(itertools.dropwhile(lambda one: one == MORE, answers))
    assert len(set(decided)) <= 1
    assert len(data) < protocol_sniffing.ENOUGH or decided
    for may_be in protocol_sniffing.SIGNS.values():
        claims = [may_be(data[:size]) for size in range(len(data) + 1)]
        assert claims == sorted(claims, reverse=True)


@given(st.binary(max_size=20), st.sets(st.sampled_from(list(protocol_sniffing.SIGNS)), min_size=1))
def test_fewer_offered_never_tell_another(data: bytes, offered: set[str]) -> None:
    """With fewer on offer what was told stays told, if it is still there."""
    told = tell(data)
    if told in offered:
        assert tell(data, tuple(offered)) == told
