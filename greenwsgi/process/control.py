"""The control socket: operators and their tools ask, one JSON object a line, and get one line for each.

    -> {"command": "reload", "wait": true}
    <- {"ok": true, "said": "reloaded: generation 2 serves with 4 workers; generation 1 drains"}

Commands are those of COMMANDS, and the questions `ping` and `status`. Whoever may connect may do all: the socket is
its owner's alone. Nobody can hold the master up: nothing here blocks, lines and clients are bounded, and of too many
clients the oldest is hung up on.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from greenwsgi.clock import Clock, SystemClock
from greenwsgi.errors import Origin, UsageError
from greenwsgi.process import binding
from greenwsgi.process.identity import Identity, Owner
from greenwsgi.process.inbox import Asked, Inbox, Note
from greenwsgi.shared import safe_paths

LINE_LIMIT = 4096
MOST_CLIENTS = 32
MOST_UNANSWERED = 16
"""Requests of one client that wait; one more is refused."""
MOST_UNREAD = 16 << 20
"""Bytes of answers that a client has not read; then it is hung up on."""

SHORTAGE_PAUSE = 1.0
"""Seconds in which no client is accepted after one could not be, say since no descriptor was free. It stays in the
backlog, so the socket is ready all the time: to wait for it would be to try without end."""

BESIDE = ".control"
"""What is added to the name of the pidfile, or of a master-fifo, to find the socket."""

MOST_ANSWER = 8 << 20
"""Bytes that one answer may have for a client of ours."""

SAY_NOTHING = ("status",)
"""The commands whose answers are data alone, if all is well."""

_ORIGIN = Origin("control-socket")
_CREDENTIALS = struct.Struct("@iII")
_PIECE = 65536


def places(option: str, known: Iterable[str]) -> list[str]:
    """Where the socket is, and then where it is linked from: the option's path, beside each of the known files."""
    return [os.path.abspath(path) for path in ([option] if option else []) + [path + BESIDE for path in known if path]]


