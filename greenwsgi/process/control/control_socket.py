"""The control socket: takes one JSON object a line from operators and their tools, and answers each with one line.

    -> {"command": "reload", "wait": true}
    <- {"ok": true, "said": "reloaded: generation 2 serves with 4 workers; generation 1 drains"}

Commands are those of COMMANDS, and the questions `ping` and `status`. Every client may do all: only the socket's
owner can connect. No client can hold the master up: nothing here blocks, lines and clients are bounded, and when there
are too many clients the oldest connection is closed.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from greenwsgi.clock import Clock, SystemClock
from greenwsgi.errors import Origin, UsageError
from greenwsgi.process.lifecycle.user_identity import Identity, Owner
from greenwsgi.process.listening import binding
from greenwsgi.process.supervision.event_inbox import Asked, EventInbox, Note
from greenwsgi.shared import safe_paths

LINE_LIMIT = 4096
MOST_CLIENTS = 32
MOST_UNANSWERED = 16
"""Commands of one client that wait for their answers; one more is refused."""
MOST_UNREAD = 16 << 20
"""Bytes of answers that a client has not read; with more its connection is closed."""

SHORTAGE_PAUSE = 1.0
"""Seconds for which no client is accepted after accepting failed, for example since no descriptor was free. The client
stays in the backlog, so the socket is ready all the time, and waiting for it would never block."""

BESIDE = ".control"
"""The ending that the socket's name has after that of the pidfile or master-fifo."""


_ORIGIN = Origin("control-socket")
_PIECE = 65536


def places(option: str, known: Iterable[str]) -> list[str]:
    """The path of the socket, then those of links to it: the option's, then one beside each of the known files."""
    return [os.path.abspath(path) for path in ([option] if option else []) + [path + BESIDE for path in known if path]]


class ControlSocket:
    """The listening socket, with its clients."""

    def __init__(
        self,
        paths: Sequence[str],
        identity: Identity,
        inbox: EventInbox,
        fd: int = -1,
        file: tuple[int, int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """paths: of the socket, then of symbolic links to it. fd: a socket from before a re-exec, -1 for none.

        file: the device and inode of that one's socket file. Raises UsageError for a path that another server has,
        OSError if the socket cannot be made.
        """
        self.paths = [*paths]
        self.path, *self._links = paths
        self._inbox, self._identity = inbox, identity
        if fd >= 0:
            self._listening, self.file = (
                socket.socket(fileno=fd),
                file or _file_of(self.path),
            )  # an old image does not hand it over
        else:
            self._listening, self.file = _bind(self.path, identity)
        self._listening.setblocking(False)
        self._clients: list[_Client] = []
        self._clock = clock or SystemClock()
        self._again = 0.0
        inbox.watch(self.fd, EVENT_READ, self._accept)
        inbox.look_before_wait(self._look)

    @property
    def fd(self) -> int:
        return self._listening.fileno()

    def link(self, warn: Callable[[str], None]) -> None:
        """Make the links; `warn` of one that cannot be made. Raises UsageError for one that another server has."""
        for link in self._links:
            try:
                _link(self.path, link, self._identity)
            except OSError as error:
                warn(f"the control socket has no link {link}: {error.strerror or error}")

    def close(self) -> None:
        """Close all connections, and remove the socket if it still is ours."""
        for client in list(self._clients):
            client.close()
        self._inbox.stop_looking(self._look)
        self._inbox.unwatch(self.fd)
        self._listening.close()
        with ExitStack() as removing:  # an error with one does not keep the others
            removing.callback(safe_paths.remove, self.path, self.file)
            for link in self._links:
                removing.callback(_unlink, self.path, link)

    def _accept(self, events: int) -> list[Note]:
        try:
            sock, _ = self._listening.accept()
        except (BlockingIOError, ConnectionError):  # the client has left already
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

    def __init__(self, sock: socket.socket, inbox: EventInbox) -> None:
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
        """Send as much as the socket takes; then wait for the rest, or close if nothing is left to do."""
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
        else:  # it sends no more and waits for an answer; that it has left is seen when that is sent
            self._inbox.unwatch(self._fd)


def _bind(path: str, identity: Identity) -> tuple[socket.socket, tuple[int, int]]:
    """A socket to which only its owner has access, from the first moment."""
    try:
        return binding.make_socket(
            path,
            0o600,
            Owner(*identity.owner, str(identity), _ORIGIN),
            lambda made: made.listen(MOST_CLIENTS),
            dead_links=True,
        )
    except UsageError as error:  # it may not be given away
        raise PermissionError(errno.EPERM, error.text) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"{path}: another server listens there", _ORIGIN) from None
        raise


def _link(path: str, link: str, identity: Identity) -> None:
    """Have the link lead to the path; one from before is replaced, a file of another kind is refused.

    In the folder of the server's user it is that user's, who could rename a link of root's, and other programs trust
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
        if os.geteuid() != 0 or identity.uid != os.fstat(spot.folder).st_uid:
            os.symlink(path, spot.name, dir_fd=spot.folder)
            return
        with safe_paths.aside(spot) as made:
            os.symlink(path, made.name, dir_fd=made.folder)
            os.chown(made.name, *identity.owner, dir_fd=made.folder, follow_symlinks=False)
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
