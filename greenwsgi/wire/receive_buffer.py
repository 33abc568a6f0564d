"""Received bytes that no event has used yet.

Hot path, budget 0.2 us a `receive_data`. The usual case is one piece of bytes that holds a whole head: it is kept as it
came. Only when a second piece meets an unfinished first one are they joined, in a bytearray, so that a head that
trickles in byte by byte costs amortized constant time a byte.
"""

from __future__ import annotations


class Buffer:
    """The receiving end of a protocol: `data[pos:]` waits to be used. Protocols inherit it: one call less a request.

    at_eof: the peer said that it will send no more. Bounded if `receive_data` is only called after an event said
    "more": then it holds one unfinished head at most, and what one `receive_data` brought.
    """

    __slots__ = ("at_eof", "data", "deaf", "pos")

    says_close = True
    still_sends = False

    def __init__(self) -> None:
        self.data: bytes | bytearray = b""
        self.pos = 0
        self.at_eof = False
        self.deaf = False

    @property
    def aborted(self) -> bool:
        """Has the peer said that it wants no answer? Few protocols can."""
        return False

    def complain(self, data: bytes) -> bool:
        """Bytes for the peer's error log; False where there is none."""
        return False

    def parting(self) -> bytes:
        """What was kept back for the end of our side; few protocols keep anything."""
        return b""

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; b"" says that it will send no more. A deaf buffer forgets what it is given."""
        held = self.data
        if self.pos >= len(held) and data and not self.deaf:
            self.data = data
            self.pos = 0
        elif not data:
            self.at_eof = True
        elif self.deaf:
            return
        elif type(held) is bytearray:
            del held[: self.pos]
            held += data
            self.pos = 0
        else:
            self.data = bytearray(held[self.pos :]) + data
            self.pos = 0

    def waiting(self) -> int:
        """How many bytes are here."""
        return len(self.data) - self.pos

    def take(self, most: int) -> bytes:
        """Use up to `most` bytes, without a copy when they are all there is."""
        data, pos = self.data, self.pos
        if pos == 0 and len(data) <= most:
            self.data = b""
            return bytes(data)
        piece = bytes(data[pos : pos + most])
        self.pos = pos + len(piece)
        return piece

    def drop_all(self) -> bytes:
        """Use everything, and be deaf from now on."""
        rest = bytes(self.data[self.pos :])
        self.data = b""
        self.pos = 0
        self.deaf = True
        return rest
