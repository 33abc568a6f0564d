"""The command pipes of one generation, from the master to its workers: one for each seat of its scoreboard.

The master makes them before it starts the zygote, which inherits the reading ends; each worker keeps that of its seat.
They belong to the seat, so a worker whose zygote died is reached as before. The master keeps the reading ends as well,
for the next zygote of the generation: as long as one is open, no write finds the pipe broken.

What a dead worker did not read is read by the next one on its seat, which ignores it: each command names its receiver.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import count, takewhile

from greenwsgi.shared.descriptor_numbers import raised
from greenwsgi.shared.messages import WorkerCommand
from greenwsgi.shared.resources import READER, WRITER, PipeEnd, Resources, worker_commands


class WorkerCommandPipes:
    """Both ends of each pipe, by seat. There are none in a generation that a master without such pipes has made."""

    def __init__(self, pipes: Iterable[tuple[int, int]]) -> None:
        self._pipes = list(pipes)

    @classmethod
    def create(cls, seats: int) -> WorkerCommandPipes:
        """New ones. Raises OSError if there are not enough descriptors, and none is left open.

        They get high numbers, so that a low soft limit for descriptors is not used up by them.
        """
        made = cls(())
        try:
            for _ in range(seats):
                made._add(*os.pipe())
        except OSError:
            made.close()
            raise
        return made

    def _add(self, reader: int, writer: int) -> None:
        self._pipes.append((raised(reader), raised(writer)))
        for fd in self._pipes[-1]:
            os.set_blocking(fd, False)

    def __bool__(self) -> bool:
        return bool(self._pipes)

    @classmethod
    def of(cls, resources: Resources) -> WorkerCommandPipes:
        """Those of a generation that another image of the master has made."""
        ends = ([resources.fd(worker_commands(seat, end)) for end in (READER, WRITER)] for seat in count())
        return cls((reader, writer) for reader, writer in takewhile(lambda pipe: min(pipe) >= 0, ends))

    @property
    def resources(self) -> Resources:
        """Both ends of each; zygotes and workers get the reading ends."""
        readers = [PipeEnd(pipe[0], worker_commands(seat, READER)) for seat, pipe in enumerate(self._pipes)]
        writers = [
            PipeEnd(pipe[1], worker_commands(seat, WRITER), inherited=False) for seat, pipe in enumerate(self._pipes)
        ]
        return Resources((*readers, *writers))

    def send(self, seat: int, command: WorkerCommand) -> bool:
        """Write it, whole and without waiting. False if the pipe is full: that worker has read nothing for long."""
        try:
            os.write(self._pipes[seat][1], command.encode())
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        for pipe in self._pipes:
            for fd in pipe:
                os.close(fd)
        self._pipes.clear()
