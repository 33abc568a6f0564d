"""Who the server is: the user it runs as, and the pidfile it is found by."""

from __future__ import annotations

import grp
import os
import pwd
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
        """Become it, for good. Raises UsageError when we may not: only root can become somebody else."""
        try:
            if self.groups is not None and os.geteuid() == 0:
                os.setgroups(self.groups)
            if self.gid is not None and self.gid != os.getegid():
                os.setgid(self.gid)
            if self.uid is not None and self.uid != os.geteuid():
                os.setuid(self.uid)
        except PermissionError:
            raise UsageError(f"only root can run as {self}; this is uid {os.geteuid()}", Origin("uid")) from None

    def __str__(self) -> str:
        named = (("uid", self.uid), ("gid", self.gid))
        return " and ".join(f"{name} {number}" for name, number in named if number is not None)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a socket file shall be; -1 leaves the user or the group as it is. origin: where that was written."""

    uid: int
    gid: int
    origin: Origin


def owner(text: str, origin: Origin) -> Owner | None:
    """Look up `user`, `user:group` or `:group`; None for "". Raises UsageError for one who is not known."""
    if not text:
        return None
    user, _, group = text.partition(":")
    try:
        account = _account(user)
        uid = account.pw_uid if account else int(user) if user else -1
        return Owner(uid, _gid(group) if group else -1, origin)
    except UsageError as error:
        raise UsageError(f"chown-socket {text}: {error.text}", origin) from None


def find(user: str, group: str) -> Identity:
    """Look up `uid` and `gid`, each a name, a number, or "" for none given.

    A user without a group takes his own group, not root's, and his supplementary groups. Raises UsageError for one who
    is not known; a number need not be known.
    """
    account = _account(user)
    uid = account.pw_uid if account else int(user) if user else None
    gid = _gid(group) if group else account.pw_gid if account else None
    if gid is None:
        return Identity(uid, gid, None)
    return Identity(uid, gid, tuple(os.getgrouplist(account.pw_name, gid)) if account else (gid,))


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
    """The file that holds the master's pid; written at the start, removed at the end if it still is ours."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def write(self) -> int:
        """Write our pid; returns the pid it held before, if that process lives and is not us, else 0.

        It is not refused then: pids are used again (after a crash, after a restart of a container), and of two servers
        on one address the second one has failed already. Raises UsageError if it cannot be written.
        """
        before = self._read()
        try:
            with open(self.path, "w") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}", Origin("pidfile")) from None
        return before if before not in (0, os.getpid()) and lives(before) else 0

    def remove(self) -> None:
        """Raises OSError if it may not be removed."""
        if self._read() == os.getpid():
            os.unlink(self.path)

    def _read(self) -> int:
        try:
            with open(self.path) as file:
                text = file.read(32).strip()
        except (OSError, UnicodeDecodeError):
            return 0
        return int(text) if text.isascii() and text.isdecimal() else 0
