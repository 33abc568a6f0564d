"""Descriptor numbers: what the server relies on has high ones, out of the way of an application that closes low ones.

Daemonising libraries close 0 to 2; loops over range(3, 256) or range(3, 1024) close what they never opened. The next
socket gets a number that became free in this way, and whatever still writes to that number writes to a stranger.
"""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

FIRST_HIGH = 1024
"""The server's numbers begin here; at half the process's hard limit where that is lower."""

STANDARD = (0, 1, 2)


def raised(fd: int) -> int:
    """The same open file under a high number, not inheritable; its old number is closed, unless it is a standard one.

    Where no high number can be had it is returned as it is.
    """
    try:
        with _no_soft_limit() as first:
            high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, first)
    except OSError:
        if fd not in STANDARD:
            os.set_inheritable(fd, False)
        return fd
    if fd not in STANDARD:
        close(fd)
    return high


@contextmanager
def low_taken() -> Iterator[None]:
    """Take all low numbers, so that whatever is opened meanwhile gets a high one. Costs half a millisecond."""
    taken: list[int] = []
    with _no_soft_limit() as first:
        try:
            with suppress(OSError):
                taken.append(os.open(os.devnull, os.O_RDWR))
                while taken[-1] < first:
                    taken.append(os.dup(taken[0]))
            yield
        finally:
            for fd in taken:
                close(fd)


def open_standard() -> None:
    """Open /dev/null as those of 0, 1 and 2 that are closed, or the next socket is taken for input, output or error."""
    while (fd := os.open(os.devnull, os.O_RDWR)) in STANDARD:
        os.set_inheritable(fd, True)
    close(fd)


def no_input() -> None:
    """Make standard input /dev/null, here and in all that is started from now on."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != 0:
        os.dup2(null, 0)
        close(null)


def make_terminals_write_only() -> list[int]:
    """Open each descriptor of a terminal again, for writing alone, under its number; returns those that stay readable.

    Who has such a descriptor could read what is typed there, a password for one. To open a terminal takes its
    owner or root, so this has to be done before privileges are dropped.
    """
    left = []
    for fd in _numbers():
        if not os.isatty(fd) or fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            continue
        try:
            again = os.open(f"/dev/fd/{fd}", os.O_WRONLY | os.O_NOCTTY)
        except OSError:
            left.append(fd)
            continue
        os.dup2(again, fd, os.get_inheritable(fd))
        close(again)
    return left


def close(fd: int) -> None:
    """Close it now: under gevent os.close may wait for the loop. One that is closed already is left alone."""
    os.closerange(fd, fd + 1)


def file_of(fd: int) -> tuple[int, int] | None:
    """What is open under this number, by device and inode; None if nothing is."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _numbers() -> list[int]:
    """Of all that is open; some may be closed already."""
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # a system, or a container, without that folder
        return list(STANDARD)


@contextmanager
def _no_soft_limit() -> Iterator[int]:
    """Gives the first high number; the soft limit, which may be below it, is the hard one meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 20 if hard == resource.RLIM_INFINITY else hard
    with suppress(ValueError, OSError):  # macOS has a lower limit of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield min(FIRST_HIGH, most // 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
