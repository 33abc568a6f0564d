"""Sockets that were open when we started: by socket activation, as standard input, by number, and over a re-exec.

They are not ours: their files are neither given away at the start nor removed at the end.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace

from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.table.listening import ListeningOptions
from greenwsgi.options.value_types import Address
from greenwsgi.process.listening.binding import Listener, name_of, tune
from greenwsgi.shared.resources import BoundListener

_FIRST_PASSED = _FIRST_UNNAMED = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


@dataclass(frozen=True, slots=True)
class Passed:
    """A descriptor that was passed to us, and the name it came with."""

    fd: int
    name: str


def passed(environ: MutableMapping[str, str], pid: int) -> tuple[list[Passed], str]:
    """The sockets of socket activation (systemd: sd_listen_fds(3)), and what the operator should be told, else "".

    The variables are taken out of environ: they are for this process and for none that it starts. Raises UsageError if
    they make no sense.
    """
    said = {name: environ.pop(name, "") for name in _VARIABLES}
    if not said["LISTEN_FDS"]:
        return [], ""
    count = _number(said, "LISTEN_FDS")
    if _number(said, "LISTEN_PID") != pid:
        return [], (
            f"LISTEN_FDS is for process {said['LISTEN_PID']}, which is not this one ({pid}): its sockets are left alone"
            " (a shell script must start greenwsgi with exec)"
        )
    names = said["LISTEN_FDNAMES"].split(":") + [""] * count
    return [Passed(_FIRST_PASSED + index, names[index]) for index in range(count)], ""


def adopt(fd: int, address: Address, options: ListeningOptions) -> Listener:
    """Listen on a descriptor that is open; what the address writes is only for errors. Raises UsageError.

    One of the standard three gets another number, and its own is nothing: what the application starts has it too.
    """
    try:
        listening = _listening(fd, options.listen)
    except OSError as error:
        why = f"descriptor {fd} is no listening socket: {error.strerror}"
        raise UsageError(f"{address.text}: {why}", address.origin) from None
    if fd < _FIRST_UNNAMED:
        listening = _move_away(listening)
    listening.set_inheritable(False)
    tune(listening, options)
    bound = BoundListener(listening.fileno(), address.protocol, name_of(listening), address.text, own=False)
    return Listener(listening, bound)


def standard_input(protocol: str, options: ListeningOptions) -> Listener | None:
    """Standard input, if that is a listening socket, as inetd and its like make it; None for anything else."""
    try:
        if not stat.S_ISSOCK(os.fstat(0).st_mode):
            return None
        with socket.socket(fileno=os.dup(0)) as probe:
            if not probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return None
    except OSError:
        return None
    return adopt(0, Address(protocol, "standard input", Origin("standard input")), options)


def taken_over(kept: BoundListener, options: ListeningOptions) -> Listener:
    """The listener that the image before a re-exec had, as a socket. Raises UsageError."""
    found = adopt(kept.fd, Address(kept.protocol, kept.name, Origin("re-exec")), options)
    return Listener(found.socket, replace(kept, fd=found.bound.fd))


def _listening(fd: int, backlog: int) -> socket.socket:
    """The socket of that number, which listens. Raises OSError for anything else, which stays open."""
    found = socket.socket(fileno=fd)
    try:
        if found.type != socket.SOCK_STREAM:
            raise OSError(errno.EOPNOTSUPP, "it takes no connections")
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            found.listen(backlog)
    except OSError:
        found.detach()
        raise
    return found


def _move_away(listening: socket.socket) -> socket.socket:
    """The same by another number."""
    moved = listening.dup()
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, listening.detach())
    os.close(nothing)
    return moved


def _number(said: Mapping[str, str], name: str) -> int:
    text = said[name]
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"{text!r} is no number", Origin(name))
    return int(text)
