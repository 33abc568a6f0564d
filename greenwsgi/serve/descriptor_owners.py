"""Whose each descriptor number is, so that no client's socket takes over a number that somebody still writes to.

An application has the same descriptors as the server and may close any of them. The kernel gives the lowest free number
to the next connection: then the log, a print or the answer to another client would go to that connection.
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
    """A descriptor of the server's own, in the place where a client's socket could be."""

    __slots__ = ("_fd", "file")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.file = file_of(fd)

    def fileno(self) -> int:
        return self._fd


class DescriptorOwners:
    """The numbers of one worker. `holders` maps each to who had it last: a client's socket, or a descriptor of ours.

    own: those that the worker cannot do without; the standard three and the log's are known besides.
    """

    def __init__(self, log: ServerLog, own: Iterable[int] = ()) -> None:
        self._log = log
        self._own = {fd: _Own(fd) for fd in own}
        self.holders: dict[int, Any] = {fd: _Own(fd) for fd in (*STANDARD, log.fd)} | self._own

    def settle(self, fd: int, holder: Any) -> int:
        """A new connection has a number whose `holder` has not closed it. Returns the number that it may keep.

        One of ours is left to /dev/null. A client whose connection was closed loses it: its answer would go to the new
        one. Raises OSError if there is no other number, and the new connection is closed.
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
        """The worker closes these of its `own` by itself."""
        for fd in fds:
            self._own.pop(fd, None)
            self.holders.pop(fd, None)

    def lost(self) -> list[int]:
        """Those of `own` and the log's that are closed, or somebody else's by now."""
        lost = [fd for fd, own in self._own.items() if file_of(fd) != own.file]
        return [*lost, self._log.fd] if self._log.lost else lost
