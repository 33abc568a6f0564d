"""The server's own log: one line, one write.

Not the standard library's loggers: an application's `logging.config.dictConfig` disables loggers it does not name,
and the server's lines must not be lost with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from greenwsgi.log.nonblocking_log import NonblockingLog, Poll

LAST_WORDS = 0.5
"""Seconds that an ending process waits for a log that is full."""


class ServerLog:
    """Writes lines `2026-11-21 09:15:02 [pid] text` to a descriptor, each whole in one write.

    Line ends inside a text (tracebacks) are kept; other control characters are escaped, so that no peer forges a line.
    """

    outlet: NonblockingLog | None = None
    """Set where a write must never wait. Lines may be delayed then, or lost if the log stays full."""

    def __init__(self, fd: int = 2) -> None:
        self.fd = fd
        self._file = _file_of(fd)

    @property
    def lost(self) -> bool:
        """Whether the descriptor has been closed, or given to another file, by others than this object."""
        # Twice: `reopen` runs in a signal handler, perhaps in the middle of this.
        return _file_of(self.fd) != self._file and _file_of(self.fd) != self._file

    def lose(self) -> None:
        """Write nothing more: the descriptor now belongs to another file."""
        self.fd = -1
        if self.outlet is not None:
            self.outlet.fd = -1

    def reopen(self, path: str, open_log: Callable[[str], int]) -> None:
        """Write to the end of that file from now on, and standard output and error too where they are the log.

        The descriptors keep their numbers. open_log: opens the file, as safe_paths.open_log does. Raises OSError, and
        changes nothing then.
        """
        file = open_log(path)
        old = _file_of(self.fd)
        for fd in [one for one in (1, 2) if one != self.fd and _file_of(one) == old]:
            os.dup2(file, fd)
        os.dup2(file, self.fd, inheritable=self.fd <= 2)
        self._file = _file_of(self.fd)
        os.closerange(file, file + 1)  # os.close is gevent's in a zygote, and leaves a FIFO open until its loop runs

    @classmethod
    def of_thread(cls, fd: int, poll: Callable[[], Poll]) -> ServerLog:
        """A log of its own for a native thread that must never wait. poll: the system's own."""
        log = cls(fd)
        log.outlet = NonblockingLog(fd, log._dropped, poll)
        return log

    @contextmanager
    def never_waiting(self) -> Iterator[None]:
        """A context in which no write waits. Call `flush` from time to time in it."""
        if self.outlet is not None:
            yield
            return
        self.outlet = NonblockingLog(self.fd, self._dropped)
        with suppress(OSError):
            self.outlet.look()
        try:
            yield
        finally:
            self.outlet.flush(LAST_WORDS)
            self.outlet.close()
            self.outlet = None

    def flush(self, seconds: float = 0.0) -> None:
        """Try again to write lines that were kept, for this many seconds."""
        if self.outlet is not None:
            self.outlet.flush(seconds)

    def write(self, line: bytes) -> None:
        """Write a line as it is."""
        if self.outlet is None:
            write_whole(self.fd, line)
        else:
            self.outlet.write(line)

    def info(self, text: str) -> None:
        self._write(text)

    def warning(self, text: str) -> None:
        self._write("warning: " + text)

    def error(self, text: str) -> None:
        self._write("error: " + text)

    def _write(self, text: str) -> None:
        self.write(self._line(text))

    def _dropped(self, count: int) -> bytes:
        return self._line(f"warning: {count} lines before this one are lost: the log took nothing")

    def _line(self, text: str) -> bytes:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        safe = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text.rstrip("\n"))
        return f"{stamp} [{os.getpid()}] {safe}\n".encode("utf-8", "backslashreplace")


def _file_of(fd: int) -> tuple[int, int] | None:
    """Device and inode of a descriptor; None if it is closed. See shared.descriptor_numbers.file_of."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def write_whole(fd: int, data: bytes) -> None:
    """Write all of `data`; a log that cannot take it (a full disk, a closed pipe) must not stop the server.

    A full pipe that is not read does stop a worker, as under uWSGI: the whole process waits until it is read again.
    No greenlet may run meanwhile: its line would come into the middle of this one, and in the hub nothing can switch.
    The master never waits, see NonblockingLog.
    """
    try:
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:  # another process that shares the pipe or terminal has made it non-blocking
                os.set_blocking(fd, True)
    except OSError:
        return
