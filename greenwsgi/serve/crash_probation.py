"""The probation of a worker that replaces a crashed one: another request that crashes it affects one client only.

The request that caused the crash may be sent again, or wait in the queue already. So this worker takes one connection
at a time, on all its listeners together, until one request has ended, or until LONGEST seconds after the first
connection: a silent client or a long poll must not exclude the others. After the probation it has no cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gevent.hub import get_hub

from greenwsgi.serve.acceptor import Acceptor
from greenwsgi.serve.service import OpenConnection, Service

LONGEST = 1.0
"""Seconds. Most requests that crash a worker do so at once."""


class CrashProbation:
    """The probation of one worker, which begins when the object is made.

    Attribute `taken`: there is a connection, and the next one must wait for its end.
    """

    def __init__(self, service: Service, acceptors: Sequence[Acceptor]) -> None:
        self.taken = False
        self._service = service
        self._acceptors = acceptors
        self._finished = service.finished
        self._timer: Any = get_hub().loop.timer(LONGEST)
        service.finished = self._proven
        service.connections = _Connections(self, service.connections)
        for acceptor in acceptors:
            acceptor.probation = self

    def take(self) -> None:
        """A connection has been accepted: accept no other until it has ended."""
        self.taken = True
        if not self._timer.active:
            self._timer.start(self.end)

    def left(self) -> None:
        """The connection has ended."""
        self.taken = False
        for acceptor in self._acceptors:
            acceptor.resume()

    def end(self) -> None:
        """End the probation: accept without this limit."""
        self._timer.stop()
        self._timer.close()
        self._service.finished = self._finished
        self._service.connections = set(self._service.connections)
        for acceptor in self._acceptors:
            acceptor.probation = None
            acceptor.resume()

    def _proven(self) -> None:
        """A request has ended, and the worker has not."""
        self.end()
        if self._finished is not None:
            self._finished()


class _Connections(set[OpenConnection]):
    """`Service.connections` during the probation: notifies it when a connection ends."""

    def __init__(self, probation: CrashProbation, connections: Iterable[OpenConnection]) -> None:
        super().__init__(connections)
        self._probation = probation

    def discard(self, connection: object) -> None:
        super().discard(connection)
        self._probation.left()
