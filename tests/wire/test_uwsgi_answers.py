"""uwsgi: what the answer looks like, the ping, and that the quick and the careful way agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.errors import PeerError
from greenwsgi.wire import uwsgi, variable_layouts
from greenwsgi.wire.protocol import END, Reply, RequestHead
from tests.wire.cases.uwsgi_packets import GET, NGINX, block, get, packet
from tests.wire.driving import DATE, forget, make


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("HTTP/1.1", "HTTP/1.1"),
        ("HTTP/1.0", "HTTP/1.0"),
        ("HTTP/0.9", "HTTP/1.0"),
        ("HTTP/2.0", "HTTP/1.1"),
        ("HTTP/3", "HTTP/1.1"),
        ("INCLUDED", "HTTP/1.0"),
        ("x\ty", "HTTP/1.0"),
        (None, "HTTP/1.0"),
    ],
)
def test_the_status_line_has_the_peer_s_protocol(said: str | None, first: str) -> None:
    """As uWSGI answers, but never with what is no protocol."""
    wire = make("uwsgi")
    wire.receive_data(packet(block(("PATH_INFO", "/"), *([("SERVER_PROTOCOL", said)] if said else []))))
    assert isinstance(wire.next_event(), RequestHead)
    assert wire.head("200 OK", [("X", "y")], 5, DATE, True) == f"{first} 200 OK\r\nX: y\r\n\r\n".encode()
    assert wire.chunk(b"hello") + wire.end() == b"hello"
    assert not wire.reusable


def test_ping() -> None:
    """Answered at once; then the connection is over."""
    wire = make("uwsgi")
    wire.receive_data(b"\x64\0\0\0")
    assert wire.next_event() == Reply(b"\x64\0\0\x01")
    assert wire.next_event() is END
    assert not wire.reusable


@pytest.mark.parametrize("pairs", [GET, NGINX, [*NGINX, ("HTTP_COOKIE", "c" * 700)], [("UWSGI_FILE", "x"), *GET]])
def test_the_quick_way_is_the_careful_way(pairs: list[tuple[str, str]]) -> None:
    """With every name known and with none."""
    data = block(*pairs)
    forget()
    cold = uwsgi.parse_block(data, 128)
    assert list(cold.items()) == list(uwsgi.parse_block(data, 128).items())
    assert cold == uwsgi.careful_block(data, 128)


def test_nothing_is_waited_for_behind_a_packet() -> None:
    """The request is whole with its last byte."""
    wire = make("uwsgi")
    wire.receive_data(get())
    assert isinstance(wire.next_event(), RequestHead)
    assert wire.body_done


def test_a_peer_cannot_set_what_is_the_servers() -> None:
    pairs = {
        "REQUEST_METHOD": "GET",
        "wsgi.input": "x",
        "uwsgi.version": "x",
        "greenwsgi.disconnected": "x",
        "wsgi": "y",
    }
    packed = b"".join(len(text).to_bytes(2, "little") + text.encode() for pair in pairs.items() for text in pair)
    assert uwsgi.parse_block(packed, 100) == {"REQUEST_METHOD": "GET", "wsgi": "y"}


VALUES = st.text(st.characters(max_codepoint=255), max_size=6)
NAMES = ("QUERY_STRING", "REQUEST_METHOD", "PATH_INFO", "HTTP_HOST", "HTTP_X", "CONTENT_LENGTH", "UWSGI_FILE", "wsgi.x")


@given(st.lists(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), min_size=1, max_size=4), min_size=1, max_size=12))
def test_a_remembered_layout_never_changes_what_a_block_means(blocks: list[list[tuple[str, str]]]) -> None:
    """Blocks one after the other, most of them of few sizes, against each with nothing remembered."""
    for pairs in blocks * 3:
        texts = [text.encode("latin-1") for pair in pairs for text in pair]
        packed = b"".join(len(text).to_bytes(2, "little") + text for text in texts)
        warm = outcome(packed)
        learned = dict(uwsgi.LAYOUTS)
        forget()
        assert outcome(packed) == warm
        uwsgi.LAYOUTS.update(learned)


def outcome(packed: bytes) -> object:
    try:
        return list(uwsgi.parse_block(packed, 3).items())
    except PeerError as error:
        return error.status, error.text


def test_layouts_are_used_bounded_and_hold_no_values() -> None:
    forget()
    for _ in range(3):
        uwsgi.parse_block(block(("HTTP_COOKIE", "secret"), ("PATH_INFO", "/")), 9)
    (layout,) = uwsgi.LAYOUTS.values()
    assert layout is not None
    assert "secret" not in repr(layout)
    assert uwsgi.parse_block(block(("HTTP_COOKIE", "others"), ("PATH_INFO", "!")), 9) == {
        "HTTP_COOKIE": "others",
        "PATH_INFO": "!",
    }
    for size in range(2 * variable_layouts.MOST_LAYOUTS):
        uwsgi.parse_block(block(("PATH_INFO", "x" * size), ("HTTP_X", "")), 9)
    assert len(uwsgi.LAYOUTS) <= variable_layouts.MOST_LAYOUTS
