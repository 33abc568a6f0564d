"""What a worker does with the commands on its pipe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import gevent
import pytest
from gevent.event import Event

from greenwsgi.shared.messages import Message, Pause, Reap, ReopenLog, Resume
from greenwsgi.worker.command_pipe import CommandPipe

ME = os.getpid()


class Worker:
    """The end of a worker: which commands it has obeyed, and the master's end to write to."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        os.set_blocking(reader, False)
        self.kinds: list[type[Message]] = []
        self._reader = reader
        self._came = Event()
        self._pipe = CommandPipe(reader, {kind: partial(self._obey, kind) for kind in (Pause, Resume)})

    def start(self) -> None:
        self._pipe.start()

    def send(self, *messages: Message) -> None:
        os.write(self.writer, b"".join(message.encode() for message in messages))

    def wait(self, count: int) -> list[type[Message]]:
        """The commands, when there are so many."""
        with gevent.Timeout(10):
            while len(self.kinds) < count:
                self._came.wait()
                self._came.clear()
        return self.kinds

    def lose_master(self) -> None:
        """Close the master's end, and wait until the loop does not look at the pipe any more."""
        os.close(self.writer)
        with gevent.Timeout(10):
            while self._pipe.active:
                gevent.idle()
        os.close(self._reader)

    def _obey(self, kind: type[Message]) -> None:
        self.kinds.append(kind)
        self._came.set()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.lose_master()


def test_commands_are_obeyed_in_order(worker: Worker) -> None:
    worker.send(Pause(ME))
    worker.start()
    worker.send(Resume(ME), Pause(ME))
    assert worker.wait(3) == [Pause, Resume, Pause]


def test_what_is_not_for_this_worker_is_ignored(worker: Worker) -> None:
    """What the one before it left, a command that it does not know, and what is no command of a worker."""
    worker.start()
    worker.send(Pause(ME + 1), ReopenLog(ME), Reap(ME))
    os.write(worker.writer, b'{"word":"dump-stack","pid":1}\nnonsense\n')
    worker.send(Resume(ME))
    assert worker.wait(1) == [Resume]


def test_a_command_is_obeyed_though_the_master_is_gone() -> None:
    """And the end of file does not wake the loop for ever."""
    worker = Worker()
    worker.start()
    worker.send(Pause(ME))
    worker.lose_master()
    assert worker.kinds == [Pause]


def test_a_master_without_such_pipes() -> None:
    pipe = CommandPipe(-1, {})
    pipe.start()
    assert not pipe.active
