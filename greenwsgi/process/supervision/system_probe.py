"""What the master can see of the system: the queues of its listeners, and the memory of its children."""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Protocol

from greenwsgi.process.listening.binding import waiting
from greenwsgi.shared import process_memory
from greenwsgi.shared.resources import BoundListener


class Probe(Protocol):
    """What can be seen of the system; `SystemProbe` is the real one."""

    def knocked(self) -> bool:
        """Does a connection wait to be accepted, on any listener?"""

    def backlog(self) -> int:
        """How many connections wait on the fullest TCP listener; those of unix sockets cannot be counted."""

    def memory(self, pid: int) -> process_memory.Memory:
        """How much memory the process has."""


class SystemProbe:
    """The system itself."""

    def __init__(self, listeners: Sequence[BoundListener]) -> None:
        self._fds = [listener.fd for listener in listeners]

    def knocked(self) -> bool:
        poll = select.poll()
        for fd in self._fds:
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))

    def backlog(self) -> int:
        try:
            return max(map(waiting, self._fds), default=0)
        except OSError:  # no descriptor is free
            return 0

    def memory(self, pid: int) -> process_memory.Memory:
        return process_memory.of(pid)
