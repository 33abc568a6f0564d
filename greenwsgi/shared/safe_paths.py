"""Files in folders where other users may write, opened and made so that no name can be swapped under the server.

A server that is started by root opens its log, pidfile, sockets and fifos in folders that often belong to the service's
user. That user can replace every name there at every moment, also by a symbolic link to a file of root's. Three rules
keep such a file out of reach:

- A folder is opened component by component and is then used by its descriptor only (`at`). A symbolic link of another
  user is followed only to a folder of his own: there he could have put the file himself. In a folder where everybody
  may write, such as /tmp, it is never followed, as the kernel has it under fs.protected_symlinks. A link of root's in
  another user's folder counts as that user's link, since he can rename it.
- What needs a mode or an owner gets them in a new folder that only the server may enter (`aside`), and then its name.
- A file is removed only if it is the one that was made, by its device and inode.

Of a server that is not root only the last of this is asked: another user's links, a deploy user's `current` for one,
give him no rights that he has not.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NoReturn

MOST_LINKS = 40
"""Symbolic links that one path may follow, as in the kernel."""

MOST_TRIES = 10
"""To open a file whose name other processes replace meanwhile."""

LOOKS = 8
"""At a file that was opened: a link that is just removed is missed by one look, hardly by all."""

_PATH_ONLY = getattr(os, "O_PATH", 0)
_FOLDER = (_PATH_ONLY or os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in a folder that is open. folder: its descriptor. path: as it was written.

    native: the name lies in /proc, where links are the kernel's own (/dev/stdout leads there), and is followed.
    led_by: why the file must be another's, by the users whose links led here and who do not own the folder.
    """

    folder: int
    name: str
    path: str
    native: bool = False
    led_by: Mapping[int, str] = field(default_factory=dict)

    def check_owner(self, found: os.stat_result) -> None:
        """Is the file that was opened there the own one of all whose links led to it? Raises PermissionError."""
        if set(self.led_by) - {found.st_uid}:
            _refuse(self.led_by, f"it is user {found.st_uid}'s")

    def look(self) -> os.stat_result | None:
        """What is there, a link itself; None if nothing is."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=self.native)
        except FileNotFoundError:
            return None

    def open(self, flags: int, mode: int = 0o666) -> int:
        """The descriptor. Raises OSError, for a symbolic link too."""
        return os.open(self.name, flags if self.native else flags | os.O_NOFOLLOW, mode, dir_fd=self.folder)

    def remove(self, file: tuple[int, int] | None) -> bool:
        """Remove it if it is that file; was it? Raises OSError if it may not be removed."""
        found = self.look()
        if found is None or file_id(found) != file:
            return False
        os.unlink(self.name, dir_fd=self.folder)
        return True


def file_id(found: os.stat_result) -> tuple[int, int]:
    """What tells a file from all others: its device and inode."""
    return found.st_dev, found.st_ino


def kind(mode: int) -> str:
    """What sort of file it is, in words."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a fifo",
        stat.S_IFSOCK: "a socket",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFBLK: "a device",
        stat.S_IFCHR: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a file")


# Finding


@contextmanager
def at(path: str, *, follow: bool = False, to_own_file: bool = False) -> Iterator[Spot]:
    """The place of a path, with its folder open meanwhile. follow: a symbolic link as the last component too.

    to_own_file: another user's link may lead to a file of his own in a folder that is not; the caller opens it, and
    then asks `check_owner`. Raises OSError.
    """
    walk = _Walk(path, follow, to_own_file)
    try:
        yield walk.spot()
    finally:
        _close(walk.folder)


def go_to(path: str) -> None:
    """Make a folder the current one, by the same rules: relative names begin there from now on. Raises OSError."""
    with at(os.path.join(path, "_")) as spot:
        if not spot.native:
            os.fchdir(spot.folder)
            return
        folder = os.open(os.path.dirname(spot.name) or ".", _FOLDER & ~os.O_NOFOLLOW, dir_fd=spot.folder)
        try:
            os.fchdir(folder)
        finally:
            _close(folder)


@contextmanager
def being_in(path: str) -> Iterator[None]:
    """In that folder for a while, and then where we were, whatever that is called by now. Raises OSError."""
    here = os.open(".", _FOLDER)
    try:
        go_to(path)
        try:
            yield
        finally:
            os.fchdir(here)
    finally:
        _close(here)


