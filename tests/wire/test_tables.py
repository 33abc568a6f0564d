"""What is remembered is bounded: a client that never repeats itself fills no memory, and is answered as well."""

from __future__ import annotations

from greenwsgi.wire import header_fields, http1, request_line, response_head, uwsgi
from greenwsgi.wire.protocol import RequestHead
from tests.wire.cases.uwsgi_packets import GET, block
from tests.wire.driving import DATE, make
from tests.wire.fuzz import check_tables

MANY = 2500


def test_tables_of_http_are_bounded() -> None:
    """New request lines, header names, header lines and Connection values, again and again."""
    wire = make("http")
    for number in range(MANY):
        lines = [
            f"GET /{number} HTTP/1.1",
            "Host: h",
            f"X-{number}: {number}",
            f"Connection: keep-alive, x{number}",
            "",
            "",
        ]
        wire.receive_data("\r\n".join(lines).encode())
        head = wire.next_event()
        assert isinstance(head, RequestHead)
        assert (head.vars["PATH_INFO"], head.vars[f"HTTP_X_{number}"]) == (f"/{number}", str(number))
        assert wire.head(f"200 Fine {number}", [(f"Y-{number}", "z")], 0, DATE, True)
        wire.end()
        assert wire.reusable
        wire.next_request()
    check_tables()
    assert header_fields.KNOWN_LINES
    assert request_line.KNOWN_REQUESTS
    assert http1.known_connections
    assert response_head.known_names


def test_a_body_is_not_taken_for_header_lines() -> None:
    """Not even for a moment: what a body says is remembered nowhere."""
    wire = make("http")
    body = b"password: hunter2\r\n\r\n"
    wire.receive_data(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert isinstance(wire.next_event(), RequestHead)
    assert wire.next_event() == body
    assert not [line for line in header_fields.KNOWN_LINES if b"password" in line]


def test_long_lines_are_not_remembered() -> None:
    """A table entry is small."""
    wire = make("http")
    value = "v" * 1000
    wire.receive_data(f"GET /{value} HTTP/1.1\r\nHost: h\r\nX-A: {value}\r\nX-{value}: b\r\n\r\n".encode())
    assert isinstance(wire.next_event(), RequestHead)
    assert not [
        line
        for line in [*header_fields.KNOWN_LINES, *header_fields.KNOWN_NAMES, *request_line.KNOWN_REQUESTS]
        if len(line) > 256
    ]


def test_names_of_uwsgi_are_bounded() -> None:
    """A gateway with endless names."""
    for number in range(MANY):
        assert uwsgi.parse_block(block(*GET, (f"HTTP_{number}", "x")), 128)[f"HTTP_{number}"] == "x"
    check_tables()
    assert uwsgi.KNOWN_NAMES


def test_closing_lines_are_forgotten() -> None:
    """A Date a second, and no more than a few of them."""
    for second in range(100):
        date = b"Thu, 01 Jan 1970 00:00:%02d GMT" % second
        assert response_head.closing(date) == b"Date: " + date + b"\r\nServer: greenwsgi\r\n\r\n"
    assert len(response_head.known_closings) <= response_head.MOST_DATES
