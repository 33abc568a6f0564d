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
from itertools import chain
from typing import Any, TypeVar

from greenwsgi.config.read_variables import HANDOVER_VARIABLE
from greenwsgi.process.supervision.fleet import Fleet
from greenwsgi.process.supervision.generation_resources import KeptGeneration
from greenwsgi.shared.resources import Resources
from greenwsgi.shared.scoreboard import anonymous_file

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """All that the next image needs. Descriptors are open in it under the same numbers."""

    fleet: Fleet
    cycles: dict[int, KeptGeneration]
    """What is open for each generation."""
    layout: str
    """The layout of their scoreboards."""
    totals: dict[int, dict[str, int]]
    """What workers that have ended counted, by worker number and metric."""
    living: dict[int, dict[str, int]]
    """What the workers that live counted so far, for an image that cannot read their boards."""
    starts: dict[int, int]
    """How often a worker of each number has become ready."""
    resources: Resources
    """What is open for the server as a whole."""
    rest: str = ""
    """What was read of a report whose line has not ended."""
    slot: int = 0
    """Which of the fifo's names is in use."""
    folder: str = ""
    """The folder that a hook changed to, "" for the one where the server was started."""
    dropped: bool = False
    """Whether the server was started by root and became another user."""
    paths: dict[str, list[str]] = field(default_factory=dict)
    """The paths in use, by the option that names them."""

    def descriptors(self) -> list[int]:
        """All that must stay open."""
        kept = (one.resources.descriptors for one in self.cycles.values())
        return [*self.resources.descriptors, *chain.from_iterable(kept)]

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
    if isinstance(value, Resources):
        return value.plain()
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
    if kind is Resources:
        return Resources.read(data)
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
