"""The one place where the master waits: for signals, for reports of its children, for time to pass."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from signal import SIGCHLD, Signals
from types import FrameType

from greenwsgi.shared.messages import Lines, Message


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal came. SIGCHLD says only that some child has died, or several."""

    signal: Signals


Note = Signalled | Message


class Inbox:
    """Collects signals from the moment it is made, so that none is lost while the server still boots.

    A handler does nothing at all: the wakeup descriptor carries the signal's number to `wait`, where it is one event
    among others. `report` is the end of the report pipe that children write to.
    """

    def __init__(self, signals: Iterable[Signals]) -> None:
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._signalled = os.pipe()
        reader, self.report = os.pipe()
        self._lines = Lines(reader)
        for fd in (self._wakeup, self._signalled, reader):
            os.set_blocking(fd, False)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._read_signals)
        self._selector.register(reader, selectors.EVENT_READ, self._lines.read)
        self._old_wakeup = signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, _woken) for number in (SIGCHLD, *signals)}

    def wait(self, timeout: float) -> list[Note]:
        """What came in within `timeout` seconds, at the first event."""
        notes: list[Note] = []
        for key, _ in self._selector.select(timeout):
            notes += key.data()
        return notes

    def close(self) -> None:
        """Give signals back to whom they belonged, and close the pipes."""
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        self._selector.close()
        for fd in (self._wakeup, self._signalled, self._lines.fd, self.report):
            os.close(fd)

    def _read_signals(self) -> list[Note]:
        """Each signal once, in the order they came."""
        return [Signalled(Signals(number)) for number in dict.fromkeys(os.read(self._wakeup, 4096))]


def _woken(number: int, frame: FrameType | None) -> None:
    """The wakeup descriptor says it all."""
