"""One connected socket: receives and sends bytes, and waits in the hub where needed.

Hot path. It uses a raw `_socket.socket` with its own watchers: a gevent socket would make two watchers for each
connection and a timer for each wait (see serve/deadlines.py).
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gevent
from gevent import monkey
from gevent.hub import get_hub
from greenlet import getcurrent

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerGone
from greenwsgi.serve.deadlines import Deadlines, PeerStalled
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.wsgi.file_wrapper import FilePart

RECV_SIZE = 65536
ROUND_TRIP = 0.1
"""Seconds that `answer_was_lost` waits for a reset."""
LINGER_SECONDS = 5.0
LINGER_BYTES = 64 * 1024 * 1024
"""`linger` ends after this time or this number of received bytes."""
FILE_PIECE = 256 * 1024
"""Bytes of a file that are read at once where sendfile does not work."""
SEND_MOST = 1024 * 1024
"""Bytes of one system call, some 0.3 ms. With a client that reads as fast as the kernel copies, it could last long."""
MOST_PIECES = 64
"""Pieces of one system call; the kernel's limit is 1,024 (IOV_MAX)."""
_poll = monkey.get_original("select", "poll")
_ENDED = getattr(select, "POLLRDHUP", 0)
"""Linux only. On other systems only a reset is detected, not the end of the peer's side."""
_HOLD_BACK = getattr(socket, "TCP_CORK", 4)
"""macOS names it TCP_NOPUSH, with the value 4."""
_unwanted = bytearray(RECV_SIZE)
_PEERS_ERRORS = {
    *(errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN, errno.ESHUTDOWN),
    *(errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN),
}
"""The errors of sendfile that concern the socket; all others concern the file."""

_now = SystemClock.monotonic


