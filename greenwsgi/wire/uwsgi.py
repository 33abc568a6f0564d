"""The uwsgi protocol: a 4-byte header, a block of variables, a body.

Hot path, budget 0.5 us a variable. Packet: u8 modifier1, u16le size, u8 modifier2, then `size` bytes of
(u16le length, name, u16le length, value), then CONTENT_LENGTH bytes of body. Strings are latin-1, never decoded again.
"""

from __future__ import annotations

from greenwsgi.errors import PeerError
from greenwsgi.wire.cgi import COMMANDS, SINGLETONS, CgiConnection, check_variable
from greenwsgi.wire.events import Reply, RequestHead

WSGI, WSGI_UNDER_SCRIPT_NAME, PING = 0, 30, 100
"""modifier1. 30 asks to take SCRIPT_NAME off the front of PATH_INFO; every other number is refused."""

PONG = b"\x64\x00\x00\x01"
HEADER = 4


class Uwsgi(CgiConnection):
    """One connection of a uwsgi gateway; implements WireProtocol."""

    __slots__ = ()

    def read_head(self) -> RequestHead | Reply | None:
        """The head, once it is whole. Its length is known and refused before the rest of it arrives."""
        data, start = self.data, self.pos
        here = len(data) - start
        if not here:
            return None
        modifier = data[start]
        if modifier not in (WSGI, WSGI_UNDER_SCRIPT_NAME, PING):
            raise PeerError(f"uwsgi modifier {modifier} is not served here", 501)
        if here < HEADER:
            return None
        size = data[start + 1] | data[start + 2] << 8
        if size > self.limits.head:
            raise PeerError(f"uwsgi block of {size} bytes, the limit is {self.limits.head}", 431)
        if here < HEADER + size:
            return None
        self.pos = start + HEADER + size
        if modifier == PING:
            self._head_done = self.body_done = True
            return Reply(PONG)
        if not size:
            raise PeerError("uwsgi packet without variables")
        variables = parse_block(bytes(data[start + HEADER : self.pos]), self.limits.headers)
        if modifier == WSGI_UNDER_SCRIPT_NAME:
            strip_script_name(variables)
        return self.begin(variables, HEADER + size, (modifier, data[start + 3]))


def parse_block(block: bytes, most: int) -> dict[str, str]:
    """The variables of a block. Raises PeerError: bad lengths, null names, too many, foul bytes."""
    text = block.decode("latin-1")
    end = len(block)
    variables: dict[str, str] = {}
    at = 0
    count = 0
    try:
        while at < end:
            start = at + 2
            middle = start + (block[at] | block[at + 1] << 8)
            after = middle + 2
            at = after + (block[middle] | block[middle + 1] << 8)
            variables[text[start:middle]] = text[after:at]
            count += 1
    except IndexError:
        raise PeerError("uwsgi variable longer than its block") from None
    if at != end:
        raise PeerError("uwsgi variable longer than its block")
    if count > most:
        raise PeerError(f"more than {most} uwsgi variables", 431)
    foul = "".join(variables.values())
    if "\n" in foul or "\r" in foul or "\0" in foul or "" in variables or "UWSGI_" in text or count != len(variables):
        return careful_block(block)
    return variables


def careful_block(block: bytes) -> dict[str, str]:
    """The same for a block, of right lengths, in which something is unusual: each variable is looked at."""
    variables: dict[str, str] = {}
    text = block.decode("latin-1")
    at = 0
    while at < len(block):
        start = at + 2
        middle = start + int.from_bytes(block[at:start], "little")
        at = middle + 2 + int.from_bytes(block[middle : middle + 2], "little")
        name, value = text[start:middle], text[middle + 2 : at]
        check_variable(name, value)
        if name in SINGLETONS and variables.get(name, value) != value:
            raise PeerError(f"more than one {name}")
        if name not in COMMANDS:
            variables[name] = value
    return variables


def strip_script_name(variables: dict[str, str]) -> None:
    """modifier1 30: PATH_INFO begins with SCRIPT_NAME, which is taken off."""
    script, path = variables.get("SCRIPT_NAME", ""), variables.get("PATH_INFO", "")
    if script and path.startswith(script):
        variables["PATH_INFO"] = path[len(script) :]
