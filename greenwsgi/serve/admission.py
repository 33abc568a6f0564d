"""Who may come in: allowed peers, and not too many connections from one address."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from greenwsgi.shared.metrics import REFUSED
from greenwsgi.wsgi.forwarded_headers import TrustList

if TYPE_CHECKING:
    from greenwsgi.serve.connection import Connection


class Admission:
    """A rule of the door. allowed: peers, None for all; most: connections an address may hold, 0 for any number."""

    def __init__(self, allowed: TrustList | None, most: int) -> None:
        self._allowed = allowed
        self._most = most
        self._held: Counter[str] = Counter()

    def welcome(self, connection: Connection) -> bool:
        """May it come in? If not, one line says why; if so, `leave` must be called when it goes."""
        peer = connection.peer
        if self._allowed is not None and peer not in self._allowed:
            return _refuse(connection, "not in uwsgi-allow")
        if self._most and peer and self._held[peer] >= self._most:
            return _refuse(connection, f"holds {self._most} connections already (connections-per-address)")
        self._held[peer] += 1
        return True

    def leave(self, connection: Connection) -> None:
        """It goes."""
        self._held[connection.peer] -= 1
        if not self._held[connection.peer]:
            del self._held[connection.peer]


def _refuse(connection: Connection, reason: str) -> bool:
    service = connection.service
    service.seat.counters[REFUSED] += 1
    service.log.info(f"refused {connection.who} on {connection.endpoint.name}: {reason}")
    return False