class Stream:
    """A non-blocking socket that waits with the worker's Deadlines and gives way by its LoopBudget.

    If the peer has left, methods raise PeerGone; if it does not send or receive in time, PeerStalled, which is a
    PeerGone too. After a send that was interrupted, every other send raises PeerGone: the peer would take its data for
    the rest of the first.

    Arguments:

    - sock: the non-blocking `_socket.socket`.
    - deadlines, loop_budget: the worker's.
    - timeout: see the attribute.
    - send_timeout: see the attribute; 0 is `timeout`.

    Attributes:

    - gone: the peer has left, or does not receive. A peer that only sends nothing can still be answered.
    - send_timeout: seconds that each wait for room to write may take.
    - sending: a greenlet is in the middle of a send; data of another send would be mixed into it.
    - sock: see the argument.
    - timeout: seconds that each wait for data may take.
    - waits: the number of waits since it was set to 0 (by the exchange).
    """

    plain = True
    """Bytes are sent unchanged, so sendfile can be used. False under TLS."""

    __slots__ = (
        "_reader",
        "_recv",
        "_send",
        "_sender",
        "_wait",
        "_writer",
        "gone",
        "loop_budget",
        "send_timeout",
        "sending",
        "sock",
        "timeout",
        "waits",
    )  # fmt: skip

    def __init__(
        self, sock: Any, deadlines: Deadlines, loop_budget: LoopBudget, timeout: float, send_timeout: float = 0.0
    ) -> None:
        self.sock = sock
        self.timeout = timeout
        self.send_timeout = send_timeout or timeout
        self.waits = 0
        self.gone = self.sending = False
        self._recv = sock.recv
        self._send = sock.send
        self._wait = deadlines.wait
        self.loop_budget = loop_budget
        self._reader: Any = None
        self._sender: Any = None
        self._writer: Any = None

    def recv(self, until: float = 0.0) -> bytes:
        """The next bytes, b"" when the peer has ended its side. `until` replaces the timeout by a deadline."""
        while True:
            try:
                return self._recv(RECV_SIZE)  # type: ignore[no-any-return]
            except BlockingIOError:
                self.waits += 1
                self._wait(self._reader or self._make_reader(), until or _now() + self.timeout)
            except OSError as error:
                self.gone = True
                raise PeerGone(str(error)) from error

    def recv_later(self, until: float) -> bytes:
        """`recv` where no data is expected yet: it waits first, which saves a failing system call (2 us)."""
        self._wait(self._reader or self._make_reader(), until)
        try:
            return self._recv(RECV_SIZE)  # type: ignore[no-any-return]
        except OSError:  # woken too early, or a reset
            return self.recv(until)

    def recv_now(self) -> bytes:
        """Receive without waiting. Raises BlockingIOError if there is no data, or another OSError."""
        return self._recv(RECV_SIZE)  # type: ignore[no-any-return]

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.gone = True
            raise PeerGone(str(error)) from error
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, data: memoryview) -> None:
        with self._whole() as send:
            while data:
                self._wait_to_write()
                try:
                    data = data[send(data) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    self.gone = True
                    raise PeerGone(str(error)) from error

    @contextmanager
    def _whole(self) -> Iterator[Any]:
        """While in this context, all other sends fail; if it is left by an exception, they fail from then on.

        Yields the socket's `send`.
        """
        send = self._send
        if send is _in_the_middle or send is _cut_short:
            self.gone = True
            raise PeerGone("another send was not ended")
        self._send, self._sender = _in_the_middle, getcurrent()
        before, self.sending = self.sending, True
        try:
            yield send
        except BaseException:
            send = _cut_short
            raise
        finally:
            self._send, self.sending = send, before

    def send_next(self, data: bytes) -> None:
        """`send` for the later pieces of an answer. It gives way, because a fast client would keep the loop."""
        self.send(data)
        self.loop_budget.check()

    def check_turn(self) -> None:
        """Give way between two pieces of an answer, if the loop budget is used up."""
        self.loop_budget.check()

    def send_pieces(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Send these in order. They are not joined, because large pieces would be in memory twice."""
        rest = deque(memoryview(piece) for piece in pieces)
        with self._whole():
            while rest:
                try:
                    sent = self.sock.sendmsg(_some(rest))
                except BlockingIOError:
                    self._wait_to_write()
                    continue
                except OSError as error:
                    self.gone = True
                    raise PeerGone(str(error)) from error
                while rest and sent >= len(rest[0]):
                    sent -= len(rest.popleft())
                if rest:
                    rest[0] = rest[0][sent:]
                    self.loop_budget.check()

    def sendfile(self, part: FilePart) -> int:
        """Send a part of a file. Returns the number of bytes sent, which is smaller if the file has become shorter.

        Raises OSError for errors of the file.
        """
        fd, offset, left = part
        with self._whole():
            while left:
                try:
                    sent = os.sendfile(self.sock.fileno(), fd, offset, min(left, SEND_MOST))
                except BlockingIOError:
                    self._wait_to_write()
                    continue
                except OSError as error:
                    if error.errno == errno.EINVAL:  # the file system does not support sendfile
                        break
                    if error.errno in _PEERS_ERRORS:
                        self.gone = True
                        raise PeerGone(str(error)) from error
                    raise
                if not sent:
                    return part.length - left
                offset += sent
                left -= sent
                if left:
                    self.loop_budget.check()
        while left and (data := os.pread(fd, min(left, FILE_PIECE), offset)):
            self.send_next(data)
            offset += len(data)
            left -= len(data)
        return part.length - left

    def _wait_to_write(self) -> None:
        if self._writer is None:
            self._writer = get_hub().loop.io(self.sock.fileno(), 2)
        self.waits += 1
        try:
            self._wait(self._writer, _now() + self.send_timeout)
        except PeerStalled:
            self.gone = True
            raise

    def _make_reader(self) -> Any:
        self._reader = reader = get_hub().loop.io(self.sock.fileno(), 1)
        return reader

    def answer_was_lost(self) -> bool:
        """The peer ended its side before it was answered: has it closed the socket, and refused the answer by a reset?

        If it has only half-closed, no reset comes. So this waits for one, ROUND_TRIP seconds at most. It ends our side.
        """
        try:
            self.end_writing()
        except OSError:
            return True
        for _ in range(5):
            if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.gone = True
                return True
            gevent.sleep(ROUND_TRIP / 5)
        return False

    def is_ended(self) -> bool:
        """Whether the peer has ended its side, or left. It does not read the data sent before."""
        poll = _poll()
        poll.register(self.sock.fileno(), _ENDED)
        return bool(poll.poll(0))

    def end_writing(self) -> None:
        """End our side; raises OSError if the peer has left already."""
        self.sock.shutdown(socket.SHUT_WR)

    def hold_back(self) -> None:
        """Set TCP_CORK: partial packets wait for more data or the end of our side, 0.2 s at most (tcp(7))."""
        with suppress(OSError):  # not TCP
            self.sock.setsockopt(socket.IPPROTO_TCP, _HOLD_BACK, 1)

    def linger(self, parting: bytes = b"") -> None:
        """Send `parting`, end our side, and let the peer read everything before the socket is closed (RFC 9112 9.6).

        Over TCP both go in one packet: HAProxy reuses a kept FastCGI connection as soon as it has the whole answer, and
        of 400 requests after a refusal one was lost in between. When a socket with unread bytes is closed, the kernel
        sends a reset, which discards an answer that the peer has not read.
        """
        try:
            if parting:
                self.hold_back()
                self.send(parting)
            self.end_writing()
        except OSError:
            return  # the peer has left already
        deadline, room = _now() + LINGER_SECONDS, LINGER_BYTES
        try:
            while room > 0 and (size := self._read_away(deadline)):
                room -= size
                self.loop_budget.give_way()  # after each read: all other work comes first
        except PeerGone:
            return

    def _read_away(self, deadline: float) -> int:
        """Receive and discard bytes, in a buffer that all connections share. Returns their number, 0 at the end."""
        while True:
            try:
                return self.sock.recv_into(_unwanted)  # type: ignore[no-any-return]
            except BlockingIOError:
                self._wait(self._reader or self._make_reader(), deadline)
            except OSError as error:
                raise PeerGone(str(error)) from error

    def close(self) -> None:
        """Close the socket and free its watchers. PeerGone is thrown into a greenlet that still sends."""
        if self.sending:
            get_hub().loop.run_callback(self._sender.throw, PeerGone("the connection has been closed"))
        for watcher in (self._reader, self._writer):
            if watcher is not None:
                watcher.close()
        try:
            self.sock.close()
        except OSError:  # the application has closed the descriptor
            self.gone = True


def _some(pieces: Iterable[memoryview]) -> list[memoryview]:
    """The first pieces, up to SEND_MOST bytes and MOST_PIECES pieces."""
    some, size = [], 0
    for piece in pieces:
        some.append(piece[: SEND_MOST - size])
        size += len(some[-1])
        if size == SEND_MOST or len(some) == MOST_PIECES:
            break
    return some


def _in_the_middle(_: bytes) -> int:
    raise BrokenPipeError("another greenlet is in the middle of a send")


def _cut_short(_: bytes) -> int:
    raise BrokenPipeError("an earlier send was cut short")
