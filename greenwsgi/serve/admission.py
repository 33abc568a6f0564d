"""Which clients may connect: allowed peers, and a limit of connections from one address."""

from __future__ import annotations

from collections import Counter

from greenwsgi.wsgi.forwarded_headers import TrustList


class Admission:
    """The admission of one listener.

    Arguments:

    - allowed: the peers that may connect; None for all.
    - most: the number of connections that one address may hold at a time; 0 for any number.
    """

    def __init__(self, allowed: TrustList | None, most: int) -> None:
        self._allowed = allowed
        self._most = most
        self._held: Counter[str] = Counter()

    def refusal(self, peer: str) -> str:
        """Why a connection of this address is refused; "" if it is admitted, then call `leave` at its end."""
        if self._allowed is not None and peer not in self._allowed:
            return "not in uwsgi-allow"
        if self._most and peer and self._held[peer] >= self._most:
            return f"holds {self._most} connections already (connections-per-address)"
        self._held[peer] += 1
        return ""

    def leave(self, peer: str) -> None:
        """A connection that was admitted has ended."""
        self._held[peer] -= 1
        if not self._held[peer]:
            del self._held[peer]
