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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from greenwsgi.clock import Clock, SystemClock
from greenwsgi.errors import Origin, UsageError
from greenwsgi.process.identity import Identity
from greenwsgi.process.inbox import Asked, Inbox, Note

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

_ORIGIN = Origin("control-socket")


def places(option: str, known: Iterable[str]) -> list[str]:
    """Where the socket is, and then where it is linked from: the option's path, beside each of the known files."""
    return [os.path.abspath(path) for path in ([option] if option else []) + [path + BESIDE for path in known if path]]


class ControlSocket:
    """The listening end. fd: one from before a re-exec.

    paths: where it is, and then where else it is found: symbolic links to it, so that whatever is known of a server
    leads there. Raises UsageError for a place that another server has, OSError if it cannot be made.
    """

    def __init__(
        self, paths: Sequence[str], who: Identity, inbox: Inbox, fd: int = -1, clock: Clock | None = None
    ) -> None:
        self.paths = [*paths]
        self.path, *self._links = paths
        self._inbox = inbox
        self._listening = socket.socket(fileno=fd) if fd >= 0 else _bind(self.path, who)
        self._listening.setblocking(False)
        self._file = _file_of(self.path)
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
                _link(self.path, link)
            except OSError as error:
                warn(f"the control socket has no link {link}: {error.strerror or error}")

    def close(self) -> None:
        """Hang up on everybody, and remove the socket if it still is ours."""
        for client in list(self._clients):
            client.close()
        self._inbox.looks.remove(self._look)
        self._inbox.unwatch(self.fd)
        self._listening.close()
        for link in self._links:
            if os.path.islink(link) and os.readlink(link) == self.path:
                os.unlink(link)
        if self._file and _file_of(self.path) == self._file:
            os.unlink(self.path)

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


def _bind(path: str, who: Identity) -> socket.socket:
    """A socket that is its owner's alone from the first moment: the umask sees to that, no chmod comes too late."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        _clear(path)
        listening.bind(path)
        try:
            os.chown(path, *who.owner)
            listening.listen(MOST_CLIENTS)
        except OSError:
            os.unlink(path)
            raise
    except (OSError, UsageError):
        listening.close()
        raise
    finally:
        os.umask(umask)
    return listening


def _clear(path: str) -> None:
    """Remove the socket that a dead server left; refuse one that answers, and a file of another kind."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file of that name, and it is no socket")
    except FileNotFoundError:
        with suppress(FileNotFoundError):
            os.unlink(path)  # a link that leads nowhere any more
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise UsageError(f"{path}: another server listens there", _ORIGIN)
    os.unlink(path)


def _link(path: str, link: str) -> None:
    """Have the link lead to the path; one from before is replaced, a file of another kind is refused."""
    if os.path.islink(link):
        os.unlink(link)
    else:
        _clear(link)
    os.symlink(path, link)


def _file_of(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


# The other end


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


class Caller:
    """A connection to a server's control socket. Raises UsageError when nobody answers there."""

    def __init__(self, path: str, seconds: float = 10.0) -> None:
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(seconds)
        try:
            self._sock.connect(path)
        except OSError as error:
            self._sock.close()
            raise UsageError(f"{path}: no server answers: {error.strerror or error}") from None
        self._file = self._sock.makefile("rb")

    def ask(self, command: str, *, wait: bool = False) -> dict[str, Any]:
        """The answer to one command; with `wait` it may take as long as a reload does."""
        with self._troubles():
            if wait:
                self._sock.settimeout(None)
            self._sock.sendall(json.dumps({"command": command, "wait": wait}).encode() + b"\n")
            answer = json.loads(self._file.readline() or b"null")
        if not isinstance(answer, dict):
            raise UsageError(f"{self.path}: the server hung up without an answer")
        return answer

    def wait_for_end(self) -> None:
        """Until the server is gone: it hangs up last of all."""
        with suppress(ConnectionError), self._troubles():
            self._sock.settimeout(None)
            while self._file.read(4096):
                pass

    def close(self) -> None:
        self._file.close()
        self._sock.close()

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path}: the server does not answer: {error}") from None


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