class ControlSocket:
    """The listening end. fd: one from before a re-exec; file: the device and inode of its socket file.

    paths: where it is, and then where else it is found: symbolic links to it, so that whatever is known of a server
    leads there. Raises UsageError for a place that another server has, OSError if it cannot be made.
    """

    def __init__(
        self,
        paths: Sequence[str],
        who: Identity,
        inbox: Inbox,
        fd: int = -1,
        file: tuple[int, int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.paths = [*paths]
        self.path, *self._links = paths
        self._inbox, self._who = inbox, who
        if fd >= 0:
            self._listening, self.file = socket.socket(fileno=fd), file or _file_of(self.path)  # an old image: unsaid
        else:
            self._listening, self.file = _bind(self.path, who)
        self._listening.setblocking(False)
        self._clients: list[_Client] = []
        self._clock = clock or SystemClock()
        self._again = 0.0
        inbox.watch(self.fd, EVENT_READ, self._accept)
        inbox.looks.append(self._look)

    @property
    def fd(self) -> int:
        return self._listening.fileno()

    def link(self, warn: Callable[[str], None]) -> None:
        """Make the links; one that cannot be had is told of. Raises UsageError for one that another server has."""
        for link in self._links:
            try:
                _link(self.path, link, self._who)
            except OSError as error:
                warn(f"the control socket has no link {link}: {error.strerror or error}")

    def close(self) -> None:
        """Hang up on everybody, and remove the socket if it still is ours."""
        for client in list(self._clients):
            client.close()
        self._inbox.looks.remove(self._look)
        self._inbox.unwatch(self.fd)
        self._listening.close()
        with ExitStack() as removing:  # one that cannot be removed keeps none of the others
            removing.callback(safe_paths.remove, self.path, self.file)
            for link in self._links:
                removing.callback(_unlink, self.path, link)

    def _accept(self, events: int) -> list[Note]:
        try:
            sock, _ = self._listening.accept()
        except (BlockingIOError, ConnectionError):  # it has left already
            return []
        except OSError:
            self._inbox.unwatch(self.fd)
            self._again = self._clock.monotonic() + SHORTAGE_PAUSE
            return []
        sock.setblocking(False)
        self._clients = [client for client in self._clients if client.open]
        if len(self._clients) >= MOST_CLIENTS:
            self._clients.pop(0).close()
        self._clients.append(_Client(sock, self._inbox))
        return []

    def _look(self) -> None:
        """Accept again, after a pause."""
        if self._again and self._clock.monotonic() >= self._again:
            self._again = 0.0
            self._inbox.watch(self.fd, EVENT_READ, self._accept)


class _Client:
    """One connection: lines in, answers out, in the order in which they are known."""

    def __init__(self, sock: socket.socket, inbox: Inbox) -> None:
        self.open = True
        self._sock = sock
        self._fd = sock.fileno()
        self._inbox = inbox
        self._in = b""
        self._out = b""
        self._reads = True
        self._unanswered = 0
        self._watch()

    def close(self) -> None:
        if self.open:
            self.open = False
            self._inbox.unwatch(self._fd)
            self._sock.close()

    def _ready(self, events: int) -> list[Note]:
        notes: list[Note] = []
        if events & EVENT_READ:
            notes = self._read()
        if self.open:
            self._write()
        return notes

    def _read(self) -> list[Note]:
        try:
            data = self._sock.recv(LINE_LIMIT)
        except BlockingIOError:
            return []
        except OSError:
            self.close()
            return []
        *lines, self._in = (self._in + data).split(b"\n")
        notes: list[Note] = [note for line in lines if line.strip() and (note := self._asked(line))]
        if len(self._in) > LINE_LIMIT:
            self._say({"ok": False, "said": f"a line is longer than {LINE_LIMIT} bytes"})
            data = b""
        self._reads = self._reads and bool(data)
        return notes

    def _asked(self, line: bytes) -> Asked | None:
        try:
            said = json.loads(line)
            name, wait = said["command"], said.get("wait", False)
            if type(name) is not str or type(wait) is not bool or said.keys() - {"command", "wait"}:
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._say({"ok": False, "said": 'wanted one JSON object a line: {"command": NAME, "wait": true or false}'})
            return None
        if self._unanswered >= MOST_UNANSWERED:
            self._say({"ok": False, "said": f"{MOST_UNANSWERED} commands wait for their answers"})
            return None
        self._unanswered += 1
        return Asked(name, "control socket", self._answer, wait)

    def _answer(self, said: dict[str, Any]) -> None:
        self._unanswered -= 1
        if self.open:
            self._say(said)
            self._write()

    def _say(self, said: dict[str, Any]) -> None:
        self._out += json.dumps(said).encode() + b"\n"

    def _write(self) -> None:
        """As much as it takes; then wait for what is missing, or hang up if nothing is."""
        try:
            self._out = self._out[self._sock.send(self._out) :] if self._out else b""
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if len(self._out) > MOST_UNREAD or not (self._reads or self._out or self._unanswered):
            self.close()
        else:
            self._watch()

    def _watch(self) -> None:
        events = EVENT_READ * self._reads | EVENT_WRITE * bool(self._out)
        if events:
            self._inbox.watch(self._fd, events, self._ready)
        else:  # it said all it will and waits for an answer; that it left is seen when that is sent
            self._inbox.unwatch(self._fd)


def _bind(path: str, who: Identity) -> tuple[socket.socket, tuple[int, int]]:
    """A socket that is its owner's alone from the first moment."""
    try:
        return binding.make_socket(
            path, 0o600, Owner(*who.owner, str(who), _ORIGIN), lambda made: made.listen(MOST_CLIENTS), dead_links=True
        )
    except UsageError as error:  # it may not be given away
        raise PermissionError(errno.EPERM, error.text) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"{path}: another server listens there", _ORIGIN) from None
        raise


def _link(path: str, link: str, who: Identity) -> None:
    """Have the link lead to the path; one from before is replaced, a file of another kind is refused.

    In the folder of the server's user it is that user's: he could rename a link of root's, and other programs trust
    those.
    """
    with safe_paths.at(link) as spot:
        found = spot.look()
        if found is not None and stat.S_ISLNK(found.st_mode):
            spot.remove(safe_paths.file_id(found))
        else:
            try:
                binding.clear(spot)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise UsageError(f"{link}: another server listens there", _ORIGIN) from None
                raise
        if os.geteuid() != 0 or who.uid != os.fstat(spot.folder).st_uid:
            os.symlink(path, spot.name, dir_fd=spot.folder)
            return
        with safe_paths.aside(spot) as made:
            os.symlink(path, made.name, dir_fd=made.folder)
            os.chown(made.name, *who.owner, dir_fd=made.folder, follow_symlinks=False)
            safe_paths.put(made, spot)


def _unlink(path: str, link: str) -> None:
    """Remove the link if it leads to the path."""
    with suppress(FileNotFoundError, NotADirectoryError), safe_paths.at(link) as spot:
        found = spot.look()
        if found and stat.S_ISLNK(found.st_mode) and os.readlink(spot.name, dir_fd=spot.folder) == path:
            spot.remove(safe_paths.file_id(found))


def _file_of(path: str) -> tuple[int, int] | None:
    try:
        return safe_paths.file_id(os.lstat(path))
    except OSError:
        return None


# The other end


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
