"""In a process that the application forked: replaces descriptors of the server by /dev/null."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress

from gevent import monkey

_socket = monkey.get_original("socket", "socket")
"""gevent's class would make the socket non-blocking."""


def point_at_nothing(descriptors: Iterable[int]) -> None:
    """Replace each by /dev/null. A closed one's number would be reused, and its former owner would close that file."""
    null = _nothing()
    for fd in descriptors:
        if fd >= 0:
            os.dup2(null, fd, inheritable=False)
    os.closerange(null, null + 1)  # os.close is patched by gevent


def accepted(names: Container[object]) -> Iterator[int]:
    """The sockets that listeners of these names have accepted, also those not yet registered in the server.

    If another thread forks, the main thread may be between an accept and the registration of the connection.
    """
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(
        None
    )  # with one, making a socket object sets O_NONBLOCK, for all processes that share the socket
    try:
        for fd in _open_descriptors():
            with suppress(OSError):  # it was the descriptor that listed the folder
                if stat.S_ISSOCK(os.fstat(fd).st_mode) and name_of(fd) in names:
                    yield fd
    finally:
        socket.setdefaulttimeout(timeout)


def _open_descriptors() -> list[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):  # another system, a container without it
            return [int(name) for name in os.listdir(folder)]
    return []


def name_of(fd: int) -> object:
    """The port or path that a listener shares with the connections that it accepts; None for other sockets."""
    sock = _socket(fileno=fd)
    try:
        name = sock.getsockname()
        if sock.type != socket.SOCK_STREAM or not name:
            return None
        return name[1] if isinstance(name, tuple) else name
    finally:
        sock.detach()


def _nothing() -> int:
    with suppress(OSError):  # a chroot without it
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    read_end, write_end = os.pipe()
    os.closerange(write_end, write_end + 1)
    return read_end
