"""Clients that are held: long polls and event streams, many of them in one thread, and when each heard something.

with Held(server.http_port, "/poll", 100) as held:
    held.wait_for("waiting")
    ...
    assert max(held.wait_for("told")) < 1
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Self

from tests.live.client import PATIENCE

HOLDS = """
from gevent import sleep

def poll(draining):
    yield b"waiting"
    draining.wait(600)
    yield b"told" if draining.is_set() else b"not told"

def stream(draining):
    while not draining.is_set():
        yield b"data: tick\\n\\n"
        draining.wait(0.2)
    yield b"event: bye\\n\\n"

def stubborn(draining):
    yield b"waiting"
    sleep(600)
    yield b"never"

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return globals()[environ["PATH_INFO"][1:] or "poll"](environ["greenwsgi.draining"])
"""
"""An application that holds requests: `/poll` and `/stream` listen to `draining`, `/stubborn` does not."""


class Held:
    """`count` connections that each send one request for `path`, and collect what comes back until its end."""

    def __init__(self, port: int, path: str, count: int) -> None:
        self._head = f"GET {path} HTTP/1.1\r\nHost: held\r\n\r\n".encode()
        self._selector = selectors.DefaultSelector()
        self._changed = threading.Condition()
        self._said: dict[socket.socket, list[tuple[float, bytes]]] = {}
        self._ended: dict[socket.socket, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
            self._said[sock] = []
            self._selector.register(sock, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        for sock in self._said:
            sock.sendall(self._head)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        for sock in self._said:
            sock.close()
        self._selector.close()

    def wait_for(self, text: bytes) -> list[float]:
        """Wait until every client has got this text; when each did, in monotonic seconds."""
        found: list[float | None] = []

        def all_have() -> bool:
            found[:] = [_when(said, text) for said in self._said.values()]
            return None not in found

        with self._changed:
            assert self._changed.wait_for(all_have, PATIENCE), f"{found.count(None)} clients never got {text!r}"
        return [when for when in found if when is not None]

    def wait_for_the_end(self) -> list[float]:
        """Wait until every connection has been closed by the server; when each was."""
        with self._changed:
            missing = len(self._said)
            assert self._changed.wait_for(lambda: len(self._ended) == missing, PATIENCE), "some are still open"
            return list(self._ended.values())

    def _run(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                try:
                    data = sock.recv(65536)
                except ConnectionError:
                    data = b""
                self._note(sock, data, time.monotonic())

    def _note(self, sock: socket.socket, data: bytes, now: float) -> None:
        with self._changed:
            self._said[sock].append((now, data))
            if not data:
                self._selector.unregister(sock)
                self._ended[sock] = now
            self._changed.notify_all()


def _when(said: list[tuple[float, bytes]], text: bytes) -> float | None:
    """When the text was complete."""
    got = b""
    for now, data in said:
        got += data
        if text in got:
            return now
    return None