class _Walk:
    """From the root, or from here, to the folder of a path."""

    def __init__(self, path: str, follow: bool, to_own_file: bool) -> None:
        self._path = path
        self._to_own_file = to_own_file
        self._follow = follow
        self._rest = _parts(path)
        self._led_by: dict[int, str] = {}
        self._links = 0
        self._proc = _proc()
        self.folder = os.open("/" if path.startswith("/") else ".", _FOLDER)

    def spot(self) -> Spot:
        try:
            return self._find()
        except BaseException:
            _close(self.folder)
            self.folder = _UNKNOWN
            raise

    def _find(self) -> Spot:
        while True:
            if not self._rest or self._rest[0] == "..":
                raise IsADirectoryError(errno.EISDIR, "this is a folder")
            if self._proc is not None and os.fstat(self.folder).st_dev == self._proc:
                return self._here("/".join(reversed(self._rest)), native=True)
            part = self._rest.pop()
            if not self._rest:
                if not (self._follow and self._is_link(part)):
                    return self._here(part)
                self._go_by_link(part)
            elif not self._enter(part):
                self._go_by_link(part)

    def _here(self, name: str, *, native: bool = False) -> Spot:
        owner = os.fstat(self.folder).st_uid
        if self._led_by and set(self._led_by) != {owner}:
            if self._to_own_file:
                return Spot(self.folder, name, self._path, native, self._led_by)
            _refuse(self._led_by, f"the folder is user {owner}'s")
        return Spot(self.folder, name, self._path, native)

    def _is_link(self, part: str) -> bool:
        try:
            return stat.S_ISLNK(os.lstat(part, dir_fd=self.folder).st_mode)
        except FileNotFoundError:
            return False

    def _enter(self, part: str) -> bool:
        """Go on there, if it is no link."""
        try:
            self._replace(os.open(part, _FOLDER, dir_fd=self.folder))
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                return False
            raise
        return True

    def _go_by_link(self, part: str) -> None:
        target, owner = _read_link(self.folder, part)
        found, is_root = os.fstat(self.folder), os.geteuid() == 0
        if owner not in (0, os.geteuid()):
            whose = "of another user" if owner == _UNKNOWN else f"of user {owner}"
            if found.st_mode & stat.S_IWOTH:
                raise PermissionError(errno.EPERM, f"{part} is a symbolic link {whose}, where everybody may write")
            if is_root:
                self._led_by[owner] = whose
        elif is_root and found.st_uid:  # it was perhaps made for another purpose, and renamed by the folder's owner
            self._led_by[found.st_uid] = f"in a folder of user {found.st_uid}"
        elif is_root and not _keeps_names(self.folder):
            self._led_by[_UNKNOWN] = "in a folder where other users may write"
        self._links += 1
        if self._links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.startswith("/"):
            self._replace(os.open("/", _FOLDER))
        self._rest += _parts(target)

    def _replace(self, folder: int) -> None:
        _close(self.folder)
        self.folder = folder


def _refuse(led_by: Mapping[int, str], why: str) -> NoReturn:
    led = ", ".join(led_by.values())
    raise PermissionError(errno.EPERM, f"a symbolic link {led} leads there, and {why}: name it directly")


def _parts(path: str) -> list[str]:
    """Its components, the last one first."""
    return [part for part in path.split("/") if part not in ("", ".")][::-1]


