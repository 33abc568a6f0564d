"""What a configuration takes from outside: files, standard input, descriptors, the output of commands, http, names.

The one place in config/ that starts a process or opens a connection.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from threading import Thread
from time import monotonic
from typing import IO, cast

MAX_BYTES = 1 << 20
"""Of one file, or whatever else is read. The longest real configurations have 20 KiB."""

TIMEOUT = 60.0
"""Seconds that a command may run, or a server may take to answer."""

_SCHEME = re.compile(r"([a-z]+)://(.*)", re.DOTALL)


def is_address(name: str) -> bool:
    """Is it `scheme://...`, and no file's name?"""
    return _SCHEME.fullmatch(name) is not None


def read(name: str, environ: Mapping[str, str], binary: str, remote: bool = False) -> bytes:
    """What a file, `-` (standard input), exec://COMMAND, fd://N, data://N or http://... holds.

    binary: the file at whose end `data://` looks; remote: http may be asked. Raises OSError with a text for people.
    """
    found = _SCHEME.fullmatch(name)
    if name == "-":
        return _descriptor(0)
    if not found:
        with open(name, "rb") as file:
            return _bounded(file.read)
    scheme, rest = found.groups()
    if scheme in ("http", "https"):
        if not remote:
            raise OSError("it is elsewhere; allow-remote-config lets it be fetched")
        return _http(name)
    if scheme == "exec":
        return _command(rest, environ)
    if scheme == "fd":
        return _descriptor(_number(rest))
    if scheme == "data":
        return _appended(binary, _number(rest))
    raise OSError(f"nothing reads {scheme}:// here; wanted a file, exec://, fd://, data:// or http://")


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise OSError("wanted a number after ://")
    return int(text)


def _bounded(read: Callable[[int], bytes]) -> bytes:
    data = b""
    while part := read(MAX_BYTES + 1 - len(data)):
        data += part
    if len(data) > MAX_BYTES:
        raise OSError(f"it has more than {MAX_BYTES >> 20} MiB, which no configuration has")
    return data


@cache  # it cannot be read twice, and a reload wants it again
def _descriptor(number: int) -> bytes:
    try:
        return _bounded(lambda size: os.read(number, size))
    except OSError as error:
        raise OSError(error.strerror or str(error)) from None


def _command(command: str, environ: Mapping[str, str]) -> bytes:
    """The standard output; like uWSGI's, whatever the command's status.

    What takes too long is killed, with all that it started; what has left its process group is left alone.
    """
    until = monotonic() + TIMEOUT
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=dict(environ),
        process_group=0,
    ) as process:
        output = cast(IO[bytes], process.stdout).fileno()
        try:
            data = _bounded(lambda size: _read_until(until, output, size))
            process.wait(until - monotonic())  # it may have closed its output, and go on
            return data
        except subprocess.TimeoutExpired:
            raise _too_slow() from None
        finally:
            if process.returncode is None:  # so that number is its group's still
                with suppress(PermissionError):  # of macOS, where all of the group has ended
                    os.killpg(process.pid, signal.SIGKILL)


def _read_until(until: float, fd: int, size: int) -> bytes:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(max(0, until - monotonic()) * 1000):
        raise _too_slow()
    return os.read(fd, size)


def _too_slow() -> OSError:
    return OSError(f"it took longer than {TIMEOUT:g} s")


def _appended(binary: str, slot: int) -> bytes:
    """What was put behind the program: each piece is followed by its length, 8 bytes; slot 0 is the last."""
    try:
        with open(binary, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            for _ in range(slot + 1):
                file.seek(end - 8)
                size = int.from_bytes(file.read(8), "little")
                end -= 8 + size
                file.seek(end)
            if size <= MAX_BYTES:
                return file.read(size)
    except (OSError, ValueError):
        pass  # what is no piece leads before the file's begin
    raise OSError(f"nothing of that kind is appended to {binary or 'the program'}")


def _http(url: str) -> bytes:
    """In a thread, which is left behind if it takes too long: a server can send a byte now and then for ever."""
    came: list[bytes | BaseException] = []

    def ask() -> None:
        try:
            came.append(_ask(url))
        except BaseException as error:
            came.append(error)

    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(TIMEOUT)
    if not came:
        raise _too_slow()
    if isinstance(came[0], BaseException):
        raise came[0]
    return came[0]


def _ask(url: str) -> bytes:
    # Here: with its kin it takes http and ssl, which a server without it never needs.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=TIMEOUT) as answer:
            return _bounded(answer.read)
    except HTTPError as error:
        with error:  # it holds the connection
            raise OSError(f"{error.code} {error.reason}") from None
    except (HTTPException, ValueError) as error:
        raise OSError(str(error)) from None


def address_of(host: str) -> str:
    """The IPv4 address of a host. Raises OSError."""
    return socket.gethostbyname(host)
