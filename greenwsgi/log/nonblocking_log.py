"""Log lines of those who must never wait: the master, and the monitor of a worker.

A log may be a pipe or socket whose reader hangs, or a terminal that was stopped (Ctrl-S). What it cannot take at once
is kept, up to MOST_KEPT bytes, and tried again at each `flush`; what is more than that is dropped, counted and told of
when the log takes lines again.

The descriptor's open file belongs to others too, to workers, to the shell and what else it started, so it is never made
non-blocking. Instead a pipe or terminal is opened a second time, which on Linux gives an open file of our own; a socket
has a flag for each send. Where that cannot be had (another system, another user's terminal), a line is written when
poll says that the log takes one; then a write can wait only if another process has filled the log between the two.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import select
import signal
import stat
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

MOST_KEPT = 64 << 10
"""Bytes."""

_PIECE = select.PIPE_BUF
"""What poll says of a pipe holds for so many bytes."""


class Poll(Protocol):
    """select.poll's object, of the system itself where gevent has put another one in its place."""

    def register(self, fd: int, events: int, /) -> object: ...
    def poll(self, milliseconds: float, /) -> list[tuple[int, int]]: ...


class NonblockingLog:
    """One descriptor's. dropped: the line that tells how many were dropped. poll: makes a new poll object.

    The descriptor may be made another file meanwhile (a log that is opened again): each write looks.
    """

    def __init__(self, fd: int, dropped: Callable[[int], bytes], poll: Callable[[], Poll] = select.poll) -> None:
        self.fd = fd
        self._tell_dropped = dropped
        self._poll = poll
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._file: tuple[int, int] | None = None
        self._is_regular = self._is_terminal = False
        self._own = -1
        self._socket: _socket.socket | None = None

    def look(self) -> None:
        """What is the descriptor now? Raises OSError. The first time best before privileges are dropped, which may be
        needed to open it again."""
        found = os.fstat(self.fd)
        file = found.st_dev, found.st_ino
        if file == self._file and self._has_its_own():
            return
        self.close()
        self._file, self._is_regular, self._is_terminal = file, stat.S_ISREG(found.st_mode), os.isatty(self.fd)
        if stat.S_ISSOCK(found.st_mode):
            self._socket = _socket.socket(fileno=_high(os.dup(self.fd), self.fd))
        elif stat.S_ISFIFO(found.st_mode) or self._is_terminal:
            self._own = _high(_open_again(self.fd), self.fd)

    def write(self, line: bytes) -> None:
        """Write the line, or keep it for later, or drop it."""
        self.flush()
        if self._size and self._size + len(line) > MOST_KEPT:
            self._dropped += 1
            return
        self._keep(line)
        self.flush()

    def flush(self, seconds: float = 0.0) -> None:
        """Write as much of what was kept as the log takes now, or within so many seconds.

        One that takes nothing any more (a full disk, a closed pipe) loses it, as it does for everybody.
        """
        self._flush()
        until = time.monotonic() + seconds if seconds and self._kept else 0.0
        while self._kept and (left := until - time.monotonic()) > 0:
            poll = self._poll()
            poll.register(self.fd, select.POLLOUT)
            poll.poll(left * 1000)
            self._flush()

    def close(self) -> None:
        """Give back what it has opened, and not what has got its number since."""
        if self._socket is not None and not self._has_its_own():
            self._socket.detach()
        elif self._socket is not None:
            self._socket.close()
        elif self._own >= 0 and self._has_its_own():
            _close(self._own)
        self._file, self._own, self._socket = None, -1, None

    def _has_its_own(self) -> bool:
        """Is what it opened beside the descriptor still the same file? An application may close any number."""
        own = self._own if self._socket is None else self._socket.fileno()
        if own < 0:
            return True
        try:
            found = os.fstat(own)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def _flush(self) -> None:
        if not self._kept:
            return
        try:
            self.look()
            while self._kept:
                self._send_first()
                if not self._kept and self._dropped:
                    self._keep(self._tell_dropped(self._dropped))
                    self._dropped = 0
        except BlockingIOError:
            return
        except OSError:
            self._kept.clear()
            self._size = 0

    def _send_first(self) -> None:
        """A piece of the first line. Raises BlockingIOError if the log takes nothing now, OSError if it never will."""
        line = self._kept[0]
        taken = self._send(line)
        self._size -= taken
        if taken < len(line):
            self._kept[0] = line[taken:]
        else:
            self._kept.popleft()

    def _keep(self, line: bytes) -> None:
        self._kept.append(line)
        self._size += len(line)

    def _send(self, data: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(data, _socket.MSG_DONTWAIT)
        if self._own < 0 and not self._is_regular:
            poll = self._poll()
            poll.register(self.fd, select.POLLOUT)
            if not poll.poll(0):
                raise BlockingIOError
            data = data[:_PIECE]
        fd = self._own if self._own >= 0 else self.fd
        if not self._is_terminal:
            return os.write(fd, data)
        # stty tostop interrupts a write from the background by SIGTTOU, each time it is tried, unless that is blocked.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            return os.write(fd, data)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _open_again(fd: int) -> int:
    """The same pipe or terminal, as an open file of our own that does not block; -1 if that cannot be had."""
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return -1
    return own


def _high(own: int, log: int) -> int:
    """The same under a number above the log's, which in a worker is out of the way of an application that closes."""
    if own < 0:
        return own
    try:
        high = fcntl.fcntl(own, fcntl.F_DUPFD_CLOEXEC, log)
    except OSError:
        return own
    _close(own)
    return high


def _close(fd: int) -> None:
    os.closerange(fd, fd + 1)  # os.close is gevent's in a worker, and needs the loop
