"""The PROXY header: its table, fed in every way, and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.errors import PeerError
from greenwsgi.wire import proxy_header
from tests.wire.cases.proxy_headers import CASES, INET, MORE, REST, ProxyCase, entry, header


def outcome(data: bytes, **limits: int) -> proxy_header.ProxyHeader | str:
    """What is said of these bytes; "" for a refusal."""
    try:
        return proxy_header.read(data, **limits) or MORE
    except PeerError:
        return ""


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(case: ProxyCase) -> None:
    """Whole, with the protocol's bytes behind it, and at every length up to that."""
    assert outcome(case.data, **case.limits) == case.result
    assert outcome(bytearray(case.data), **case.limits) == case.result  # type: ignore[arg-type]
    if case.result == MORE:
        return
    assert outcome(case.data + REST, **case.limits) == case.result
    seen = [outcome(case.data[:size], **case.limits) for size in range(len(case.data))]
    first = next((size for size, one in enumerate(seen) if one != MORE), len(case.data))
    assert set(seen[first:]) <= {case.result}  # once refused, always refused; and nothing is taken too early
    if isinstance(case.result, proxy_header.ProxyHeader):
        assert first == len(case.data) == case.result.consumed
        if case.variables is not None:
            assert case.result.variables() == case.variables


def test_the_table_is_large_and_its_names_unique() -> None:
    assert len(CASES) >= 60
    assert len({case.id for case in CASES}) == len(CASES)


def test_checksum() -> None:
    """The check value of CRC-32C and the examples of RFC 3720 B.4, whose bytes are in the other order."""
    assert proxy_header.crc32c(b"123456789") == 0xE3069283
    assert proxy_header.crc32c(bytes(32)) == 0x8A9136AA
    assert proxy_header.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert proxy_header.crc32c(bytes(range(32))) == 0x46DD794E


@given(st.binary(max_size=200), st.integers(0, 400))
def test_noise_behind_a_beginning_is_refused_or_waited_for(noise: bytes, cut: int) -> None:
    """Nothing but PeerError comes out, and never is more taken than is there."""
    for begin in (
        b"PROXY ",
        b"PROXY TCP4 ",
        proxy_header.SIGNATURE,
        proxy_header.SIGNATURE + b"\x21\x11",
        header(INET, noise)[:cut],
    ):
        found = outcome(begin + noise)
        assert not isinstance(found, proxy_header.ProxyHeader) or found.consumed <= len(begin + noise)


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 65535), st.integers(0, 65535))
def test_both_versions_say_the_same(source: object, destination: object, port: int, to: int) -> None:
    line = f"PROXY TCP4 {source} {destination} {port} {to}\r\n".encode()
    block = header(source.packed + destination.packed + port.to_bytes(2, "big") + to.to_bytes(2, "big"))  # type: ignore[attr-defined]
    one, two = proxy_header.read(line), proxy_header.read(block)
    assert one is not None
    assert two is not None
    assert (
        (one.source, one.destination) == (two.source, two.destination) == ((str(source), port), (str(destination), to))
    )


@given(st.lists(st.tuples(st.integers(0x40, 0xFF), st.binary(max_size=30)), max_size=9))
def test_entries_that_we_do_not_read_change_nothing(entries: list[tuple[int, bytes]]) -> None:
    found = proxy_header.read(header(INET, *(entry(*one) for one in entries)))
    assert found is not None
    assert (found.source, found.tls, found.authority) == (("192.0.2.7", 52044), None, "")
