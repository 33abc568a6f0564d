"""A running server, found by what its operator knows of it: its pidfile, a master-fifo, or its control socket."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable
from signal import Signals
from typing import Any, Self

from greenwsgi.errors import UsageError
from greenwsgi.process.control import control_client, master_fifo
from greenwsgi.process.control.commands import BY_NAME
from greenwsgi.process.control.control_client import Caller, NoAnswerError
from greenwsgi.process.control.control_socket import BESIDE
from greenwsgi.process.lifecycle import child_processes, pidfile


class RunningServer:
    """The server that `name` leads to. Raises UsageError, here and later, when there is none or it does not answer.

    Where the server has a control socket, everything goes that way. By a pidfile or a fifo alone, commands that have a
    signal or a letter can be asked for, and what became of them is not told. So it is too if the socket beside a
    pidfile cannot be connected to: any user may have put it there, and the file's lock proves the server.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._caller: Caller | None = None
        self._pid = 0
        self._process = self._owner = -1
        self._no_answer: UsageError | None = None
        path = name if control_client.is_socket(name) else name + BESIDE
        by_pidfile = path != name and not self._is_fifo()
        if control_client.is_socket(path):
            master = self._master() if by_pidfile else 0
            try:
                self._caller = Caller(path, master)
            except NoAnswerError as error:
                if not master:
                    raise
                self._no_answer = error
        if by_pidfile and not self._caller:
            self._pid = pidfile.holder(name).pid
            self._process = self._hold()

    @property
    def answers(self) -> bool:
        """Is there a control socket?"""
        return self._caller is not None

    def ask(self, command: str, *, wait: bool = False) -> dict[str, Any]:
        """The answer; it says less where there is no way back."""
        if self._caller:
            return self._caller.ask(command, wait=wait)
        if wait or command not in BY_NAME:
            raise self._silent()
        row = BY_NAME[command]
        if self._no_answer and not row.signals:
            raise self._no_answer
        if self._pid and row.signals:
            self._signal(row.signals[0])
        elif not self._pid and row.letters:
            master_fifo.tell(self.name, row.letters[0])
        else:
            raise UsageError(f"{self.name}: {command} can be asked for by a control socket only")
        return {"ok": True, "said": f"{command} is asked for"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        if self._caller:
            self._caller.close()
        if self._process >= 0:
            os.close(self._process)

    def odd(self) -> UsageError:
        """What to raise for an answer that makes no sense."""
        return self._caller.odd() if self._caller else self._silent()

    def end(self) -> Callable[[], object]:
        """What waits until the server is gone; to be had before the server is asked to go.

        Raises UsageError for a fifo, which tells nothing back.
        """
        if self._caller:
            return self._caller.wait_for_end
        if self._process < 0:
            raise self._silent()
        return lambda: select.select([self._process], [], [])

    def _silent(self) -> UsageError:
        return self._no_answer or UsageError(
            f"{self.name}: the server has no control socket: start it with control-socket"
        )

    def _master(self) -> int:
        """The pid of the process that has the pidfile locked; 0 if that cannot be said.

        Raises UsageError if none has: then what listens beside the file is not its server.
        """
        try:
            locker = pidfile.claim(self.name).locker
        except UsageError:  # there is no such file
            return 0
        return pidfile.holder(self.name).pid if locker is None else max(0, locker)

    def _hold(self) -> int:
        """A descriptor of the pidfile's process. It may have ended, and its pid been used again, before it was made."""
        try:
            process = child_processes.hold(self._pid)
        except OSError as error:
            raise UsageError(f"{self.name}: process {self._pid}: {error.strerror}") from None
        try:
            pid, self._owner = pidfile.holder(self.name)
            if pid != self._pid:
                raise UsageError(f"{self.name}: another server has just taken this pidfile: ask again")
        except UsageError:
            if process >= 0:
                os.close(process)
            raise
        return process

    def _signal(self, number: Signals) -> None:
        try:
            child_processes.signal_server(self._pid, self._process, number, self._owner)
        except OSError as error:
            raise UsageError(f"{self.name}: process {self._pid}: {error.strerror}") from None

    def _is_fifo(self) -> bool:
        try:
            return stat.S_ISFIFO(os.stat(self.name).st_mode)
        except OSError:
            return False
