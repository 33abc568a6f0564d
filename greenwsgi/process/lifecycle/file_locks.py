"""Write locks of fcntl on whole files, which tell the process that holds them.

They prove who holds a pidfile: a write lock needs a descriptor that is open for writing, so a reader cannot have one,
and the kernel says whose it is. Locks of flock, and OFD locks, tell no process.

A process loses its lock on a file when it closes *any* descriptor of that file. The lock stays over an exec if the
descriptor does; a forked child does not have it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import sys

_LINUX = struct.Struct("@hhqqi4x")
_BSD = struct.Struct("@qqihh")
_WHOLE = (0, 0, 0)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def take(fd: int) -> None:
    """Lock the file, which is open for writing. Raises OSError if another process has a lock, even one for reading."""
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def writer(fd: int) -> int | None:
    """The pid of the other process that has a write lock on the file, None if there is none.

    0 is a process that this one cannot see (another pid namespace), -1 a lock that belongs to no process (OFD).
    Locks for reading do not count. Raises OSError.
    """
    if sys.platform == "linux":
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, _LINUX.pack(fcntl.F_RDLCK, *_WHOLE, 0))
        lock, _, _, _, pid = _LINUX.unpack(answer)
    else:
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, _BSD.pack(0, 0, 0, fcntl.F_RDLCK, 0))
        _, _, pid, lock, _ = _BSD.unpack(answer)
    return None if lock == fcntl.F_UNLCK else int(pid)


def misfit(file: os.stat_result, pid: int) -> str:
    """Why that process is not believed to have locked that file; "" if it is believed, or nothing tells its users.

    A lock outlives its process where another one shares its descriptors (CLONE_FILES), and then its pid may become a
    stranger's. It also stays when its process executes a set-uid program. So what is locked by a user who is not root
    must be a process of that user alone. A file that only root could lock is believed: a master that root has started
    runs as any user.
    """
    users = _users(pid)
    if users is None:
        return ""
    if not users:
        return f"process {pid}, which has it locked, is gone or cannot be seen"
    if users == {file.st_uid} != {0} or (file.st_uid == 0 and not file.st_mode & _OTHERS_WRITE):
        return ""
    if file.st_uid == 0 and len(users) == 1 and 0 not in users:
        return ""
    runs = "user " + " and ".join(map(str, sorted(users)))
    if file.st_uid == 0:
        return f"process {pid} has it locked and runs as {runs}, but others than root may write the file"
    return f"process {pid} has it locked and runs as {runs}, but the file is user {file.st_uid}'s"


def _users(pid: int) -> set[int] | None:
    """The real, effective, saved and filesystem uid of a process; empty if it is not there, None without /proc."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            (uids,) = (line.split()[1:] for line in file if line.startswith(b"Uid:"))
        return set(map(int, uids))
    except (OSError, ValueError):
        return set() if os.path.exists("/proc/self/status") else None
