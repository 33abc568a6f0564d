"""Who the server is: the user it runs as, and the pidfile it is found by."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from greenwsgi.errors import Origin, UsageError
from greenwsgi.process.spawn import lives


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and group to become. `groups`: all groups, supplementary ones too; None leaves each as it is."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None

    def assume(self) -> None:
        """Become it, for good. Only root can become somebody else: see `possible`."""
        if self.groups is not None and os.geteuid() == 0:
            os.setgroups(self.groups)
        if self.gid is not None and self.gid != os.getegid():
            os.setgid(self.gid)
        if self.uid is not None and self.uid != os.geteuid():
            os.setuid(self.uid)

    @property
    def possible(self) -> bool:
        """May we become it? Anybody may be who he is."""
        return os.geteuid() == 0 or (self.uid in (None, os.geteuid()) and self.gid in (None, os.getegid()))

    @property
    def owner(self) -> tuple[int, int]:
        """Who shall own a file, as chown has it: -1 leaves it as it is."""
        return -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid

    def __str__(self) -> str:
        named = (("uid", self.uid), ("gid", self.gid))
        return " and ".join(f"{name} {number}" for name, number in named if number is not None)


NOBODY_ELSE = Identity(None, None, None)
"""Who we are already."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a socket file shall be; -1 leaves the user or the group as it is. said: what was written, and where."""

    uid: int
    gid: int
    said: str
    origin: Origin


def owner(text: str, origin: Origin) -> Owner:
    """Look up the `user`, `user:group` or `:group` of chown-socket. Raises UsageError for one who is not known."""
    user, _, group = text.partition(":")
    try:
        account = _account(user)
        uid = account.pw_uid if account else int(user) if user else -1
        return Owner(uid, _gid(group) if group else -1, f"chown-socket {text}", origin)
    except UsageError as error:
        raise UsageError(f"chown-socket {text}: {error.text}", origin) from None


def find(user: str, group: str, more: Sequence[str] = ()) -> Identity:
    """Look up `uid` and `gid`, each a name, a number, or "" for none given, and groups to have besides (`add-gid`).

    A user without a group takes his own group, not root's, and his supplementary groups. Raises UsageError for one who
    is not known; a number need not be known.
    """
    account = _account(user)
    uid = account.pw_uid if account else int(user) if user else None
    gid = _gid(group) if group else account.pw_gid if account else None
    added = tuple(_gid(one) for one in more)
    if gid is None:
        return Identity(uid, gid, (*os.getgroups(), *added) if added else None)
    own = tuple(os.getgrouplist(account.pw_name, gid)) if account else (gid,)
    return Identity(uid, gid, tuple(dict.fromkeys((*own, *added))))


def _account(user: str) -> pwd.struct_passwd | None:
    if not user:
        return None
    try:
        return pwd.getpwuid(int(user)) if _is_number(user) else pwd.getpwnam(user)
    except KeyError:
        if _is_number(user):
            return None
        raise UsageError(f"no such user: {user}", Origin("uid")) from None


def _gid(group: str) -> int:
    try:
        return int(group) if _is_number(group) else grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"no such group: {group}", Origin("gid")) from None


def _is_number(text: str) -> bool:
    """The last number of 32 bits means "no change" to the kernel."""
    return text.isascii() and text.isdecimal() and int(text) < 2**32 - 1


class Pidfile:
    """The file that holds the master's pid; written at the start, removed at the end if it still is ours.

    The master keeps it locked (flock) while it lives: so `holder` tells a server from a dead or foreign process. fd:
    the file that an image of this process before a re-exec has opened and locked.
    """

    def __init__(self, path: str, fd: int = -1) -> None:
        self.path = os.path.abspath(path)
        self.fd = fd

    def write(self) -> int:
        """Write our pid; returns the pid it held before, if that process lives and is not us, else 0.

        It is not refused then: pids are used again (after a crash, after a restart of a container), and of two servers
        on one address the second one has failed already. Raises UsageError if it cannot be written.
        """
        before = _pid_in(self.path)
        try:
            if self.fd < 0 or not self._names(self.fd):
                self._lock()
            os.ftruncate(self.fd, 0)
            os.pwrite(self.fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}", Origin("pidfile")) from None
        return before if before not in (0, os.getpid()) and lives(before) else 0

    def remove(self) -> None:
        """Raises OSError if it may not be removed."""
        try:
            if _pid_in(self.path) == os.getpid():
                os.unlink(self.path)  # while it is locked: nobody else has made it his own
        finally:
            if self.fd >= 0:
                os.close(self.fd)
                self.fd = -1

    def _lock(self) -> None:
        """Open and lock it; when a server that lives has it locked, the name is taken over with a new file.

        That server may give its file up meanwhile: then what we have locked has no name, or what we remove is gone.
        """
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._names(fd):
                    break
            except BlockingIOError:
                with suppress(FileNotFoundError):
                    os.unlink(self.path)
            os.close(fd)
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = fd

    def _names(self, fd: int) -> bool:
        """Is the file of that name the one that is open there?"""
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path))
        except OSError:
            return False


def holder(path: str) -> int:
    """The pid of the server that has this pidfile locked, and so lives. Raises UsageError if there is none."""
    pid = _pid_in(path)
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        if pid:
            return pid
    finally:
        os.close(fd)
    if not pid:
        raise UsageError(f"{path}: this is no pidfile")
    raise UsageError(
        f"{path}: no greenwsgi has this pidfile: process {pid} {'is another one' if lives(pid) else 'is gone'}"
    )


def _pid_in(path: str) -> int:
    try:
        with open(path) as file:
            text = file.read(32).strip()
    except (OSError, UnicodeDecodeError):
        return 0
    return int(text) if text.isascii() and text.isdecimal() else 0
