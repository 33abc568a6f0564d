"""How the master sends commands to workers and zygotes: by their command pipes, without waiting."""

from __future__ import annotations

from collections.abc import Mapping
from signal import SIGCONT, SIGTSTP, SIGURG, Signals

from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.supervision.fleet import Generation, WorkerState
from greenwsgi.process.supervision.generation_resources import GenerationResources, System
from greenwsgi.shared.messages import Message, Pause, ReopenLog, Resume, WorkerCommand

_SIGNALS: Mapping[type[Message], Signals] = {ReopenLog: SIGURG, Pause: SIGTSTP, Resume: SIGCONT}
"""What means the same to processes of a greenwsgi without these messages, which a re-exec may have left."""


class CommandSender:
    """Sends commands to the processes of all generations."""

    def __init__(self, cycles: Mapping[int, GenerationResources], system: System, log: ServerLog) -> None:
        self._cycles = cycles
        self._system = system
        self._log = log

    def pause(self, generation: Generation, worker: WorkerState, paused: bool) -> None:
        """Have the worker accept no connections, or accept them again."""
        self._send(generation, worker, Pause(worker.pid) if paused else Resume(worker.pid))

    def reopen_log(self, generation: Generation, worker: WorkerState) -> None:
        """Have the worker open the log file again."""
        self._send(generation, worker, ReopenLog(worker.pid))

    def reopen_zygote_log(self, generation: Generation) -> None:
        """Have the generation's zygote, if there is one, open the log file again."""
        cycle, zygote = self._cycles[generation.number], generation.zygote
        if zygote is None or not zygote.pid:
            return
        if cycle.worker_commands:
            cycle.tell(ReopenLog(zygote.pid))
        else:
            self._system.kill(zygote.pid, _SIGNALS[ReopenLog])

    def _send(self, generation: Generation, worker: WorkerState, command: WorkerCommand) -> None:
        pipes = self._cycles[generation.number].worker_commands
        if not pipes:
            self._system.kill(worker.pid, _SIGNALS[type(command)])
        elif not pipes.send(worker.seat, command):
            self._log.warning(f"{worker} does not read its commands: {command.word} is lost")
