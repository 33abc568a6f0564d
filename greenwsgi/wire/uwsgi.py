"""The uwsgi protocol: a 4-byte header, a block of variables, a body.

Hot path, budget 0.5 us a variable. Packet: u8 modifier1, u16le size, u8 modifier2, then `size` bytes of
(u16le length, name, u16le length, value), then CONTENT_LENGTH bytes of body. Strings are latin-1, never decoded again.
"""

from __future__ import annotations

from greenwsgi.errors import PeerError
from greenwsgi.wire.cgi_connection import COMMANDS, NO_COMMANDS, CgiConnection, take_variable
from greenwsgi.wire.protocol import Reply, RequestHead
from greenwsgi.wire.variable_layouts import Layouts, is_foul, learn, recall

WSGI, CGI, WSGI_UNDER_SCRIPT_NAME, PING = 0, 9, 30, 100
"""modifier1. 30 asks to take SCRIPT_NAME off the front of PATH_INFO; 9 is as good as 0 where programs are served; every
other number is refused."""

PONG = b"\x64\x00\x00\x01"
HEADER = 4

MOST_NAMES = 1024
LONGEST_NAME = 64
KNOWN_NAMES: dict[str, str] = {}
"""Names that were validated, each behind a NUL. Commands are never in here."""


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
        if modifier not in (WSGI, WSGI_UNDER_SCRIPT_NAME, PING) and not (modifier == CGI and self.limits.cgi):
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
        block, limits = bytes(data[start + HEADER : self.pos]), self.limits
        if limits.commands:
            variables = careful_block(block, limits.headers, COMMANDS)
        else:
            variables = parse_block(block, limits.headers)
        if modifier == WSGI_UNDER_SCRIPT_NAME:
            strip_script_name(variables)
        return self.begin(variables, HEADER + size)


LAYOUTS: Layouts = {}


def parse_block(block: bytes, most: int) -> dict[str, str]:
    """The variables of a block. Raises PeerError: bad lengths, null names, too many, foul bytes.

    Walking along takes 0.5 us a variable in Python 3.11, whatever is tried (unpack_from, BytesIO, a regex of the
    names), so the layouts of the last ones are remembered (see layouts.py).
    """
    variables = recall(LAYOUTS, block, most)
    return walk_block(block, most) if variables is None else variables


def walk_block(block: bytes, most: int) -> dict[str, str]:
    """The same, variable by variable, for names that are known."""
    text, end = block.decode("latin-1"), len(block)
    names = KNOWN_NAMES
    variables: dict[str, str] = {}
    at = 0
    try:
        for count in range(most + 1):  # noqa: B007 - it is used behind the loop
            if at >= end:
                break
            middle = at + 2 + block[at]
            last = middle + 2 + block[middle]
            if block[middle + 1]:
                last += block[middle + 1] << 8
            variables[names[text[at + 1 : middle]]] = text[middle + 2 : last]
            at = last
        else:
            raise PeerError(f"more than {most} uwsgi variables", 431)
    except (KeyError, IndexError):
        return careful_block(block, most)
    if at != end or count != len(variables) or is_foul("".join(variables.values())):
        return careful_block(block, most)
    learn(LAYOUTS, block, variables, overhead)
    return variables


def overhead(_name: str, _value: str) -> int:
    """The two lengths of a variable."""
    return 4


def careful_block(block: bytes, most: int, allowed: frozenset[str] = NO_COMMANDS) -> dict[str, str]:
    """The same for a block in which something is new, unusual or wrong: each variable is looked at.

    allowed: commands that are passed on all the same.
    """
    variables: dict[str, str] = {}
    text = block.decode("latin-1")
    at = count = 0
    while at < len(block):
        count += 1
        if count > most:
            raise PeerError(f"more than {most} uwsgi variables", 431)
        start = at + 2
        middle = start + int.from_bytes(block[at:start], "little")
        at = middle + 2 + int.from_bytes(block[middle : middle + 2], "little")
        if at > len(block):
            raise PeerError("uwsgi variable longer than its block")
        name = text[start:middle]
        if take_variable(variables, name, text[middle + 2 : at], allowed) and len(name) <= LONGEST_NAME:
            remember(name)
    return variables


def remember(name: str) -> None:
    """Let the quick way know a name. The key has the high byte of the name's length in front, which is thus checked."""
    if len(KNOWN_NAMES) >= MOST_NAMES:
        KNOWN_NAMES.clear()
    KNOWN_NAMES["\0" + name] = name


def strip_script_name(variables: dict[str, str]) -> None:
    """modifier1 30: PATH_INFO begins with SCRIPT_NAME, by whole segments, which is taken off."""
    script, path = variables.get("SCRIPT_NAME", ""), variables.get("PATH_INFO", "")
    if path == script or path.startswith(script + "/"):
        variables["PATH_INFO"] = path[len(script) :]
