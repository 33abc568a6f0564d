"""Executing the master again in its own process: same pid, same sockets, the code and the interpreter of today.

First a rehearsal: the same command is started as a child that reads the configuration and all that would be handed
over, and ends. Only if it can do that, the master executes it. Its workers serve on meanwhile, and leave when the new
image has brought up a generation.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from signal import SIGKILL

from greenwsgi.clock import Clock
from greenwsgi.config.read_variables import HANDOVER_VARIABLE
from greenwsgi.errors import UsageError
from greenwsgi.log.server_log import LAST_WORDS, ServerLog
from greenwsgi.process.lifecycle import child_processes
from greenwsgi.process.lifecycle.child_processes import ChildProcesses
from greenwsgi.process.lifecycle.handover import Handover
from greenwsgi.process.lifecycle.start_directory import StartDirectory
from greenwsgi.process.supervision import log_messages
from greenwsgi.process.supervision.fleet import Errand, Fleet, Stop
from greenwsgi.process.supervision.master_setup import Supervisor

REHEARSAL_TIME = 60.0
"""Seconds that a rehearsal may take."""


class Reexec:
    """home: where its command is started. complete: adds to the master's handover what the server has besides."""

    def __init__(
        self,
        fleet: Fleet,
        processes: ChildProcesses,
        clock: Clock,
        log: ServerLog,
        home: StartDirectory,
        complete: Callable[[Handover], Handover],
    ) -> None:
        self._fleet = fleet
        self._processes = processes
        self._clock = clock
        self._log = log
        self._home = home
        self._complete = complete
        self._pid = 0
        self._until = 0.0

    def begin(self, master: Supervisor) -> None:
        """Start a rehearsal, unless there is one."""
        if self._pid:
            return
        handed = self._complete(master.hand_over())
        document = handed.write()
        try:
            environ = {**os.environ, HANDOVER_VARIABLE: f"rehearse {document}"}
            with self._home.back():
                self._pid = self._processes.start(_command(), [document], environ)
            self._until = self._clock.monotonic() + REHEARSAL_TIME
        finally:
            os.close(document)

    def child_died(self, pid: int, status: int) -> None:
        """A child has died that is no zygote and no worker: the rehearsal?"""
        if pid != self._pid:
            return
        self._pid = 0
        if status:
            self._log.error(f"not executed again, all goes on: the rehearsal {log_messages.ended(status)}")
        elif self._fleet.stop is Stop.NO:
            self._fleet.errands.append(Errand.EXECUTE)

    def look(self) -> None:
        """End a rehearsal that takes too long."""
        if self._pid and self._clock.monotonic() > self._until:
            self._log.warning(f"the rehearsal (pid {self._pid}) is killed: it takes more than {REHEARSAL_TIME:g} s")
            self._until = self._clock.monotonic() + REHEARSAL_TIME
            self._processes.kill(self._pid, SIGKILL)

    def execute(self, master: Supervisor) -> None:
        """Does not return, unless the program cannot be executed: UsageError.

        Signals wait from here until the next image can take them.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            master.note_all()
            handed = self._complete(master.hand_over())
            document = handed.write()
            self._log.info("the master is executed again")
            self._log.flush(LAST_WORDS)
            try:
                environ = {**os.environ, HANDOVER_VARIABLE: str(document)}
                with self._home.back():
                    child_processes.become_again(_command(), [document, *handed.descriptors()], environ)
            finally:
                os.close(document)
        except OSError as error:
            raise UsageError(f"{sys.executable}: {error.strerror}") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _command() -> list[str]:
    """What this process was started with; the interpreter by its path, which after an upgrade is another one."""
    return [sys.executable, *sys.orig_argv[1:]]
