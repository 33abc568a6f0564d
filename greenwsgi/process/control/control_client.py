"""The client of a control socket: asks a running server, and checks who answers."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from greenwsgi.errors import UsageError
from greenwsgi.process.control.control_socket import _PIECE, LINE_LIMIT
from greenwsgi.process.listening import binding
from greenwsgi.shared import safe_paths

MOST_ANSWER = 8 << 20


"""Bytes that one answer may have for a client of ours."""


SAY_NOTHING = ("status",)


"""The commands whose answers are data alone, if all is well."""


_CREDENTIALS = struct.Struct("@iII")


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


class NoAnswerError(UsageError):
    """There is no listening end that can be connected to."""


class Caller:
    """A connection to a server's control socket.

    Whatever answers there may be somebody else's: in the folder of a service its user can put a socket of his own in
    place. So who it is is looked at first, and answers are bounded in size, time and shape. pid: the process that it
    must be, 0 for any; then its user must be root, the caller, or the socket's owner. Raises NoAnswerError, and
    UsageError, here and later, when there is no answer or one that makes no sense.
    """

    def __init__(self, path: str, pid: int = 0, seconds: float = 10.0) -> None:
        self.path = path
        self._seconds = seconds
        self._in = bytearray()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(seconds)
        try:
            with safe_paths.at(path, follow=True, to_own_file=True) as spot:
                found = binding.connect(self._sock, spot)
                spot.check_owner(found)
            self._check(*_peer(self._sock), pid, found.st_uid)
        except OSError as error:
            self._sock.close()
            raise NoAnswerError(f"{path}: no server answers: {error.strerror or error}") from None
        except UsageError:
            self._sock.close()
            raise

    def ask(self, command: str, *, wait: bool = False) -> dict[str, Any]:
        """The answer to one command: `ok` is a bool, `said` and `details`, if they are there, are text.

        With `wait` it may take as long as a reload does.
        """
        with self._troubles():
            self._sock.sendall(json.dumps({"command": command, "wait": wait}).encode() + b"\n")
            line = self._line(wait=wait)
        if not line:
            raise UsageError(f"{self.path}: the server hung up without an answer")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise self.odd() from None
        if not isinstance(answer, dict) or type(answer.get("ok")) is not bool:
            raise self.odd()
        if any(type(answer.get(name, "")) is not str for name in ("said", "details")):
            raise self.odd()
        if "said" not in answer and command not in SAY_NOTHING:
            raise self.odd()
        return answer

    def odd(self) -> UsageError:
        """What to raise for an answer that no server gives."""
        return UsageError(f"{self.path}: what answers there is no greenwsgi, or a much older or newer one")

    def wait_for_end(self) -> None:
        """Until the server is gone: it hangs up last of all."""
        with suppress(ConnectionError), self._troubles():
            self._sock.settimeout(None)
            unasked = 0
            while data := self._sock.recv(4096):
                unasked += len(data)
                if unasked > LINE_LIMIT:
                    raise self.odd()

    def close(self) -> None:
        self._sock.close()

    def _check(self, peer: int, user: int | None, pid: int, owner: int) -> None:
        """Raises UsageError if it is not who it must be. peer, user: 0 and None if the system does not say."""
        if pid and peer:
            if peer != pid:
                raise UsageError(
                    f"{self.path}: process {peer} answers there, but process {pid} has the pidfile: nothing is asked"
                )
        elif user is not None and user not in (0, os.geteuid(), owner):
            raise UsageError(
                f"{self.path}: process {peer} of user {user} answers there, but the socket is user {owner}'s:"
                " nothing is asked"
            )

    def _line(self, *, wait: bool) -> bytes:
        """One line, or what there is of it at the end. Raises TimeoutError, and UsageError if it is too long."""
        until = 0.0 if wait else time.monotonic() + self._seconds
        while (end := self._in.find(b"\n", max(0, len(self._in) - _PIECE))) < 0:
            if len(self._in) > MOST_ANSWER:
                raise self.odd()
            self._sock.settimeout(max(0.001, until - time.monotonic()) if until else None)
            data = self._sock.recv(_PIECE)
            if not data:
                break
            self._in += data
            until = until or time.monotonic() + self._seconds  # an answer that has begun comes whole
        line = bytes(self._in[: end + 1] if end >= 0 else self._in)
        del self._in[: len(line)]
        return line

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(f"{self.path}: the server does not answer: {error}") from None


def _peer(sock: socket.socket) -> tuple[int, int | None]:
    """The pid and user of the process that listens there; 0 and None where the system does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0, None
    pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid


def connect_and_read(address: str) -> Iterator[bytes]:
    """What a socket says until it hangs up. address: HOST:PORT, :PORT, a path, @ABSTRACT. Raises UsageError."""
    host, colon, port = address.rpartition(":")
    try:
        with socket.socket(socket.AF_INET6 if "[" in host else socket.AF_INET if colon else socket.AF_UNIX) as sock:
            sock.connect((host.strip("[]") or "127.0.0.1", int(port)) if colon else address.replace("@", "\0", 1))
            while data := sock.recv(65536):
                yield data
    except (OSError, ValueError) as error:
        raise UsageError(f"{address}: {getattr(error, 'strerror', None) or error}") from None
