"""The pidfile: the file by which a running server is found."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from greenwsgi.errors import Origin, UsageError
from greenwsgi.process.lifecycle import file_locks
from greenwsgi.process.lifecycle.child_processes import lives
from greenwsgi.shared import safe_paths
from greenwsgi.shared.safe_paths import Spot


class Pidfile:
    """The file that holds the master's pid; written at the start, removed at the end if it still is ours.

    The master keeps it locked (see locks) while it lives: so `holder` tells a server from a dead or foreign process.
    It must not open the file again: closing that would give the lock up. After what may do so, as the configuration and
    hooks may, it is locked again. fd: the file that an image of this process before a re-exec has opened and locked.
    """

    def __init__(self, path: str, fd: int = -1) -> None:
        self.path = os.path.abspath(path)
        self.fd = fd

    def write(self) -> int:
        """Write our pid; returns the pid it held before, if that process lives and is not us, else 0.

        It is not refused then: pids are used again (after a crash, after a restart of a container), and of two servers
        on one address the second one has failed already. Raises UsageError if it cannot be written.
        """
        try:
            with safe_paths.at(self.path, follow=True) as spot:
                before = self._write(spot)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}", Origin("pidfile")) from None
        return before if before not in (0, os.getpid()) and lives(before) else 0

    def lock_again(self, warn: Callable[[str], None]) -> None:
        """Be its holder, whatever descriptor of it was closed meanwhile; that another process has it locked is told."""
        if self.fd < 0:
            return
        try:
            file_locks.take(self.fd)
        except OSError as error:
            warn(f"pidfile {self.path} is not locked any more, and so does not lead here: {error.strerror}")

    def remove(self) -> None:
        """Raises OSError if it may not be removed."""
        if self.fd < 0:
            return
        try:
            if _pid_of(self.fd) == os.getpid():
                # while it is locked: no other server has taken it over
                safe_paths.remove(self.path, safe_paths.file_id(os.fstat(self.fd)), follow=True)
        finally:
            os.close(self.fd)
            self.fd = -1

    def _write(self, spot: Spot) -> int:
        """The pid that was there."""
        found = spot.look()
        if found is None:
            before = 0
        elif not stat.S_ISREG(found.st_mode):
            kind = safe_paths.kind(found.st_mode)
            raise FileExistsError(errno.EEXIST, f"there is {kind} of that name, and it is no pidfile")
        elif self.fd >= 0 and os.path.samestat(found, os.fstat(self.fd)):
            if _fill(self.fd):
                return os.getpid()
            before = _pid_of(self.fd)
        else:
            before = _pid_at(spot)
        fd = self._replace(spot, found)
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = fd
        return before

    def _replace(self, spot: Spot, found: os.stat_result | None) -> int:
        """A new file takes the name: no other process has it open, and so none has locked it, for reading either.

        Where that cannot be, the folder may be one that we may not write in; the file itself may still be ours.
        """
        try:
            return _make(spot)
        except OSError:
            if found is None:
                raise
        return _write_in_place(spot)


def _make(spot: Spot) -> int:
    """The descriptor of a new locked file with our pid, which has taken the name. Raises OSError."""
    new = replace(spot, name=f".greenwsgi-{secrets.token_hex(8)}")
    umask = os.umask(0)
    os.umask(umask)
    fd = new.open(os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if not _fill(fd):
            raise BlockingIOError(errno.EAGAIN, "another process has locked the new file")
        os.fchmod(fd, 0o644 & ~umask)
        os.rename(new.name, spot.name, src_dir_fd=new.folder, dst_dir_fd=spot.folder)
    except BaseException:
        with suppress(OSError):
            new.remove(safe_paths.file_id(os.fstat(fd)))
        os.close(fd)
        raise
    return fd


def _write_in_place(spot: Spot) -> int:
    fd = safe_paths.open_seen(spot, os.O_RDWR | os.O_NONBLOCK)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or safe_paths.has_other_names(found, spot):
            raise PermissionError(errno.EPERM, "it is not a plain file with one name")
        if not _fill(fd):
            raise BlockingIOError(errno.EAGAIN, "another process has it locked, and the folder takes no new file")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _fill(fd: int) -> bool:
    """Lock the file and write our pid; false if somebody else has it locked."""
    try:
        file_locks.take(fd)
    except (BlockingIOError, PermissionError):
        return False
    said = f"{os.getpid()}\n".encode()
    os.pwrite(fd, said, 0)
    os.ftruncate(fd, len(said))
    return True


class Holder(NamedTuple):
    """The server that has a pidfile locked. owner: the file's; nothing that he may not signal himself is the server."""

    pid: int
    owner: int


class Claim(NamedTuple):
    """What a pidfile says. pid: 0 for none; locker: as locks.writer has it; misfit: as locks.misfit has it."""

    pid: int
    locker: int | None
    owner: int
    misfit: str


def holder(path: str) -> Holder:
    """The server that has this pidfile locked, and so lives. Raises UsageError if there is none."""
    pid, locker, owner, misfit = claim(path)
    if not pid:
        raise UsageError(f"{path}: this is no pidfile")
    if locker is None:
        raise UsageError(
            f"{path}: no greenwsgi has this pidfile: process {pid} {'is another one' if lives(pid) else 'is gone'}"
        )
    if locker <= 0:
        raise UsageError(f"{path}: the server that has this pidfile cannot be seen from here: ask it in its container")
    if locker != pid:
        raise UsageError(f"{path}: it names process {pid}, but process {locker} has it locked: neither is signalled")
    if misfit:
        raise UsageError(f"{path}: {misfit}: nothing is signalled")
    return Holder(pid, owner)


def claim(path: str) -> Claim:
    """Read a pidfile. Raises UsageError. Not for our own pidfile, whose lock would be given up."""
    try:
        with safe_paths.at(path, follow=True) as spot:
            fd = spot.open(os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return Claim(0, None, found.st_uid, "")
            locker = file_locks.writer(fd)
            misfit = file_locks.misfit(found, locker) if locker and locker > 0 else ""
            return Claim(_pid_of(fd), locker, found.st_uid, misfit)
        finally:
            os.close(fd)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _pid_at(spot: Spot) -> int:
    try:
        fd = spot.open(os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        return _pid_of(fd)
    finally:
        os.close(fd)


def _pid_of(fd: int) -> int:
    """The pid in a file, 0 for none."""
    try:
        text = os.pread(fd, 32, 0).strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() and len(text) < 10 else 0
