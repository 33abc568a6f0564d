"""Finds what the application's import has opened and a fork breaks: native threads, and sockets shared by all workers.

Python's threads are greenlets here, which continue in each worker. A native thread, of a C library or of gevent's
thread pool, exists only in the process that started it. A socket that was connected before the fork belongs to several
processes afterwards, which receive each other's answers.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Container, Iterator
from contextlib import suppress
from types import FrameType

from gevent import monkey

_ident = monkey.get_original("_thread", "get_ident")
_native_id = monkey.get_original("_thread", "get_native_id")
_socket = monkey.get_original("socket", "socket")
"""gevent's class would make the socket non-blocking."""


def report(ours: Container[int]) -> list[str]:
    """One line for each native thread and each socket of this process; ours: the server's own descriptors.

    Empty on systems without /proc/self.
    """
    return [*_threads(), *_sockets(ours)]


def _threads() -> Iterator[str]:
    """The native threads except this one and those of gevent's thread pool, which is made again after a fork."""
    try:
        tasks = [int(task) for task in os.listdir("/proc/self/task")]
    except OSError:
        return
    stacks = [frame for ident, frame in sys._current_frames().items() if ident != _ident()]
    foreign = [frame for frame in stacks if not _is_gevents(frame)]
    count = len(tasks) - 1 - (len(stacks) - len(foreign))
    if count > 0:
        names = dict.fromkeys(_comm(task) for task in tasks if task != _native_id())
        places = [f"{one.f_code.co_qualname} at {one.f_code.co_filename}:{one.f_lineno}" for one in foreign]
        threads = "1 native thread" if count == 1 else f"{count} native threads"
        yield f"{threads} ({', '.join([*names, *places])}): no worker has them"


def _is_gevents(frame: FrameType) -> bool:
    step: FrameType | None = frame
    while step is not None:
        if step.f_globals.get("__name__") == "gevent.threadpool":
            return True
        step = step.f_back
    return False


def _comm(task: int) -> str:
    try:
        with open(f"/proc/self/task/{task}/comm") as file:
            return file.read().strip()
    except OSError:  # it has just ended
        return "gone"


def _sockets(ours: Container[int]) -> Iterator[str]:
    try:
        descriptors = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    except OSError:
        return
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(
        None
    )  # with one, making a socket object sets O_NONBLOCK, for all processes that share the socket
    try:
        for fd in descriptors:
            if fd > 2 and fd not in ours and _is_socket(fd) and (text := _describe(fd)):
                yield f"descriptor {fd}, {text}: all workers share it"
    finally:
        socket.setdefaulttimeout(timeout)


def _is_socket(fd: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    except OSError:  # it was the descriptor that listed the folder
        return False


def _describe(fd: int) -> str:
    """`a connection to 10.0.0.5:5432 (postgresql)`; "" for a socket that is not connected and does not listen."""
    try:
        sock = _socket(fileno=fd)
    except OSError:
        return ""  # of a family without addresses, as AF_ALG
    try:
        if sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            return ""
        with suppress(OSError):  # not connected
            return f"a connection to {_address(sock.getpeername())}"
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return f"a socket that listens on {_address(sock.getsockname())}" if listens else ""
    except OSError:
        return ""
    finally:
        sock.detach()


def _address(address: object) -> str:
    if not isinstance(address, tuple):
        text = address.decode(errors="replace") if isinstance(address, bytes) else str(address)
        return text.replace("\0", "@") or "a socket without a name"
    host, port = address[:2]
    try:
        service = f" ({socket.getservbyport(port, 'tcp')})"
    except OSError:
        service = ""
    return f"[{host}]:{port}{service}" if ":" in host else f"{host}:{port}{service}"
