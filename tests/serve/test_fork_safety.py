"""What is open before a fork is told by name. In processes of their own, which have nothing else open."""

from __future__ import annotations

import socket
import sys

import pytest

from tests.serve.test_monkeypatch import python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/self to look at")

REPORT = """
from greenwsgi.serve import monkeypatch
monkeypatch.patch()
from greenwsgi.serve import fork_safety
{before}
for line in fork_safety.report({{{ours}}}):
    print(line)
"""


def report(before: str, ours: str = "-1") -> str:
    return python(REPORT.format(before=before, ours=ours))


def test_nothing_open_is_nothing_to_tell() -> None:
    assert report("") == ""


def test_connections_and_listeners_by_address() -> None:
    said = report(
        """
import socket
listening = socket.create_server(("127.0.0.1", 0))
address = listening.getsockname()
connected = socket.create_connection(address)
idle = socket.socket()
print(address[1], listening.fileno(), connected.fileno())
"""
    )
    first, *lines = said.split("\n")
    port, listening, connected = first.split()
    assert lines[0].startswith(f"descriptor {listening}, a socket that listens on 127.0.0.1:{port}")
    assert lines[1].startswith(f"descriptor {connected}, a connection to 127.0.0.1:{port}")
    assert len(lines) == 2


def test_unix_sockets_by_path_and_not_our_own() -> None:
    said = report(
        """
import socket
left, right = socket.socketpair()
listening = socket.socket(socket.AF_UNIX)
listening.bind("\\0greenwsgi-test-fork_safety-%d" % __import__("os").getpid())
listening.listen()
""",
        ours="left.fileno(), right.fileno()",
    )
    assert "a socket that listens on @greenwsgi-test-fork_safety-" in said
    assert said.count("\n") == 0


def test_native_threads_by_place_but_not_gevents_pool_nor_greenlets() -> None:
    said = report(
        """
import threading, gevent
from gevent import monkey
gevent.get_hub().threadpool.apply(len, ((),))
threading.Thread(target=gevent.sleep, args=(100,), daemon=True).start()
begun = monkey.get_original("threading", "Lock")()
begun.acquire()
def somewhere_native():
    begun.release()
    monkey.get_original("time", "sleep")(100)
monkey.get_original("_thread", "start_new_thread")(somewhere_native, ())
begun.acquire()
"""
    )
    assert said.startswith("1 native thread (")
    assert "somewhere_native at <string>:" in said


AFTERWARDS = """
print(os.get_blocking(left), socket.getdefaulttimeout(), os.listdir("/proc/self/fd") == before)
"""


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_looking_changes_nothing(timeout: float | None) -> None:
    """A native driver's blocking socket would not block any more, in all workers."""
    before = f"""
import os, socket
left, right = map(socket.socket.detach, socket.socketpair())
for fd in (left, right):
    os.set_blocking(fd, True)
socket.setdefaulttimeout({timeout})
before = os.listdir("/proc/self/fd")
"""
    *told, afterwards = python(REPORT.format(before=before, ours="-1") + AFTERWARDS).splitlines()
    assert len(told) == 2
    assert afterwards == f"True {timeout} True"


def test_sockets_without_an_address_are_passed_over() -> None:
    try:
        socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close()
    except OSError:
        pytest.skip("this kernel has no AF_ALG")
    said = report(
        """
import socket
crypto = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
inside = socket.create_server(("127.0.0.1", 0))
"""
    )
    assert said.count("\n") == 0
    assert "a socket that listens on 127.0.0.1:" in said
