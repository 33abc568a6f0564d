"""The one place where the master waits: for signals, for reports of its children, for operators, for time to pass."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from selectors import EVENT_READ
from signal import SIGCHLD, Signals
from types import FrameType
from typing import Any

from greenwsgi.shared.message_pipes import MessageReader
from greenwsgi.shared.messages import Report


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal came. SIGCHLD says only that some child has died, or several."""

    signal: Signals


Answer = Callable[[dict[str, Any]], None]
"""Takes the answer to what was asked, once; it cannot block."""


def unanswered(said: dict[str, Any]) -> None:
    """For questions that come by a way without answers (signals, fifos); the log has the answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An operator asks for a command, or asks a question."""

    name: str
    """Of the command or the question."""
    by: str
    """The way that it came, for the log."""
    answer: Answer = unanswered
    """Takes the answer."""
    wait: bool = False
    """Answer when the command is done, not when it has begun."""


Note = Signalled | Report | Asked
Ready = Callable[[int], list[Note]]
"""Called with the selector's events when a descriptor is ready; never blocks."""


class EventInbox:
    """Collects signals from the moment it is made, so that none is lost while the server still boots.

    The signal handlers do nothing: the wakeup descriptor carries a signal's number to `wait`, where it is one event
    among others. `report` is the writing end of the report pipe, for the children, `reader` its reading end.
    """

    def __init__(self, signals: Iterable[Signals], pipe: tuple[int, int] | None = None, rest: str = "") -> None:
        """pipe: both ends of the report pipe from before a re-exec. rest: what had been read of a line."""
        self._selector = selectors.DefaultSelector()
        self._looks: list[Callable[[], None]] = []
        self._wakeup, self._signalled = os.pipe()
        self.reader, self.report = pipe or os.pipe()
        self._reports = MessageReader(self.reader, rest)
        for fd in (self._wakeup, self._signalled, self.reader):
            os.set_blocking(fd, False)
        self.watch(self._wakeup, EVENT_READ, self._read_signals)
        self.watch(self.reader, EVENT_READ, self._read_reports)
        self._old_wakeup = signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, _woken) for number in (SIGCHLD, *signals)}

    @property
    def rest(self) -> str:
        """What was read of a report that has not ended."""
        return self._reports.rest

    def watch(self, fd: int, events: int, ready: Ready) -> None:
        """Wait for this descriptor too, from now on or with other events than before."""
        if fd in self._selector.get_map():
            self._selector.modify(fd, events, ready)
        else:
            self._selector.register(fd, events, ready)

    def unwatch(self, fd: int) -> None:
        """Forget it, if it is known; before it is closed."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def look_before_wait(self, look: Callable[[], None]) -> None:
        """Call `look` before each wait from now on, for what no descriptor tells of."""
        self._looks.append(look)

    def stop_looking(self, look: Callable[[], None]) -> None:
        """Do not call it any more."""
        self._looks.remove(look)

    def wait(self, timeout: float) -> list[Note]:
        """What came in within `timeout` seconds, at the first event."""
        notes: list[Note] = []
        for look in self._looks:
            look()
        for key, events in self._selector.select(timeout):
            if key.fd in self._selector.get_map():  # an event before this one may have ended it
                notes += key.data(events)
        return notes

    def close(self) -> None:
        """Restore the signal handlers of before, and close the pipes."""
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        self._selector.close()
        for fd in (self._wakeup, self._signalled, self.reader, self.report):
            os.close(fd)

    def _read_reports(self, events: int) -> list[Note]:
        """No commands: one that comes this way is a stray write."""
        return [message for message in self._reports.read() if isinstance(message, Report)]

    def _read_signals(self, events: int) -> list[Note]:
        """Each signal once, in the order they came."""
        return [Signalled(Signals(number)) for number in dict.fromkeys(os.read(self._wakeup, 4096))]


def _woken(number: int, frame: FrameType | None) -> None:
    """The wakeup descriptor has the number."""
