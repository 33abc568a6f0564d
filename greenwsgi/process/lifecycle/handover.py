"""What an image of the master hands to the next one over a re-exec: the document, and data to and from plain JSON.

The next image may be another greenwsgi. So fields it does not know are left out, those that are new have their
defaults, members of enumerations go by their names, and counters by the names of their metrics.
"""

from __future__ import annotations

import json
import os
import types
import typing
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

from greenwsgi.config.read_variables import HANDOVER_VARIABLE
from greenwsgi.process.supervision.fleet import Fleet
from greenwsgi.process.supervision.generation_resources import KeptGeneration
from greenwsgi.shared.scoreboard import anonymous_file

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """All that the next image needs. Descriptors are open in it under the same numbers.

    totals: what the dead counted, by worker number and metric; living: what the living counted so far, for an image
    that cannot read their boards since its layout is another one.
    report: both ends of the pipe, and what was read of a line that has not ended. lifeline: both ends.
    folder: where a hook led the master, "" for where it was started. paths: where the places are that
    an option names.
    listeners: as inherited.keep has them. pidfile, control, fifo: their descriptors, -1 for none; slot: the fifo's.
    control_file: the device and inode of the control socket's file, by which it is known again at the end.
    dropped: whether the server was started by root, and became another user.
    """

    fleet: Fleet
    cycles: dict[int, KeptGeneration]
    layout: str
    totals: dict[int, dict[str, int]]
    living: dict[int, dict[str, int]]
    starts: dict[int, int]
    report: list[int]
    rest: str
    lifeline: list[int]
    listeners: list[dict[str, Any]] = field(default_factory=list)
    pidfile: int = -1
    control: int = -1
    control_file: list[int] = field(default_factory=list)
    fifo: int = -1
    slot: int = 0
    folder: str = ""
    dropped: bool = False
    paths: dict[str, list[str]] = field(default_factory=dict)

    def descriptors(self) -> list[int]:
        """All that must stay open."""
        cycles = [fd for cycle in self.cycles.values() for fd in (cycle.commands, cycle.board, cycle.failure)]
        cycles += [fd for cycle in self.cycles.values() for pipe in cycle.worker_commands for fd in pipe]
        listeners = [one["fd"] for one in self.listeners]
        single = (self.pidfile, self.control, self.fifo)
        return [fd for fd in (*self.report, *self.lifeline, *cycles, *listeners, *single) if fd >= 0]

    def write(self) -> int:
        """The document's descriptor."""
        fd = anonymous_file("greenwsgi-handover")
        os.pwrite(fd, json.dumps(plain(self)).encode(), 0)
        return fd


def announced(environ: MutableMapping[str, str]) -> tuple[bool, Handover]:
    """Is it a rehearsal, and what was handed over.

    HANDOVER_VARIABLE is `N`, the document's descriptor, or `rehearse N`.
    Raises ValueError for what this greenwsgi cannot make sense of.
    """
    told = environ.pop(HANDOVER_VARIABLE).split()
    fd = int(told[-1])
    with open(fd, "rb") as file:
        handed = typed(Handover, json.loads(file.read()))
    return len(told) > 1, handed


def plain(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, Enum):
        return value.name
    if is_dataclass(value):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def typed(kind: type[T], data: Any) -> T:
    """The value of that type which `plain` made plain. Raises ValueError."""
    try:
        return typing.cast(T, _typed(kind, data))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"what was handed over makes no sense here: {error!r}") from error


def _typed(kind: Any, data: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (one for one in arguments if one is not type(None))
        return None if data is None else _typed(inner, data)
    if origin is dict:
        return {arguments[0](key): _typed(arguments[1], one) for key, one in data.items()}
    if origin is list:
        return [_typed(arguments[0], one) for one in data]
    if is_dataclass(kind):
        kinds = typing.get_type_hints(kind)
        known = {one.name: _typed(kinds[one.name], data[one.name]) for one in fields(kind) if one.name in data}
        return kind(**known)  # type: ignore[operator]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind[data]
    if kind is Any or isinstance(data, kind) or (kind is float and isinstance(data, int)):
        return data
    raise TypeError(f"{data!r} is no {kind}")
