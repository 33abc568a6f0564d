"""A log for code that must never wait: the master, and the monitor of a worker.

A log may be a pipe or socket whose reader hangs, or a terminal that was stopped (Ctrl-S). Lines that it cannot take at
once are kept, up to MOST_KEPT bytes, and tried again at each `flush`. Lines beyond that are dropped and counted, and
their number is logged when the log takes lines again.

Other processes (workers, the shell and its children) share the open file description, so it is never made non-blocking.
Instead a pipe or terminal is opened a second time, which on Linux gives an open file description of our own; a socket
has a flag for each send. Where that is not possible (another system, another user's terminal), a line is written when
poll reports that the log is writable; a write can then wait only if another process has filled the log in between.
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
"""Bytes of lines that are kept for later."""

_PIECE = select.PIPE_BUF
"""If poll reports a pipe as writable, this many bytes can be written without waiting."""


class Poll(Protocol):
    """The interface of a poll object. Where gevent has patched select, the original must be used."""

    def register(self, fd: int, events: int, /) -> object: ...
    def poll(self, milliseconds: float, /) -> list[tuple[int, int]]: ...


class NonblockingLog:
    """The non-blocking log of one descriptor.

    The descriptor may be given to another file at any time (a log that is opened again); each write checks that.

    Arguments:

    - fd: the log's descriptor.
    - dropped: makes the line that reports a number of dropped lines.
    - poll: makes a new poll object.
    """

    def __init__(self, fd: int, dropped: Callable[[int], bytes], poll: Callable[[], Poll] = select.poll) -> None:
        self.fd = fd
        self._dropped_line = dropped
        self._poll = poll
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._file: tuple[int, int] | None = None
        self._is_regular = self._is_terminal = False
        self._own = -1
        self._socket: _socket.socket | None = None

    def look(self) -> None:
        """Check which file the descriptor is, and open it a second time if that has changed. Raises OSError.

        It should be called once before privileges are dropped, which may be needed to open the file.
        """
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

        If the log has failed (a full disk, a closed pipe), the lines are lost.
        """
        self._flush()
        until = time.monotonic() + seconds if seconds and self._kept else 0.0
        while self._kept and (left := until - time.monotonic()) > 0:
            poll = self._poll()
            poll.register(self.fd, select.POLLOUT)
            poll.poll(left * 1000)
            self._flush()

    def close(self) -> None:
        """Close the descriptor that this object has opened, unless its number now belongs to another file."""
        if self._socket is not None and not self._has_its_own():
            self._socket.detach()
        elif self._socket is not None:
            self._socket.close()
        elif self._own >= 0 and self._has_its_own():
            _close(self._own)
        self._file, self._own, self._socket = None, -1, None

    def _has_its_own(self) -> bool:
        """Whether the second descriptor is still the same file; an application may close any number."""
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
                    self._keep(self._dropped_line(self._dropped))
                    self._dropped = 0
        except BlockingIOError:
            return
        except OSError:
            self._kept.clear()
            self._size = 0

    def _send_first(self) -> None:
        """Send a part of the first line. Raises BlockingIOError if the log is full, OSError if it has failed."""
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
    """The same pipe or terminal, as a non-blocking open file description of our own; -1 if that is not possible."""
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return -1
    return own


def _high(own: int, log: int) -> int:
    """Duplicate it to a number above the log's: an application that closes low descriptors does not reach it."""
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
