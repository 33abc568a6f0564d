"""What stands for something else in a value: %x, $(ENVIRONMENT) and %(placeholder).

Pure: all a variable can tell is in its Place. `percent` and `environment` also return the names that meant nothing.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from greenwsgi.config.settings import Assignment


@dataclass(frozen=True, slots=True)
class Machine:
    """What %-variables tell of the machine and of who runs us."""

    version: str
    folder: str
    hostname: str
    cpus: int
    uid: int
    user: str
    gid: int
    group: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text was read: the file's absolute path, how it was named, the section asked for ("" for none)."""

    path: str
    given: str
    section: str
    machine: Machine


@dataclass(frozen=True, slots=True)
class Variable:
    """A %-variable: its meaning in words, and how it is found."""

    help: str
    value: Callable[[Place], str]


def _folder_part(index: int) -> Variable:
    def value(place: Place) -> str:
        return dict(enumerate(os.path.dirname(place.path).split("/")[1:])).get(index, "")

    return Variable(f"part {index} of the file's folder, from the root", value)


MAGIC: dict[str, Variable] = {
    "o": Variable("the file as it was named", lambda place: place.given),
    "p": Variable("the file's absolute path", lambda place: place.path),
    "s": Variable("the file's name", lambda place: os.path.basename(place.path)),
    "n": Variable("the file's name without extension", lambda place: _split(place)[0]),
    "e": Variable("the file's extension", lambda place: _split(place)[1]),
    "d": Variable("the file's folder, with a / at its end", lambda place: _folder(place).rstrip("/") + "/"),
    "c": Variable("the name of the file's folder", lambda place: os.path.basename(_folder(place))),
    "x": Variable("the section asked for", lambda place: place.section),
    "v": Variable("the folder greenwsgi was started in", lambda place: place.machine.folder),
    "V": Variable("greenwsgi's version", lambda place: place.machine.version),
    "h": Variable("the host's name", lambda place: place.machine.hostname),
    "k": Variable("the number of processors", lambda place: str(place.machine.cpus)),
    "u": Variable("the user's number", lambda place: str(place.machine.uid)),
    "U": Variable("the user's name", lambda place: place.machine.user),
    "g": Variable("the group's number", lambda place: str(place.machine.gid)),
    "G": Variable("the group's name", lambda place: place.machine.group),
    "t": Variable("the time, in seconds since 1970", lambda place: str(place.machine.seconds)),
    "%": Variable("a percent sign", lambda place: "%"),
    **{str(index): _folder_part(index) for index in range(10)},
}


def _folder(place: Place) -> str:
    return os.path.dirname(place.path)


def _split(place: Place) -> tuple[str, str]:
    stem, extension = os.path.splitext(os.path.basename(place.path))
    return stem, extension[1:]


def percent(text: str, place: Place) -> tuple[str, list[str]]:
    """Replace %x in a file's text. As in uWSGI an unknown one vanishes, with its letter; %(name) is left for later."""
    unknown: list[str] = []

    def value(found: re.Match[str]) -> str:
        variable = MAGIC.get(found[1])
        if variable is None:
            unknown.append(found[0])
            return ""
        return variable.value(place)

    return re.sub(r"%([^(])", value, text), unknown


def environment(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Replace $(NAME); one that is not set stays as it is."""
    unset = [name for name in re.findall(r"\$\(([^()]+)\)", text) if name not in environ]
    return re.sub(r"\$\(([^()]+)\)", lambda found: environ.get(found[1], found[0]), text), unset


def placeholders(assignments: Iterable[Assignment]) -> list[Assignment]:
    """Replace %(name) by the text of the first assignment to `name`, wherever it stands; unknown ones stay."""
    assignments = list(assignments)
    first = {one.key: index for index, one in reversed(list(enumerate(assignments)))}

    def value(found: re.Match[str]) -> str:
        index = first.get(found[1])
        return found[0] if index is None else assignments[index].text

    for index, one in enumerate(assignments):
        if "%(" in one.text:
            assignments[index] = replace(one, text=re.sub(r"%\(([^()]+)\)", value, one.text))
    return assignments
