"""The messages between master, zygotes and workers: JSON, one object a line, over plain pipes.

Each message is a dataclass of its own; MESSAGES is the registry. On the wire it is an object with `word`, which names
the message, and its fields. Three kinds of pipes carry them (`shared/message_pipes.py`):

- the report pipe, from all zygotes and workers up to the master;
- the command pipe of each zygote, whose end of file means "leave";
- the command pipe of each seat, down to the worker on it.

Sender and receiver may be different versions, over a re-exec for example. So unknown messages and unknown fields are
ignored, and a field that is new to a message must have a default.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields
from typing import Any, ClassVar

from greenwsgi.shared.resources import Resources

HANDSHAKE = 0.1
"""Seconds that a client's TCP handshake may be under way when the server stops."""

LINE_LIMIT = 512  # POSIX's smallest PIPE_BUF, and macOS's


@dataclass(frozen=True, slots=True)
class Message:
    """One line. A subclass is one kind of message; `word` is its name on the wire."""

    word: ClassVar[str]

    def encode(self) -> bytes:
        """The line, at most LINE_LIMIT bytes: a `reason` that is too long is cut."""
        said: dict[str, Any] = {"word": self.word, **asdict(self)}
        while len(line := json.dumps(said, separators=(",", ":")).encode() + b"\n") > LINE_LIMIT:
            said["reason"] = said["reason"][: len(said["reason"]) * 9 // 10]
        return line


# Reports, up to the master


@dataclass(frozen=True, slots=True)
class Report(Message):
    """What a zygote or a worker tells the master."""

    generation: int
    """The number of the sender's generation."""
    pid: int
    """The sender's; in Died the dead worker's."""


@dataclass(frozen=True, slots=True)
class Loaded(Report):
    """The zygote has the application (or leaves it to the workers, under lazy-apps) and can fork."""

    word = "loaded"


@dataclass(frozen=True, slots=True)
class Failed(Report):
    """The application cannot be loaded: by the zygote, or under lazy-apps by a worker."""

    word = "failed"
    status: int
    """The exit status of the sender, and of a server that cannot start because of it."""
    reason: str
    """Why, in one line."""
    seat: int = -1
    """The worker's; -1 for a zygote."""


@dataclass(frozen=True, slots=True)
class Forked(Report):
    """The first message of a worker."""

    word = "forked"
    seat: int


@dataclass(frozen=True, slots=True)
class Ready(Report):
    """The worker accepts connections."""

    word = "ready"
    seat: int


@dataclass(frozen=True, slots=True)
class Retire(Report):
    """The worker asks for a successor. It serves on until it is told to leave."""

    word = "retire"
    seat: int
    reason: str
    """Why, in one line."""


@dataclass(frozen=True, slots=True)
class Died(Report):
    """The zygote saw a worker die, and has not reaped it: no other process can have that pid yet."""

    word = "died"
    seat: int
    status: int
    """The worker's exit status, negative for a signal."""


# Commands to a zygote


@dataclass(frozen=True, slots=True)
class ForkWorker(Message):
    """Fork a worker on that seat."""

    word = "fork"
    seat: int
    number: int
    """The worker's number, 1 to N."""
    paused: bool = False
    """The server is paused: the worker accepts no connections until Resume."""
    probation: bool = False
    """The worker before it crashed, so this one takes one connection at a time at first."""


@dataclass(frozen=True, slots=True)
class Reap(Message):
    """Reap the dead worker: the master does not signal that pid any more."""

    word = "reap"
    pid: int


# Commands to a worker. The pid is the receiver's: a worker ignores what was meant for the one before it on its seat


@dataclass(frozen=True, slots=True)
class ReopenLog(Message):
    """Open the log file again, since it was moved; to zygotes too."""

    word = "reopen-log"
    pid: int


@dataclass(frozen=True, slots=True)
class Pause(Message):
    """Accept no connections until Resume; those that are open go on."""

    word = "pause"
    pid: int


@dataclass(frozen=True, slots=True)
class Resume(Message):
    """Accept connections again."""

    word = "resume"
    pid: int


ZygoteCommand = ForkWorker | Reap | ReopenLog
WorkerCommand = ReopenLog | Pause | Resume

MESSAGES: tuple[type[Message], ...] = (
    *(Loaded, Failed, Forked, Ready, Retire, Died),
    *(ForkWorker, Reap),
    *(ReopenLog, Pause, Resume),
)

_Fields = Mapping[str, tuple[Field[Any], type]]


def _fields_of(kind: type[Message]) -> _Fields:
    types = typing.get_type_hints(kind)
    return {field.name: (field, types[field.name]) for field in fields(kind)}


_BY_WORD: Mapping[str, tuple[type[Message], _Fields]] = {kind.word: (kind, _fields_of(kind)) for kind in MESSAGES}


def decode(line: bytes) -> Message:
    """The message of one line, without fields that it does not have here.

    Raises ValueError for anything else: no JSON object, an unknown message, a missing field, a value of a wrong type.
    """
    if len(line) > LINE_LIMIT:  # whatever it is: nested deeply enough, it would exhaust the parser
        raise ValueError("too long for a message")
    said = json.loads(line)
    word = said.get("word") if isinstance(said, dict) else None
    if not isinstance(word, str) or word not in _BY_WORD:
        raise ValueError(f"no message: {line!r}")
    kind, known = _BY_WORD[word]
    values = {}
    for name, (field, wanted) in known.items():
        if name not in said and field.default is not MISSING:
            continue
        if type(said.get(name)) is not wanted:  # not isinstance: True is no number
            raise ValueError(f"{word}: {name} is no {wanted.__name__}: {line!r}")
        values[name] = said[name]
    return kind(**values)


@dataclass(frozen=True, slots=True)
class BootDocument:
    """All that a zygote gets from the master at its start. Descriptors have the same numbers in both.

    A zygote may be newer than its master: it ignores the fields that it does not know, and fields that are new have
    defaults. Only the scoreboard must be the same for both.
    """

    generation: int
    configuration: Mapping[str, Any]
    """All of it, as config.settings encodes it."""
    resources: Resources
    """All that the zygote inherits, of the server and of its generation."""
    seats: int
    """How many seats the scoreboard has."""
    cores: int
    """How many requests a seat of the scoreboard has room for."""
    log_file: str = ""
    """The path that ReopenLog opens; "" if the log goes to no file."""
    layout: str = ""
    """The layout of the scoreboard."""

    def encode(self) -> bytes:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return json.dumps({**values, "resources": self.resources.plain()}).encode()

    @classmethod
    def decode(cls, data: bytes) -> BootDocument:
        said: Mapping[str, Any] = json.loads(data)
        known = {field.name: said[field.name] for field in fields(cls) if field.name in said}
        return cls(**{**known, "resources": Resources.read(said["resources"])})