def _read_link(folder: int, name: str) -> tuple[str, int]:
    """Where a symbolic link leads, and whose it is: of one and the same link. Raises OSError, NotADirectoryError."""
    no_link = NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if _PATH_ONLY:
        fd = os.open(name, _PATH_ONLY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            found = os.fstat(fd)
            if not stat.S_ISLNK(found.st_mode):
                raise no_link
            return os.readlink("", dir_fd=fd), found.st_uid
        finally:
            _close(fd)
    found = os.lstat(name, dir_fd=folder)
    if not stat.S_ISLNK(found.st_mode):
        raise no_link
    target = os.readlink(name, dir_fd=folder)
    return target, found.st_uid if _keeps_names(folder) else _UNKNOWN  # it may be another one by now


def _keeps_names(folder: int) -> bool:
    """Can no other user replace in that folder what is not his own?"""
    found = os.fstat(folder)
    return found.st_uid in (0, os.geteuid()) and bool(found.st_mode & stat.S_ISVTX or not found.st_mode & 0o022)


def _proc() -> int | None:
    """The device of /proc; None where that is not mounted."""
    if sys.platform != "linux":
        return None
    try:
        proc = os.stat("/proc").st_dev
    except OSError:
        return None
    return proc if proc != os.stat("/").st_dev else None


def _close(fd: int) -> None:
    """os.close is gevent's in a zygote, and may leave the descriptor open until its loop runs."""
    if fd >= 0:
        os.closerange(fd, fd + 1)


# Making


@contextmanager
def aside(spot: Spot) -> Iterator[Spot]:
    """The same name in a new folder beside the spot that only this process's user may enter.

    What is made there can be given its mode and owner; `put` gives it its name. What stays there is removed. Raises
    OSError.
    """
    private = f".greenwsgi-{secrets.token_hex(8)}"
    umask = os.umask(0o077)
    try:
        os.mkdir(private, 0o700, dir_fd=spot.folder)
    finally:
        os.umask(umask)
    folder = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=spot.folder)
    try:
        _check_private(folder)
        yield Spot(folder, spot.name, spot.path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(spot.name, dir_fd=folder)
        _remove_folder(spot.folder, private, folder)
        _close(folder)


def _check_private(folder: int) -> None:
    """It may have been replaced since it was made, even by another folder of root's that was there already."""
    found = os.fstat(folder)
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or os.listdir(folder):
        why = "another user has replaced it, or this file system does not keep owners and modes"
        raise PermissionError(errno.EPERM, f"a folder that was made there for the start is not ours alone: {why}")


def _remove_folder(parent: int, name: str, folder: int) -> None:
    """An empty one that somebody has moved away is left to him."""
    with suppress(OSError):
        if os.path.samestat(os.lstat(name, dir_fd=parent), os.fstat(folder)):
            os.rmdir(name, dir_fd=parent)


def put(made: Spot, spot: Spot) -> None:
    """Give what was made aside its name. Raises FileExistsError if there is something of that name, OSError."""
    names = (made.name, spot.name)
    try:
        os.link(*names, src_dir_fd=made.folder, dst_dir_fd=spot.folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if spot.look() is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(*names, src_dir_fd=made.folder, dst_dir_fd=spot.folder)


def remove(path: str, file: tuple[int, int] | None, *, follow: bool = False) -> bool:
    """Remove the file of that path if it is that one; was it? A path that leads nowhere any more is no error."""
    try:
        with at(path, follow=follow) as spot:
            return spot.remove(file)
    except (FileNotFoundError, NotADirectoryError):
        return False


# Opening


def open_log(path: str) -> int:
    """Open a file for output, at its end; make it if there is none. /dev/stdout and terminals are files here.

    A fifo is refused: opening it waits for its reader, and so does every line once it is full. Raises OSError.
    """
    with at(path, follow=True) as spot:
        _check_log(spot.look(), spot)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
        fd = open_seen(spot, flags, 0o640)
        try:
            _check_log(os.fstat(fd), spot)
            os.set_blocking(fd, True)
        except BaseException:
            _close(fd)
            raise
        return fd


def _check_log(found: os.stat_result | None, spot: Spot) -> None:
    """Raises OSError for what is no log."""
    if found is None or stat.S_ISCHR(found.st_mode) or (spot.native and not stat.S_ISBLK(found.st_mode)):
        return
    if not stat.S_ISREG(found.st_mode):
        raise FileExistsError(errno.EEXIST, f"there is {kind(found.st_mode)} of that name: name a file")
    _check_names(found, spot)


def _check_names(found: os.stat_result, spot: Spot) -> None:
    if has_other_names(found, spot):
        raise PermissionError(errno.EPERM, "that file has another name too (a hard link): remove one of them")


def has_other_names(found: os.stat_result, spot: Spot) -> bool:
    """Is it perhaps a file of root's, to which somebody made a hard link in a folder of his own?"""
    return found.st_nlink > 1 and os.geteuid() == 0 and not _keeps_names_alone(spot.folder)


def open_seen(spot: Spot, flags: int, mode: int = 0o666) -> int:
    """Open the file of that name, the same one before and after; where nothing is, O_CREAT makes a new one.

    A hard link to a file of root's can be put there for the moment of the open alone, and then shows in no count of
    links. Raises OSError; PermissionError for a file that has other names, and if the name changes again and again.
    """
    if spot.native or os.geteuid() != 0 or _keeps_names_alone(spot.folder):
        return spot.open(flags, mode)
    for _ in range(MOST_TRIES):
        seen = spot.look()
        try:
            fd = spot.open(flags & ~os.O_CREAT if seen or not flags & os.O_CREAT else flags | os.O_EXCL, mode)
        except (FileNotFoundError, FileExistsError):
            if seen or flags & os.O_CREAT:  # it is another one's by now: two servers may have one log
                continue
            raise
        try:
            if _is_at(spot, os.fstat(fd), seen):
                return fd
        except BaseException:
            _close(fd)
            raise
        _close(fd)
    raise PermissionError(errno.EPERM, "another process replaces that file again and again")


def _is_at(spot: Spot, opened: os.stat_result, seen: os.stat_result | None) -> bool:
    """Is that file what was seen, and still at the spot? Raises PermissionError if it has other names."""
    looks = [opened, seen or opened, *(_settled(spot) for _ in range(LOOKS))]  # what was made with O_EXCL is ours
    for found in looks:
        if found is None or file_id(found) != file_id(opened):
            return False
        if stat.S_ISREG(found.st_mode):
            _check_names(found, spot)
    return True


def _settled(spot: Spot) -> os.stat_result | None:
    """What is there when no link is half removed: the kernel counts it no more then, but still finds its name.

    To rename a file to its own name changes nothing, but waits for what changes the folder.
    """
    with suppress(OSError):
        os.rename(spot.name, spot.name, src_dir_fd=spot.folder, dst_dir_fd=spot.folder)
    return spot.look()


def _keeps_names_alone(folder: int) -> bool:
    found = os.fstat(folder)
    return found.st_uid == 0 and not found.st_mode & 0o022


def opener(path: str, flags: int) -> int:
    """For the `opener` of open(): as it does, but only what is not led to a file of another user's choice.

    A fifo without a reader is an error, and not waited for. Raises OSError.
    """
    with at(path, follow=True) as spot:
        fd = open_seen(spot, flags & ~os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode):
                _check_names(found, spot)
                if flags & os.O_TRUNC:
                    os.ftruncate(fd, 0)
            os.set_blocking(fd, True)
        except BaseException:
            _close(fd)
            raise
        return fd
