"""master-fifo: named pipes on which single letters ask for COMMANDS, as under uWSGI.

With several of them one is open at a time, at first the first: a digit written there opens the one of that number and
removes the one before. So of two servers that share names, one can hand the working name over to the other.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from selectors import EVENT_READ

from greenwsgi.clock import Clock, SystemClock
from greenwsgi.errors import Origin, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.control.commands import BY_LETTER
from greenwsgi.process.lifecycle.user_identity import Identity
from greenwsgi.process.supervision.event_inbox import Asked, EventInbox, Note
from greenwsgi.shared import safe_paths
from greenwsgi.shared.safe_paths import Spot

_ORIGIN = Origin("master-fifo")

TRY_AGAIN = 1.0
"""Seconds between two attempts to make a fifo again that somebody has removed."""


class MasterFifos:
    """The fifos of one server.

    Raises UsageError at the start for one that another server reads, for a file of another kind and for a place where
    none can be made; later only the log is told. who: their owner.
    """

    def __init__(
        self, paths: Sequence[str], who: Identity, inbox: EventInbox, log: ServerLog, clock: Clock | None = None
    ) -> None:
        self.paths = [os.path.abspath(path) for path in paths]
        self._who = who
        self._inbox = inbox
        self._log = log
        self._clock = clock or SystemClock()
        self._next_try = 0.0
        self._told = ""
        self.fd = -1
        self.slot = 0

    def open(self) -> None:
        """Make the first. One from before is a dead server's, or refused."""
        self._open(0, takes_over=False)

    def go_on(self, fd: int, slot: int) -> None:
        """Take over the one that an image of this process before a re-exec has opened."""
        self.fd, self.slot = fd, min(slot, len(self.paths) - 1)
        self._inbox.watch(self.fd, EVENT_READ, self._read)

    def close(self) -> None:
        """Close the one that is open, and remove it if it still is ours."""
        if self.fd < 0:
            return
        try:
            self._remove(self.slot, self.fd)
        finally:
            self._inbox.unwatch(self.fd)
            os.close(self.fd)
            self.fd = -1

    def look(self) -> None:
        """Make it again if somebody removed it; if another server has taken the name over, it keeps it."""
        if self.fd < 0 or os.path.lexists(self.paths[self.slot]):
            self._told = ""
            return
        now = self._clock.monotonic()
        if now < self._next_try:
            return
        self._next_try = now + TRY_AGAIN
        try:
            self._switch(self.slot)
        except UsageError as error:
            if str(error) != self._told:
                self._told = str(error)
                self._log.warning(self._told)

    def _open(self, slot: int, *, takes_over: bool = True) -> None:
        """takes_over: from a server that reads a fifo of that name; an operator hands its name over to this one."""
        path = self.paths[slot]
        try:
            with safe_paths.at(path) as spot:
                self._clear(spot, takes_over=takes_over)
                self.fd, self.slot = _make(spot, self._who), slot
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}", _ORIGIN) from None
        self._inbox.watch(self.fd, EVENT_READ, self._read)

    def _clear(self, spot: Spot, *, takes_over: bool) -> None:
        found = spot.look()
        if found is None:
            return
        if not stat.S_ISFIFO(found.st_mode):
            kind = safe_paths.kind(found.st_mode)
            raise UsageError(f"{spot.path}: there is {kind} of that name, and it is no fifo", _ORIGIN)
        if not takes_over and _is_read(spot):
            raise UsageError(f"{spot.path}: another server reads it", _ORIGIN)
        spot.remove(safe_paths.file_id(found))

    def _read(self, events: int) -> list[Note]:
        try:
            data = os.read(self.fd, 4096).decode("latin-1")
        except BlockingIOError:
            return []
        notes: list[Note] = []
        unknown = ""
        for letter in data:
            if letter.isdecimal():
                self._chosen(int(letter))
            elif letter in BY_LETTER:
                notes.append(Asked(BY_LETTER[letter].name, f"fifo {letter}"))
            elif not letter.isspace():
                unknown += letter
        if unknown:
            self._log.warning(f"fifo {self.paths[self.slot]}: {unknown[:20]!r} asks for nothing")
        return notes

    def _chosen(self, slot: int) -> None:
        if slot >= len(self.paths):
            self._log.warning(f"there is no fifo {slot}: {len(self.paths)} are configured, counted from 0")
        elif slot != self.slot:
            try:
                self._switch(slot)
            except UsageError as error:
                self._log.warning(str(error))
                return
            self._log.info(f"listening on fifo {slot}: {self.paths[self.slot]}")

    def _switch(self, slot: int) -> None:
        """Listen there. Raises UsageError if it cannot be had; then all is as before."""
        before, slot_before = self.fd, self.slot
        self._open(slot)
        self._inbox.unwatch(before)
        if slot_before != slot:
            with suppress(OSError):
                self._remove(slot_before, before)
        os.close(before)

    def _remove(self, slot: int, fd: int) -> None:
        """Remove the fifo of that name if it is the one that is open there."""
        safe_paths.remove(self.paths[slot], safe_paths.file_id(os.fstat(fd)))


def _make(spot: Spot, who: Identity) -> int:
    """A new fifo of that owner, open for reading; nothing is left of one that cannot be had. Raises OSError."""
    with safe_paths.aside(spot) as made:
        os.mkfifo(made.name, 0o600, dir_fd=made.folder)
        fd = made.open(os.O_RDWR | os.O_NONBLOCK)  # a reader alone would see an end after each writer
        try:
            os.fchmod(fd, 0o600)
            os.fchown(fd, *who.owner)
            safe_paths.put(made, spot)
        except BaseException:
            os.close(fd)
            raise
    return fd


def _is_read(spot: Spot) -> bool:
    """Raises OSError if we may not know."""
    try:
        os.close(spot.open(os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise
    return True


def tell(path: str, letter: str) -> None:
    """Write a letter into a server's fifo. Raises UsageError when no server reads it."""
    try:
        with safe_paths.at(path, follow=True) as spot:
            fd = spot.open(os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"{path}: no server reads this fifo: {error.strerror}") from None
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):  # it was one when we looked
            raise UsageError(f"{path}: this is no fifo any more: nothing is written")
        os.write(fd, letter.encode())
    except BlockingIOError:
        raise UsageError(f"{path}: this fifo is full: the server does not read it") from None
    finally:
        os.close(fd)
