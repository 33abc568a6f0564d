"""What stands for something else in a value: %x, $(ENVIRONMENT), @(file) and %(placeholder).

Pure: what a variable can tell is in its Place, what a reference means is found by the caller's function.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_TEXT = 128 * 1024
"""Bytes in a value; the kernel takes no longer argument or environment variable either (MAX_ARG_STRLEN)."""

MAX_STEPS = 1000
"""References replaced in one value; more is a loop."""


class Endless(ValueError):
    """A value that grows, or goes on being replaced, without end."""


# %x


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What %-variables tell of the machine and of who runs us; `seconds` is the time of the start."""

    version: str
    folder: str
    hostname: str
    cpus: int
    uid: int
    user: str
    gid: int
    group: str
    seconds: float
    binary: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text was read.

    path: the file's absolute path; "" for what is no file. given: as it was named, without section. section: the one
    asked for, "" for none. inode: its number, or "". top: the place of the file that was named first.
    """

    path: str
    given: str
    section: str
    machine: HostFacts
    inode: str = ""
    top: Place | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A %-variable: its meaning in words, and how it is found."""

    help: str
    value: Callable[[Place], str]


def _folder(place: Place) -> str:
    return os.path.dirname(place.path)


def _split(place: Place) -> tuple[str, str]:
    """As uWSGI has it: what begins with a dot is all extension."""
    stem, _, extension = os.path.basename(place.path).rpartition(".")
    return (stem, extension) if "." in os.path.basename(place.path) else (extension, "")


def _folder_part(index: int) -> Variable:
    def value(place: Place) -> str:
        parts = [part for part in _folder(place).split("/") if part]
        return parts[index] if index < len(parts) else ""

    return Variable(f"part {index} of the file's folder, from the root", value)


def _hash(place: Place) -> str:
    """djb33x of the path, its bytes in memory's order, as uWSGI prints it."""
    found = 5381
    for byte in os.fsencode(place.path):
        found = (found * 33 ^ byte) & 0xFFFFFFFF
    return found.to_bytes(4, "little").hex().upper() if place.path else ""


_OF_FILE: dict[str, Variable] = {
    "o": Variable("the file as it was named", lambda place: place.given),
    "p": Variable("the file's absolute path", lambda place: place.path),
    "s": Variable("the file's name", lambda place: os.path.basename(place.path)),
    "n": Variable("the file's name without extension", lambda place: _split(place)[0]),
    "e": Variable("the file's extension", lambda place: _split(place)[1]),
    "d": Variable(
        "the file's folder, with a / at its end", lambda place: place.path and _folder(place).rstrip("/") + "/"
    ),
    "c": Variable("the name of the file's folder", lambda place: os.path.basename(_folder(place))),
    "x": Variable("the section asked for", lambda place: place.section),
    "i": Variable("the file's inode", lambda place: place.inode),
    "j": Variable("a hash of the file's path", _hash),
}


def _of_top(variable: Variable) -> Variable:
    return Variable(f"{variable.help}, of the file that was named first", lambda p: variable.value(p.top or p))


MAGIC: dict[str, Variable] = {
    **_OF_FILE,
    **{letter.upper(): _of_top(variable) for letter, variable in _OF_FILE.items()},
    **{str(index): _folder_part(index) for index in range(10)},
    "v": Variable("the folder greenwsgi was started in", lambda place: place.machine.folder),
    "V": Variable("greenwsgi's version", lambda place: place.machine.version),
    "h": Variable("the host's name", lambda place: place.machine.hostname),
    "k": Variable("the number of processors", lambda place: str(place.machine.cpus)),
    "b": Variable("the path of the greenwsgi command", lambda place: place.machine.binary),
    "u": Variable("the user's number", lambda place: str(place.machine.uid)),
    "U": Variable("the user's name", lambda place: place.machine.user),
    "g": Variable("the group's number", lambda place: str(place.machine.gid)),
    "G": Variable("the group's name", lambda place: place.machine.group),
    "t": Variable("the time of the start, in seconds since 1970", lambda p: str(int(p.machine.seconds))),
    "T": Variable("the same in microseconds", lambda p: str(int(p.machine.seconds * 1_000_000))),
    "[": Variable("the escape character, for colours", lambda place: "\033"),
    "%": Variable("a percent sign", lambda place: "%"),
}


