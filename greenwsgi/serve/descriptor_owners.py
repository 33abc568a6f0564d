"""The owner of each descriptor number, so that no client's socket gets a number to which other code still writes.

An application has the same descriptors as the server and may close any of them. The kernel gives the lowest free number
to the next connection; then the log, a print or the answer to another client would go to that connection.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from typing import Any

from greenwsgi.log.server_log import ServerLog
from greenwsgi.shared.descriptor_numbers import STANDARD, close, file_of

_FIRST_FREE = STANDARD[-1] + 1


class _Own:
    """A descriptor of the server itself: an entry of `holders` with the interface of a socket."""

    __slots__ = ("_fd", "file")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.file = file_of(fd)

    def fileno(self) -> int:
        return self._fd


class DescriptorOwners:
    """The descriptor numbers of one worker.

    Arguments:

    - log: the server log, whose descriptor is always included, as are the three standard ones.
    - own: further descriptors that the worker needs (listeners, pipes).

    Attribute `holders`: each number's last owner, which is a client's socket or a descriptor of the server.
    """

    def __init__(self, log: ServerLog, own: Iterable[int] = ()) -> None:
        self._log = log
        self._own = {fd: _Own(fd) for fd in own}
        self.holders: dict[int, Any] = {fd: _Own(fd) for fd in (*STANDARD, log.fd)} | self._own

    def settle(self, fd: int, holder: Any) -> int:
        """Handle a new connection on a number that its `holder` has not closed. Returns the number to use instead.

        A number of the server is given to /dev/null. A client's connection that the application has closed is given
        up, because its answer would go to the new client. Raises OSError if no other number is free; the new connection
        is closed then.
        """
        if not isinstance(holder, _Own):
            holder.detach()
            self._log.warning(f"the application has closed descriptor {fd}, a client's connection")
            return fd
        self._log.warning(f"the application has closed descriptor {fd}; /dev/null takes its place")
        try:
            moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
            null = os.open(os.devnull, os.O_RDWR)
        except OSError:
            close(fd)
            raise
        os.dup2(null, fd, inheritable=fd in STANDARD)
        close(null)
        other = self.holders.get(moved)
        return moved if other is None or other.fileno() != moved else self.settle(moved, other)

    def release(self, fds: Iterable[int]) -> None:
        """Forget these of `own`: the worker is about to close them itself."""
        for fd in fds:
            self._own.pop(fd, None)
            self.holders.pop(fd, None)

    def lost(self) -> list[int]:
        """Descriptors of `own`, and the log's, that have been closed or now belong to another file."""
        lost = [fd for fd, own in self._own.items() if file_of(fd) != own.file]
        return [*lost, self._log.fd] if self._log.lost else lost
