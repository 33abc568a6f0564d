"""Write locks of fcntl on whole files, which tell the process that holds them.

They prove who holds a pidfile: a write lock needs a descriptor that is open for writing, so a reader cannot have one,
and the kernel says whose it is. Locks of flock, and OFD locks, tell no process.

A process loses its lock on a file when it closes *any* descriptor of that file. The lock stays over an exec if the
descriptor does; a forked child does not have it.
"""

from __future__ import annotations

import fcntl
import struct
import sys

_LINUX = struct.Struct("@hhqqi4x")
_BSD = struct.Struct("@qqihh")
_WHOLE = (0, 0, 0)


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