def percent(text: str, place: Place) -> tuple[str, list[str]]:
    """Replace %x in a file's text, and name those that mean nothing: they vanish with their letter, as in uWSGI.

    %(name) is left for later.
    """
    unknown: list[str] = []

    def value(found: re.Match[str]) -> str:
        variable = MAGIC.get(found[1])
        if variable is None:
            unknown.append(found[0])
            return ""
        return variable.value(place)

    return re.sub(r"%([^(])", value, text, flags=re.DOTALL), unknown


def table(place: Place) -> dict[str, str]:
    """All variables as they are in that place, by letter."""
    return {letter: variable.value(place) for letter, variable in MAGIC.items()}


# $(name), @(name), %(name)

Lookup = Callable[[str], str | None]
"""What a reference's name stands for; None for nothing, and then the reference stays."""


def references(text: str, symbol: str, lookup: Lookup) -> str:
    """Replace each `symbol(name)`, the innermost first, and what a replacement has brought as well.

    Like uWSGI it does not look again at a replacement that begins the text. Raises Endless.
    """
    at, steps = 0, 0
    while (found := _find(text, symbol, at)) is not None:
        start, end = found
        value = lookup(text[start + 2 : end - 1])
        if value is None:
            at = end
            continue
        steps += 1
        if steps > MAX_STEPS or len(text) + len(value) > MAX_TEXT:
            raise Endless(text)
        text = text[:start] + value + text[end:]
        at = max(1, text.rfind(symbol + "(", 1, start))  # one that was open around it may be whole now
    return text


def _find(text: str, symbol: str, at: int) -> tuple[int, int] | None:
    """Start and end of the next `symbol(name)` that has no other one in its name; parentheses in it are in pairs."""
    pattern = re.compile(rf"{re.escape(symbol)}\(|[()]|{re.escape(symbol)}")
    start, depth = -1, 0
    for token in pattern.finditer(text, at):
        if len(token[0]) == 2:
            start, depth = token.start(), 0
        elif start < 0:
            continue
        elif token[0] == symbol:
            start = -1
        elif token[0] == "(":
            depth += 1
        elif depth:
            depth -= 1
        elif token.start() == start + 2:
            start = -1
        else:
            return start, token.end()
    return None


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1),
}


def compute(name: str, lookup: Lookup) -> str | None:
    """What `%(name)` stands for, where a name with blanks is a sum: `%(a b + 2)` joins a and b and adds 2.

    From left to right, in 64 bits, a division by zero giving 0, as in uWSGI; an unknown name counts as nothing.
    """
    if " " not in name:
        return lookup(name)
    found: str | None = None
    operation = ""
    for word in name.split(" "):
        if word in _OPERATIONS:
            operation = word
        elif word in ("++", "--"):
            if found is not None:
                found = _wrapped(_integer(found) + (1 if word == "++" else -1))
            operation = ""
        elif word:
            value = word if word.isascii() and word.isdecimal() else lookup(word) or ""
            if operation:
                found = _wrapped(_OPERATIONS[operation](_integer(found or ""), _integer(value)))
            else:
                found = (found or "") + value
            operation = ""
    return found


def _integer(text: str) -> int:
    """The number that a text begins with, as C reads it."""
    found = re.match(r"\s*[+-]?[0-9]{1,30}", text)
    return max(-(1 << 63), min((1 << 63) - 1, int(found[0]))) if found else 0


def _wrapped(number: int) -> str:
    return str((number + (1 << 63)) % (1 << 64) - (1 << 63))
