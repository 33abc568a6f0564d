"""SCGI: a netstring of variables, a body (SCGI protocol, 2008-06-23; netstrings, D. J. Bernstein 1997).

Hot path, budget 0.25 us a variable. Request: `size:` in decimal, `size` bytes of (name, NUL, value, NUL), `,`, then
CONTENT_LENGTH bytes of body. CONTENT_LENGTH comes first, and SCGI says "1". Strings are latin-1, never decoded again.
"""

from __future__ import annotations

from greenwsgi.errors import PeerError
from greenwsgi.wire.cgi_connection import COMMANDS, NO_COMMANDS, CgiConnection, complete_path, take_variable
from greenwsgi.wire.protocol import RequestHead

MOST_DIGITS = 9
COMMA = ord(",")

MOST_NAMES = 1024
LONGEST_NAME = 64
KNOWN_NAMES: set[str] = set()
"""Names that were validated. Commands are never in here."""


class Scgi(CgiConnection):
    """One connection of an SCGI gateway; its answers begin `Status: `. Implements WireProtocol."""

    __slots__ = ()
    nph = False

    def read_head(self) -> RequestHead | None:
        """The head, once it is whole. Its length is known and refused before the rest of it arrives."""
        data, start = self.data, self.pos
        colon = data.find(b":", start, start + MOST_DIGITS + 1)
        if colon < 0:
            check_digits(bytes(data[start : start + MOST_DIGITS + 1]))
            return None
        size = netstring_size(bytes(data[start:colon]))
        if size > self.limits.head:
            raise PeerError(f"SCGI headers of {size} bytes, the limit is {self.limits.head}", 431)
        first, last = colon + 1, colon + 1 + size
        if len(data) <= last:
            return None
        if data[last] != COMMA:
            raise PeerError("SCGI netstring without a comma behind it")
        self.pos = last + 1
        allowed = COMMANDS if self.limits.commands else NO_COMMANDS
        variables = parse_headers(bytes(data[first:last]), self.limits.headers, allowed)
        return self.begin(variables, last + 1 - start)


class ScgiNph(Scgi):
    """The same with a status line as HTTP has it (a gateway's "non-parsed headers")."""

    __slots__ = ()
    nph = True


def check_digits(digits: bytes) -> None:
    """Refuse at once what can no longer become a netstring's size."""
    if not digits:
        return
    if not digits.isdigit():
        raise PeerError("SCGI request that does not begin with a netstring's size")
    if digits[0] == 48 and len(digits) > 1:
        raise PeerError("SCGI netstring whose size begins with 0")
    if len(digits) > MOST_DIGITS:
        raise PeerError(f"SCGI netstring with a size of more than {MOST_DIGITS} digits", 431)


def netstring_size(digits: bytes) -> int:
    """The number before the colon. Raises PeerError: no digits, others beside them, a 0 in front."""
    check_digits(digits)
    if not digits:
        raise PeerError("SCGI netstring without a size")
    return int(digits)


def parse_headers(block: bytes, most: int, allowed: frozenset[str] = NO_COMMANDS) -> dict[str, str]:
    """The variables of a netstring. Raises PeerError: no pairs, too many, foul bytes, what must be there is not.

    The usual request names what was seen before, so that C functions of str, dict and set do it all.
    allowed: commands that are passed on all the same.
    """
    text = block.decode("latin-1")
    parts = text.split("\0", 2 * most + 1)  # no more of a block of NULs
    count = len(parts) >> 1
    variables = dict(zip(parts[0:-1:2], parts[1::2], strict=False))
    if (
        len(variables) != count
        or not len(parts) & 1
        or parts[-1]
        or parts[0] != "CONTENT_LENGTH"
        or not KNOWN_NAMES.issuperset(variables)
        or "\n" in text
        or "\r" in text
    ):
        variables = careful_headers(parts, most, allowed)
    if variables.get("SCGI") != "1":
        raise PeerError("SCGI request without the variable SCGI=1 (nginx: scgi_param SCGI 1)")
    if not variables["CONTENT_LENGTH"]:
        raise PeerError("SCGI request with an empty CONTENT_LENGTH")
    complete_path(variables)
    return variables


def careful_headers(parts: list[str], most: int, allowed: frozenset[str]) -> dict[str, str]:
    """The same for headers in which something is new, unusual or wrong: each variable is looked at."""
    if len(parts) > 2 * most + 1:
        raise PeerError(f"more than {most} SCGI variables", 431)
    if parts.pop() or len(parts) & 1:
        raise PeerError("SCGI headers that are no pairs of name and value, each with a NUL behind it")
    if not parts or parts[0] != "CONTENT_LENGTH":
        raise PeerError("SCGI request whose first variable is not CONTENT_LENGTH")
    variables: dict[str, str] = {}
    for name, value in zip(parts[0::2], parts[1::2], strict=True):
        if take_variable(variables, name, value, allowed) and len(name) <= LONGEST_NAME:
            if len(KNOWN_NAMES) >= MOST_NAMES:
                KNOWN_NAMES.clear()
            KNOWN_NAMES.add(name)
    return variables
