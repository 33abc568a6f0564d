"""What the master holds open for one generation: its configuration, its scoreboard, the command pipe of its zygote."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from signal import Signals
from typing import Any, Protocol

import greenwsgi
from greenwsgi.config.settings import Settings, encode
from greenwsgi.errors import UsageError
from greenwsgi.process.supervision.fleet import seats_for
from greenwsgi.process.supervision.worker_command_pipes import WorkerCommandPipes
from greenwsgi.shared.messages import BootDocument, ZygoteCommand
from greenwsgi.shared.resources import (
    FAILURE,
    SCOREBOARD,
    ZYGOTE_COMMANDS_READER,
    ZYGOTE_COMMANDS_WRITER,
    OpenFile,
    PipeEnd,
    Resources,
    SharedMemory,
)
from greenwsgi.shared.scoreboard import LAYOUT, Scoreboard, anonymous_file

FAILURE_LIMIT = 64 << 10
"""Bytes of a traceback that are told to who asked for a reload; the log has all of it."""

_ZYGOTE_FILE = os.path.join(os.path.dirname(os.path.abspath(greenwsgi.__file__)), "worker", "exec_zygote.py")


class System(Protocol):
    """The processes outside; `spawn.Processes` is the real ones."""

    adopts: bool

    def start(self, arguments: list[str], descriptors: Iterable[int]) -> int: ...
    def start_program(self, arguments: list[str], environ: Mapping[str, str] | None) -> int: ...
    def kill(self, pid: int, number: Signals) -> None: ...
    def reap(self, programs: Callable[[], Mapping[int, int]] = ...) -> list[tuple[int, int]]: ...
    def end_group(self, pid: int, started: int) -> None: ...


@dataclass(frozen=True, slots=True)
class KeptGeneration:
    """The resources of a generation over a re-exec."""

    configuration: dict[str, Any]
    """As it travels, see config.settings.encode."""
    resources: Resources
    seats: int
    """How many seats the scoreboard has."""
    cores: int
    """How many requests a seat has room for."""


class GenerationResources:
    """One generation's, from its birth until nobody is left of it."""

    def __init__(
        self, generation: int, settings: Settings, kept: KeptGeneration | None = None, *, readable: bool = True
    ) -> None:
        """kept: from before a re-exec; where its board is not `readable`, its layout being another, an empty one is.

        Raises UsageError if there cannot be a board of that size, and nothing is left open.
        """
        self.generation = generation
        self.settings = settings
        seats = kept.seats if kept else seats_for(settings.processes.processes)
        cores = kept.cores if kept else settings.processes.async_
        self._cores = cores
        self._commands = kept.resources.fd(ZYGOTE_COMMANDS_WRITER) if kept else -1
        self._failure = kept.resources.fd(FAILURE) if kept else _failure_file()
        old = kept.resources.fd(SCOREBOARD) if kept else -1
        try:
            self.board = Scoreboard(old, seats, cores) if kept and readable else Scoreboard.create(seats, cores)
        except (OSError, MemoryError) as error:
            if kept is None:
                os.close(self._failure)
            what = f"no scoreboard of {seats} seats, each for {cores} requests (async)"
            raise UsageError(f"{what}: {_why(error)}") from None
        if kept and not readable:
            os.close(old)
        try:
            self.worker_commands = WorkerCommandPipes.of(kept.resources) if kept else WorkerCommandPipes.create(seats)
        except OSError as error:
            os.close(self._failure)
            self.board.close()
            raise UsageError(f"no command pipes for {seats} seats: {_why(error)}") from None

    @property
    def resources(self) -> Resources:
        """What is open for this generation now."""
        own = Resources((SharedMemory(self.board.fd, SCOREBOARD), OpenFile(self._failure, FAILURE)))
        if self._commands >= 0:
            own += Resources((PipeEnd(self._commands, ZYGOTE_COMMANDS_WRITER, inherited=False),))
        return own + self.worker_commands.resources

    def keep(self) -> KeptGeneration:
        """What the next image of the master needs to make it again."""
        return KeptGeneration(encode(self.settings), self.resources, len(self.board.seats), self._cores)

    def start_zygote(self, system: System, server: Resources, log_file: str) -> int:
        """Execute a zygote, which inherits the resources of the server and of the generation; its pid.

        log_file: the path that ReopenLog opens. Raises OSError if there cannot be another process.
        """
        os.ftruncate(self._failure, 0)
        with ExitStack() as its_own:
            document = anonymous_file("greenwsgi-boot")  # not an argument: the configuration may hold secrets
            its_own.callback(os.close, document)
            reader, self._commands = os.pipe()
            its_own.callback(os.close, reader)
            os.set_blocking(self._commands, False)
            commands = Resources((PipeEnd(reader, ZYGOTE_COMMANDS_READER),))
            boot = BootDocument(
                generation=self.generation,
                configuration=encode(self.settings),
                resources=(server + self.resources + commands).inherited(),
                seats=len(self.board.seats),
                cores=self._cores,
                log_file=log_file,
                layout=LAYOUT,
            )
            os.pwrite(document, boot.encode(), 0)
            arguments = [sys.executable, "-P", _ZYGOTE_FILE, str(document)]
            return system.start(arguments, (document, *boot.resources.descriptors))

    def tell(self, message: ZygoteCommand) -> None:
        """Tell the zygote, if there is one.

        One that is dead, or so stuck that its pipe is full, does not hear it: the first is about to be noticed, the
        second when the worker it shall fork stays unheard of.
        """
        if self._commands < 0:
            return
        try:
            os.write(self._commands, message.encode())
        except (BrokenPipeError, BlockingIOError):
            return

    def hang_up(self) -> None:
        """Let the zygote know that it is not needed any more, or that of a dead one nothing is left open."""
        if self._commands >= 0:
            os.close(self._commands)
            self._commands = -1

    def failure(self) -> str:
        """The traceback of the application that cannot be loaded, or ""."""
        return os.pread(self._failure, FAILURE_LIMIT, 0).decode("utf-8", "replace")

    def close(self) -> None:
        self.hang_up()
        self.worker_commands.close()
        os.close(self._failure)
        self.board.close()


def _failure_file() -> int:
    try:
        return anonymous_file("greenwsgi-failure")
    except OSError as error:
        raise UsageError(f"no file for the traceback of a failure: {error.strerror}") from None


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or "no memory is left"
