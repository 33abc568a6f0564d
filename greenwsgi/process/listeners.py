"""Binding listening sockets: TCP and unix, from the address forms operators write.

    :3031  127.0.0.1:3031  [::1]:3031  name:3031  127.0.0.1:0     TCP; port 0 lets the system choose
    /run/app.sock  app.sock                                       a unix socket

An empty host is every IPv4 address, as under uWSGI. A name with several addresses means its first, IPv4 before IPv6.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass
from typing import Any

from greenwsgi.errors import Origin, UsageError
from greenwsgi.shared.messages import BoundListener

_SOMAXCONN = "/proc/sys/net/core/somaxconn"


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket. `file`: the device and inode of a unix socket, by which its owner knows it again."""

    socket: socket.socket
    bound: BoundListener
    file: tuple[int, int] | None = None

    def close(self) -> None:
        """Stop listening, and remove a unix socket's file if it is still ours."""
        self.socket.close()
        if self.file and _file_of(self.bound.name) == self.file:
            os.unlink(self.bound.name)


def bind(protocol: str, text: str, origin: Origin, backlog: int, mode: int | None = None) -> Listener:
    """Bind and listen. mode: permissions of a unix socket. Raises UsageError if the address is wrong or taken."""
    try:
        if is_path(text):
            return _bind_unix(protocol, text, backlog, mode)
        return _bind_tcp(protocol, text, backlog)
    except UsageError as error:
        raise UsageError(f"{text}: {error.text}", origin) from None
    except OSError as error:
        raise UsageError(f"{text}: {_why(error)}", origin) from None


def is_path(text: str) -> bool:
    """Does the address name a unix socket?"""
    return text.startswith(("/", ".")) or ":" not in text


def backlog_warning(backlog: int, somaxconn: str = _SOMAXCONN) -> str:
    """What to tell the operator if the kernel keeps fewer connections waiting than `listen` asks for, else ""."""
    try:
        with open(somaxconn) as file:
            most = int(file.read())
    except (OSError, ValueError):
        return ""
    if backlog <= most:
        return ""
    return f"listen {backlog} is more than the kernel allows: net.core.somaxconn is {most}, and so is the backlog"


def _bind_tcp(protocol: str, text: str, backlog: int) -> Listener:
    host, port = _split(text)
    family, address = _resolve(host, port)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Without it the second small send of an answer waits 40 ms for the first one's
        # acknowledgement (Nagle), and setting it on each connection would be a system call more.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(address)
        listening.listen(backlog)
    except OSError:
        listening.close()
        raise
    shown = f"[{host}]" if ":" in host else host or "0.0.0.0"
    return Listener(listening, BoundListener(listening.fileno(), protocol, f"{shown}:{listening.getsockname()[1]}"))


def _split(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"an IPv6 address needs brackets: [{host}]:{port}")
    if not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise UsageError(f"{port!r} is no port; write host:port, or a path with a slash for a unix socket")
    return host, int(port)


def _resolve(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"no address for host {host!r}: {error.args[-1]}") from None
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address


def _bind_unix(protocol: str, path: str, backlog: int, mode: int | None) -> Listener:
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        if mode is not None:
            os.chmod(path, mode)
        listening.listen(backlog)
    except OSError:
        listening.close()
        raise
    absolute = os.path.abspath(path)  # it is removed at the end, wherever the master is by then
    return Listener(listening, BoundListener(listening.fileno(), protocol, absolute), _file_of(absolute))


def _clear(path: str) -> None:
    """Remove the socket that a dead server left; refuse to touch one that answers, or a file of another kind."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise UsageError("there is a file of that name, and it is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise UsageError("another process listens there")
    os.unlink(path)


def _file_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another process listens there"
    return error.strerror or str(error)
