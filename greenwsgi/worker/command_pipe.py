"""The worker's end of its command pipe: receives the master's commands in the loop, without Unix signals."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from gevent.hub import get_hub

from greenwsgi.shared.message_pipes import MessageReader
from greenwsgi.shared.messages import Message

_READ = 1


class CommandPipe:
    """Calls the handler of each command that comes, in the hub: a handler must not block."""

    def __init__(self, fd: int, handlers: Mapping[type[Message], Callable[[], object]]) -> None:
        """fd: the reading end, which is non-blocking; -1 where the master has no such pipes."""
        self._reader = MessageReader(fd)
        self._handlers = handlers
        self._watcher: Any = get_hub().loop.io(fd, _READ) if fd >= 0 else None

    def start(self) -> None:
        """Begin to read. Commands that are already in the pipe are handled first."""
        if self._watcher is not None:
            self._watcher.start(self._read)

    @property
    def active(self) -> bool:
        """Whether it waits for commands; False once the master is gone."""
        return self._watcher is not None and bool(self._watcher.active)

    def _read(self) -> None:
        for message in self._reader.read():
            handler = self._handlers.get(type(message))
            if handler is not None and getattr(message, "pid", 0) == os.getpid():  # not one meant for a predecessor
                handler()
        if self._reader.closed:  # the master is gone, and the end of file would wake the loop again and again
            self._watcher.stop()
