"""Who the server is: the user it runs as, and the pidfile it is found by."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass

from greenwsgi.errors import Origin, UsageError


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and group to become. `groups`: all groups, supplementary ones too; None leaves each as it is.

    from_uid: the group is only the user's number, since nothing else says which group it is.
    """

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None
    from_uid: bool = False

    def assume(self) -> None:
        """Become it, for good. Only root can become somebody else: see `possible`.

        Raises UsageError for a root that may not: it is to end then, since some of root's groups may be left.
        """
        try:
            self._assume(root=os.geteuid() == 0)
        except OSError as error:
            why = f"{error.strerror}; it takes the capabilities SETUID and SETGID"
            become = f"become {self}" if str(self) else "have more groups"
            raise UsageError(f"cannot {become}: {why}", Origin(self.option)) from None

    def _assume(self, *, root: bool) -> None:
        if self.groups is not None and root:
            os.setgroups(self.groups)
        if self.gid is not None and (root or self.gid != os.getegid()):  # as root for the real and the saved one too
            os.setgid(self.gid)
        if self.uid is not None and self.uid != os.geteuid():
            os.setuid(self.uid)

    @property
    def possible(self) -> bool:
        """May we become it? Anybody may be who he is."""
        return os.geteuid() == 0 or (self.uid in (None, os.geteuid()) and self.gid in (None, os.getegid()))

    @property
    def option(self) -> str:
        """The first one that asks for it."""
        return "uid" if self.uid is not None else "gid" if self.gid is not None else "add-gid"

    @property
    def drops(self) -> bool:
        """Are we root, and become somebody else?"""
        return os.geteuid() == 0 and self.uid not in (None, 0)

    @property
    def owner(self) -> tuple[int, int]:
        """The owner for a file, as chown takes it: -1 leaves it as it is."""
        return -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid

    def __str__(self) -> str:
        named = (("uid", self.uid), ("gid", self.gid))
        return " and ".join(f"{name} {number}" for name, number in named if number is not None)


NOBODY_ELSE = Identity(None, None, None)
"""Who we are already."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a socket file; -1 leaves the user or the group as it is. said: what was written, and where."""

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

    A user without a group takes his own group, not root's, and his supplementary groups. A number need not have an
    account; the group then has the same number, and there are no supplementary groups but those of `add-gid`. Raises
    UsageError for a name that is not known.
    """
    account = _account(user)
    uid = account.pw_uid if account else int(user) if user else None
    gid = _gid(group) if group else account.pw_gid if account else None
    added = tuple(_gid(one) for one in more)
    from_uid = gid is None and uid not in (None, os.geteuid())
    if from_uid:
        gid = uid
    if gid is None:
        return Identity(uid, gid, (*os.getgroups(), *added) if added else None)
    own = tuple(os.getgrouplist(account.pw_name, gid)) if account else (gid,)
    return Identity(uid, gid, tuple(dict.fromkeys((*own, *added))), from_uid)


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
