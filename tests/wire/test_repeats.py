"""A connection knows the fields of its last head again: that must never change what a request is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.wire.driving import TABLES, drive, fingerprint, make

LINES = [
    b"GET /a HTTP/1.1", b"GET /b?x=1 HTTP/1.1", b"HEAD /a HTTP/1.1", b"GET /a HTTP/1.0", b"OPTIONS * HTTP/1.1",
    b"GET http://other.example/a HTTP/1.1", b"GET /a HTTP/2.0", b"BAD", b"GET /\x01 HTTP/1.1",
    b"GET /" + b"x" * 9000 + b" HTTP/1.1",
]  # fmt: skip
FIELDS = [
    b"Host: x", b"Host: x\r\nCookie: a=b", b"Host: x\r\nConnection: close", b"Host: x\r\nConnection: keep-alive",
    b"Host: x\r\nExpect: 100-continue", b"Host: x\r\nContent-Length: 0", b"Accept: */*", b"Host: x\r\nAuthorization: y",
]  # fmt: skip


def head(line: bytes, fields: bytes) -> bytes:
    return line + b"\r\n" + fields + b"\r\n\r\n"


@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(FIELDS)), min_size=1, max_size=6))
def test_one_connection_sees_what_fresh_ones_see(requests: list[tuple[bytes, bytes]]) -> None:
    """Requests that come one by one on one connection, against each on a connection of its own."""
    heads = [head(*request) for request in requests]
    together = drive(make("http"), heads)
    for count, one in enumerate(heads):
        alone = drive(make("http"), [one])
        if count < len(together.requests):
            assert alone.requests == [together.requests[count]]
        if count == len(together.requests) and together.ending != "closed":
            assert fingerprint(alone)[1:] == fingerprint(together)[1:]
            break


def test_every_case_means_the_same_behind_a_request_with_the_same_fields() -> None:
    """Each case of the table on a connection that has just had its very fields with another request line."""
    tried = 0
    for case in TABLES["http"]:
        _, found, rest = case.data.partition(b"\r\n")
        fields, end, _ = rest.partition(b"\r\n\r\n")
        first = b"GET /first HTTP/1.1" + found + fields + end
        alone = drive(make("http"), [first])
        if not end or alone.ending != "kept" or not alone.requests or len(alone.requests) > 1:
            continue
        tried += 1
        behind, fresh = drive(make("http"), [first, case.data]), drive(make("http"), [case.data])
        assert behind.requests[1:] == fresh.requests, case.id
        assert (behind.ending, behind.status) == (fresh.ending, fresh.status), case.id
    assert tried > 50
