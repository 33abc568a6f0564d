"""FastCGI's name-value pairs (FastCGI 1.0, 3.4): u8 or u31be length of the name, the same of the value, name, value.

Hot path, budget 0.5 us a pair. Strings are latin-1, never decoded again.
"""

from __future__ import annotations

from collections.abc import Iterator

from greenwsgi.errors import PeerError
from greenwsgi.wire.cgi_connection import NO_COMMANDS, take_variable
from greenwsgi.wire.variable_layouts import Layouts, is_foul, learn, recall

SHORT = 127
"""The longest length that fits in one byte; another has four, of which the first bit is set."""

MOST_NAMES = 1024
LONGEST_NAME = 64
KNOWN_NAMES: dict[str, str] = {}
"""Names that were validated. Commands are never in here."""

LAYOUTS: Layouts = {}


def parse_params(block: bytes, most: int) -> dict[str, str]:
    """The variables of a request. Raises PeerError: bad lengths, null names, too many, foul bytes."""
    variables = recall(LAYOUTS, block, most)
    return walk_params(block, most) if variables is None else variables


def walk_params(block: bytes, most: int) -> dict[str, str]:
    """The same, pair by pair, for names that are known."""
    text, names, end, at = block.decode("latin-1"), KNOWN_NAMES, len(block), 0
    variables: dict[str, str] = {}
    try:
        for count in range(most + 1):  # noqa: B007 - it is used behind the loop
            if at >= end:
                break
            start, length = at + 2, block[at + 1]
            if length > SHORT:
                start = at + 5
                length = int.from_bytes(block[at + 1 : start], "big") & 0x7FFFFFFF
            middle = start + block[at]  # a long name is not a known one
            at = middle + length
            variables[names[text[start:middle]]] = text[middle:at]
        else:
            raise PeerError(f"more than {most} FastCGI variables", 431)
    except (KeyError, IndexError):
        return careful_params(block, most)
    if at != end or count != len(variables) or is_foul("".join(variables.values())):
        return careful_params(block, most)
    learn(LAYOUTS, block, variables, overhead)
    return variables


def careful_params(block: bytes, most: int, allowed: frozenset[str] = NO_COMMANDS) -> dict[str, str]:
    """The same for a block in which something is new, unusual or wrong: each variable is looked at.

    allowed: commands that are passed on all the same.
    """
    variables: dict[str, str] = {}
    for count, (name, value) in enumerate(pairs(block)):
        if count == most:
            raise PeerError(f"more than {most} FastCGI variables", 431)
        if take_variable(variables, name, value, allowed) and len(name) <= LONGEST_NAME:
            if len(KNOWN_NAMES) >= MOST_NAMES:
                KNOWN_NAMES.clear()
            KNOWN_NAMES[name] = name
    return variables


def pairs(block: bytes) -> Iterator[tuple[str, str]]:
    """Name and value of each pair. Raises PeerError when they do not fill the block exactly."""
    text = block.decode("latin-1")
    at = 0
    while at < len(block):
        size, at = read_length(block, at)
        length, at = read_length(block, at)
        middle = at + size
        stop = middle + length
        if stop > len(block):
            raise PeerError("FastCGI pair longer than its stream")
        yield text[at:middle], text[middle:stop]
        at = stop


def read_length(block: bytes, at: int) -> tuple[int, int]:
    """A length, and where it ends."""
    stop = at + (4 if block[at : at + 1] > b"\x7f" else 1)
    if stop > len(block):
        raise PeerError("FastCGI pair longer than its stream")
    return int.from_bytes(block[at:stop], "big") & 0x7FFFFFFF, stop


def overhead(name: str, value: str) -> int:
    """The two lengths of a pair."""
    return 2 + 3 * (len(name) > SHORT) + 3 * (len(value) > SHORT)


def encode(found: dict[str, str]) -> bytes:
    """Pairs of short names and values, for an answer."""
    return b"".join(bytes((len(name), len(value))) + f"{name}{value}".encode() for name, value in found.items())
