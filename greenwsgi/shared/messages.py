"""What master, zygotes and workers say to each other: JSON, one object a line, over plain pipes.

Up, on the one report pipe of the master (any number of writers; a line is shorter than PIPE_BUF, so it arrives whole):

    loaded                     the zygote has the application (or leaves it to the workers) and can fork
    failed status reason       the application cannot be loaded: by the zygote, or under lazy-apps by a worker
    forked seat                a worker's first word
    ready seat                 the worker accepts connections
    retire seat reason         the worker asks for a successor; it serves on until it is told to leave
    died seat pid status       the zygote saw a worker die and has not reaped it: the pid is nobody else's yet

Down, on the command pipe of each zygote; its end of file means "leave":

    fork seat number paused probation
                               make worker `number` on that seat, which accepts nothing while the server is paused,
                               and on probation, since the one before it crashed, one connection at a time at first
    reap pid                   the master will not signal that pid any more
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from greenwsgi.shared.descriptor_numbers import raised

HANDSHAKE = 0.1
"""Seconds that a client's TCP handshake may be under way when the server stops."""

LINE_LIMIT = 512  # POSIX's smallest PIPE_BUF, and macOS's
_READ_SIZE = 65536


class Word(StrEnum):
    LOADED = "loaded"
    FAILED = "failed"
    FORKED = "forked"
    READY = "ready"
    RETIRE = "retire"
    DIED = "died"
    FORK = "fork"
    REAP = "reap"


@dataclass(frozen=True, slots=True)
class Message:
    """One line.

    pid: the speaker's, but the worker's in died and reap. status: an exit status; in died negative for a signal.
    """

    word: Word
    generation: int = 0
    pid: int = 0
    seat: int = -1
    number: int = 0
    status: int = 0
    reason: str = ""
    paused: bool = False
    probation: bool = False

    def encode(self) -> bytes:
        """The line, at most LINE_LIMIT bytes: a reason that is too long loses its end."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        reason = self.reason
        while len(line := json.dumps(said | {"reason": reason}, separators=(",", ":")).encode() + b"\n") > LINE_LIMIT:
            reason = reason[: len(reason) * 9 // 10]
        return line

    @classmethod
    def decode(cls, line: bytes) -> Message:
        """The message of one line; what it says that we do not know is left out: a zygote may be newer than its master.

        Raises ValueError for anything else.
        """
        if len(line) > LINE_LIMIT:  # no matter what it is: nested deeply enough, it would exhaust the parser
            raise ValueError("too long for a message")
        try:
            said = json.loads(line)
            known = {field.name: said[field.name] for field in fields(cls) if field.name in said}
            message = cls(**(known | {"word": Word(said["word"])}))
        except (TypeError, KeyError) as error:
            raise ValueError(f"no message: {line!r}") from error
        numbers = (message.generation, message.pid, message.seat, message.number, message.status)
        is_typed = type(message.reason) is str and type(message.paused) is type(message.probation) is bool
        if not is_typed or not all(type(number) is int for number in numbers):
            raise ValueError(f"no message: {line!r}")
        return message


class Lines:
    """The reading end of a pipe: bytes in, whole messages out."""

    def __init__(self, fd: int, rest: str = "") -> None:
        self.fd = fd
        self.closed = False
        self._rest = rest.encode("latin-1")

    @property
    def rest(self) -> str:
        """The beginning of a line whose end has not come, each byte a character."""
        return self._rest.decode("latin-1")

    def read(self) -> list[Message]:
        """What has arrived, after one read; nothing if there was nothing. Sets `closed` at the end of file.

        A line that is no message is a stray write of somebody's (an application has the pipe too): it is left out.
        """
        try:
            data = os.read(self.fd, _READ_SIZE)
        except BlockingIOError:
            return []
        self.closed = not data
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: LINE_LIMIT + 1]
        return [message for line in lines if (message := _decoded(line))]


def _decoded(line: bytes) -> Message | None:
    try:
        return Message.decode(line)
    except ValueError:
        return None


class ReportPipe:
    """A child's way to speak to the master: `report("ready")`, `report("retire", reason="max-requests 5000")`."""

    def __init__(self, fd: int, generation: int, seat: int = -1, number: int = 0) -> None:
        self.fd = fd
        self._generation = generation
        self._seat = seat
        self._number = number

    def __call__(self, word: str, *, status: int = 0, reason: str = "") -> None:
        """Say it, whole, in one write. A master that is gone does not hear it: the lifeline tells of that."""
        self.send(Message(Word(word), self._generation, os.getpid(), self._seat, self._number, status, reason))

    def send(self, message: Message) -> None:
        try:
            os.write(self.fd, message.encode())
        except OSError:  # or the application has closed the pipe
            return

    def of_worker(self, seat: int, number: int) -> ReportPipe:
        """The same pipe, for the worker on that seat."""
        return ReportPipe(self.fd, self._generation, seat, number)


@dataclass(frozen=True, slots=True)
class BoundListener:
    """A listening socket by its descriptor. `name` is what people call it: `127.0.0.1:8000`, `/run/app.sock`.

    text: its address as it was written, by which each generation finds its settings of it; "" if it came without.
    tls: whether it speaks TLS.
    """

    fd: int
    protocol: str
    name: str
    text: str = ""
    tls: bool = False

    @property
    def near(self) -> bool:
        """Its clients are all on this machine, so none of their handshakes takes time."""
        return self.name.startswith(("/", "@", "127.", "[::1]:", "localhost:"))


@dataclass(frozen=True, slots=True)
class BootDocument:
    """All that a zygote is told at its birth; descriptors are numbers that mean the same in master and zygote.

    configuration: all of it, as config.settings encodes it.
    report, commands, lifeline, scoreboard, log: descriptors. seats, cores: the scoreboard's measures. failure: a file
    for the traceback of an application that cannot be loaded, which no line would hold; -1 for none. log_file: what the
    log is opened anew with at SIGURG; "" if it goes to no file. layout: of the scoreboard.

    A zygote may be newer than its master: what it does not know it ignores, and what is new has a default. Only the
    scoreboard must be the same for both.
    """

    generation: int
    configuration: Mapping[str, Any]
    listeners: tuple[BoundListener, ...]
    report: int
    commands: int
    lifeline: int
    scoreboard: int
    log: int
    seats: int
    cores: int
    failure: int = -1
    log_file: str = ""
    layout: str = ""

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> BootDocument:
        said: Mapping[str, Any] = json.loads(data)
        listeners = tuple(BoundListener(**listener) for listener in said["listeners"])
        known = {field.name: said[field.name] for field in fields(cls) if field.name in said}
        return cls(**{**known, "listeners": listeners})

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Every descriptor the zygote must be given."""
        named = (self.report, self.commands, self.lifeline, self.scoreboard, self.log)
        failure = () if self.failure < 0 else (self.failure,)
        return (*named, *failure, *(listener.fd for listener in self.listeners))

    def raised(self) -> BootDocument:
        """The same with high numbers: the old ones are closed, the new ones not inheritable."""
        return replace(
            self,
            report=raised(self.report),
            commands=raised(self.commands),
            lifeline=raised(self.lifeline),
            scoreboard=raised(self.scoreboard),
            log=raised(self.log),
            failure=raised(self.failure) if self.failure >= 0 else -1,
            listeners=tuple(replace(one, fd=raised(one.fd)) for one in self.listeners),
        )
