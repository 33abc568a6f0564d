"""Load that notices everything: closed-loop clients that count each request without a complete answer, and each stall.

    with Load(KeepAlive(port), Close(port), Uwsgi(port)) as load:
        server.signal(signal.SIGHUP)
        server.wait_for(...)
    assert load.failures == []
    assert load.longest_gap < 2

What counts as failed: a request that went out and for which no complete answer with status 200 came. What does not:
that the server closed a kept connection between two requests, as HTTP lets it at any time (RFC 9112 9.3). Such a close
can cross the next request on the wire, and the client cannot know then whether the request was seen. So, like browsers
and nginx (RFC 9110 9.2.2), a client here sends a GET once more, on a fresh connection, if and only if the connection
had been idle and not one byte of an answer came. `load.retries` counts these; a server that says `Connection: close`
in its last answer instead causes none.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections import Counter
from http.client import HTTPException
from types import TracebackType
from typing import Protocol, Self

from tests.live.client import PATIENCE, Answer, read_answer, uwsgi_packet


class Client(Protocol):
    """Sends a request, returns its answer; raises OSError or HTTPException when none came whole."""

    name: str
    retries: int

    def request(self) -> Answer: ...
    def close(self) -> None: ...


class Close:
    """HTTP with a connection for each request."""

    name = "http close"

    def __init__(self, port: int, path: str = "/", tls: ssl.SSLContext | None = None) -> None:
        self.retries = 0
        self._port = port
        self._tls = tls
        self._head = f"GET {path} HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n".encode()

    def request(self) -> Answer:
        with connect(self._port, self._tls) as sock:
            sock.sendall(self._head)
            return read_answer(sock)

    def close(self) -> None:
        """Nothing is kept."""


class Uwsgi:
    """The uwsgi protocol, a connection for each request."""

    name = "uwsgi"

    def __init__(self, port: int, path: str = "/") -> None:
        self.retries = 0
        self._port = port
        self._packet = uwsgi_packet(path)

    def request(self) -> Answer:
        with connect(self._port) as sock:
            sock.sendall(self._packet)
            return read_answer(sock)

    def close(self) -> None:
        """Nothing is kept."""


class KeepAlive:
    """HTTP on one connection for as long as the server keeps it."""

    name = "http keep-alive"

    def __init__(self, port: int, path: str = "/", tls: ssl.SSLContext | None = None) -> None:
        self.retries = 0
        self._port = port
        self._tls = tls
        self._head = f"GET {path} HTTP/1.1\r\nHost: load\r\n\r\n".encode()
        self._sock: socket.socket | None = None

    def request(self) -> Answer:
        if self._sock is not None and not closed_while_idle(self._sock):
            try:
                return self._exchange(self._sock)
            except NotOneByte:
                self.retries += 1
        self.close()
        self._sock = connect(self._port, self._tls)
        return self._exchange(self._sock)

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _exchange(self, sock: socket.socket) -> Answer:
        """One request and its answer. Raises NotOneByte when the connection ended without a byte of it."""
        try:
            sock.sendall(self._head)
            first = b"?" if self._tls else sock.recv(1, socket.MSG_PEEK)  # TLS cannot peek: what goes wrong fails
        except (ConnectionResetError, BrokenPipeError) as error:
            raise NotOneByte(str(error)) from error
        if not first:
            raise NotOneByte("closed")
        answer = read_answer(sock)
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer


class NotOneByte(ConnectionError):
    """The connection ended after a request was sent and before the first byte of its answer."""


def connect(port: int, tls: ssl.SSLContext | None = None) -> socket.socket:
    """A connection, behind its handshake if there is TLS, whose server is `localhost`."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(sock, server_hostname="localhost") if tls else sock


def closed_while_idle(sock: socket.socket) -> bool:
    """Whether the server has closed a connection on which nothing is under way (or sent what nobody asked for)."""
    readable, _, _ = select.select([sock], [], [], 0)
    return bool(readable)


class Load:
    """Runs each client in a thread of its own until the block ends.

    answers: complete answers by client name. failures: what went wrong, a line each. texts: how often each body came.
    longest_gap: seconds, the longest time that any client waited for one answer; longest_when says whose, and when it
    began by time.monotonic().
    """

    def __init__(self, *clients: Client) -> None:
        self.answers: Counter[str] = Counter()
        self.texts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.longest_gap = 0.0
        self.longest_when = ("", 0.0)
        self._clients = clients
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(client,), daemon=True) for client in clients]

    @property
    def retries(self) -> int:
        return sum(client.retries for client in self._clients)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.wait_for_answers(1)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        stuck = [client.name for client, thread in zip(self._clients, self._threads, strict=True) if thread.is_alive()]
        if error is None:
            assert not stuck, f"these clients still wait for an answer: {stuck}"

    def wait_for_answers(self, more: int) -> None:
        """Wait until every kind of client has had so many further answers, or something failed."""
        with self._changed:
            goal = {client.name: self.answers[client.name] + more for client in self._clients}
            came = self._changed.wait_for(
                lambda: bool(self.failures) or all(self.answers[name] >= count for name, count in goal.items()),
                PATIENCE,
            )
            assert came, f"wanted {goal}, had {dict(self.answers)} within {PATIENCE:g} s"

    def _run(self, client: Client) -> None:
        with contextlib.closing(client):
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    answer = client.request()
                    failure = "" if answer.status == 200 else f"status {answer.status}: {answer.body[:80]!r}"
                except (OSError, HTTPException, ValueError) as error:
                    client.close()
                    answer, failure = None, f"{type(error).__name__}: {error}"
                self._note(client, answer, failure, began)
                if failure:  # a server that is gone fails at once, again and again
                    self._stop.wait(0.05)

    def _note(self, client: Client, answer: Answer | None, failure: str, began: float) -> None:
        seconds = time.monotonic() - began
        with self._changed:
            if seconds > self.longest_gap:
                self.longest_gap, self.longest_when = seconds, (client.name, began)
            if failure or answer is None:
                self.failures.append(f"{client.name}: {failure}, after {seconds:.3f} s")
            else:
                self.answers[client.name] += 1
                self.texts[answer.text] += 1
            self._changed.notify_all()


def every_kind(http: int, uwsgi: int, each: int = 2) -> Load:
    """So many clients of each kind, at these ports."""
    kinds = ((KeepAlive, http), (Close, http), (Uwsgi, uwsgi))
    return Load(*(kind(port) for kind, port in kinds for _ in range(each)))
