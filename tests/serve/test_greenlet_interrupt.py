"""What becomes of a connection on which a greenlet waits that is ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.ssl
import pytest
from gevent import socket
from gevent.event import Event
from gevent.hub import get_hub

from greenwsgi.serve.greenlet_interrupt import interrupt
from tests.certificates import Certificates


class Ended(BaseException):
    """What is thrown in."""


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with ours, theirs:
        yield ours, theirs


def end_in(wait: Callable[[], object]) -> None:
    """Interrupt a greenlet that waits in this function, which knows of no BaseException."""

    def run() -> None:
        try:
            wait()
        except Ended:
            return
        except OSError as error:
            raise AssertionError("it was to be ended by what is thrown in") from error
        raise AssertionError("it was to wait")

    greenlet = gevent.spawn(run)
    gevent.sleep(0.001)
    get_hub().loop.run_callback(interrupt, greenlet, Ended())
    greenlet.get(timeout=10)


def is_open(ours: Any, theirs: Any) -> bool:
    try:
        ours.sendall(b"question")
        return bool(theirs.recv(100) == b"question")
    except OSError:
        return False


@pytest.mark.parametrize("method", ["recv", "recv_into", "makefile", "sendall", "peek"])
def test_a_connection_that_it_waited_on_is_ended(pair: tuple[Any, Any], method: str) -> None:
    ours, theirs = pair
    waits: dict[str, Callable[[], object]] = {
        "recv": lambda: ours.recv(100),
        "recv_into": lambda: ours.recv_into(bytearray(100)),
        "makefile": lambda: ours.makefile("rb").readline(),
        "sendall": lambda: ours.sendall(bytes(10_000_000)),
        "peek": lambda: ours.recv(100, socket.MSG_PEEK),
    }
    end_in(waits[method])
    with pytest.raises(BrokenPipeError):
        theirs.sendall(b"the answer")
    assert ours.recv(100) == b""


def test_a_connection_under_tls_is_one_too(pair: tuple[Any, Any], files: Certificates) -> None:
    ours, theirs = pair
    server = gevent.ssl.SSLContext(gevent.ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.cert, files.key)
    client = gevent.ssl.SSLContext(gevent.ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, gevent.ssl.CERT_NONE
    accepting = gevent.spawn(server.wrap_socket, theirs, server_side=True)
    with client.wrap_socket(ours) as wrapped, accepting.get(timeout=10) as other:
        end_in(lambda: wrapped.recv(100))
        with pytest.raises(OSError, match=r"Broken pipe|EOF"):
            other.sendall(b"the answer")


def test_one_that_was_closed_for_it_is_left_alone(pair: tuple[Any, Any]) -> None:
    """Its number may be another's by now."""
    ours, _ = pair
    others: list[Any] = []

    def careful() -> None:
        try:
            ours.recv(100)
        finally:
            number = ours.fileno()
            ours.close()
            others.extend(socket.socketpair())
            assert number in [one.fileno() for one in others]

    end_in(careful)
    assert is_open(*others)
    for one in others:
        one.close()


def test_other_waits_end_no_connection(pair: tuple[Any, Any]) -> None:
    end_in(Event().wait)
    end_in(lambda: gevent.sleep(10))
    assert is_open(*pair)


def test_a_listener_and_datagrams_are_everybody_s() -> None:
    with socket.socket() as listener, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        datagrams.bind(("127.0.0.1", 0))
        end_in(listener.accept)
        end_in(lambda: datagrams.recv(100))
        with socket.create_connection(listener.getsockname(), 10):
            listener.accept()[0].close()
        datagrams.sendto(b"x", datagrams.getsockname())
        assert datagrams.recv(100) == b"x"
