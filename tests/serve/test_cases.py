"""The wire's tables over real sockets: what a client of the whole worker sees, and what reaches the application."""

from __future__ import annotations

from typing import Any

import pytest
from gevent import socket

from greenwsgi.serve.connection import TLS_HANDSHAKE
from greenwsgi.wire.protocol import WireLimits
from tests.serve.conftest import Make
from tests.serve.site import read_all, settle
from tests.wire.cases import GONE, REFUSED, Case
from tests.wire.driving import ANSWERED, TABLES

ALL = [pytest.param(protocol, case, id=f"{protocol}:{case.id}") for protocol, cases in TABLES.items() for case in cases]


class Reader:
    """Reads every body whole and answers `ok`, as the tables take it; notes what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, Any], bytes | None]] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.seen.append((environ, None))
        self.seen[-1] = (environ, environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


@pytest.mark.parametrize(("protocol", "case"), ALL)
def test_case(make: Make, protocol: str, case: Case) -> None:
    reader = Reader()
    site = make(reader, protocol=protocol)
    site.change(wire=WireLimits(**case.limits))
    with site.connect(case.data) as client:
        client.shutdown(socket.SHUT_WR)
        said = read_all(client)
    settle()
    assert [body for _, body in reader.seen] == [expected.body for expected in case.requests]
    for (environ, _), expected in zip(reader.seen, case.requests, strict=True):
        assert {name: environ.get(name) for name in expected.vars} == expected.vars
    statuses = [int(status) for status in ANSWERED.findall(said) if status != b"100"]
    served = [200 for _, body in reader.seen if body is not None]
    if case.data[:1] == bytes([TLS_HANDSHAKE]):  # who speaks TLS cannot read an answer without it
        assert statuses == []
        assert "TLS is spoken on a socket without it" in site.log
    elif case.ending == REFUSED:
        assert statuses == [*served, *([case.status] if case.answered else [])]
        assert "Traceback" not in site.log
    elif case.ending == GONE:
        assert statuses in (served, [*served, 400])
    else:
        assert statuses == served
    assert not site.service.connections
    assert len(site.service.slots.free) == 10
