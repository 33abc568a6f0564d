"""A world of pretended processes and a clock turned by hand, in which the real master can live.

It stands for the operating system (`start`, `kill`, `reap`), the inbox (`wait`) and the clock. Zygotes and workers do
what `load` and `boot` say; they answer the master's commands, which come over real pipes. A signal to a process
that was reaped fails the test: in the real world that pid may be another program's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM, SIGTSTP, SIGURG, Signals
from typing import NoReturn

from greenwsgi.config.settings import Assignment, Settings, build
from greenwsgi.errors import Origin, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.control.commands import BY_LETTER
from greenwsgi.process.supervision import shared_resources
from greenwsgi.process.supervision.child_roles import ServerChildren
from greenwsgi.process.supervision.event_inbox import Asked, Note, Signalled
from greenwsgi.process.supervision.fleet import Fleet
from greenwsgi.process.supervision.master import Master
from greenwsgi.process.supervision.master_setup import MasterSetup
from greenwsgi.process.supervision.shared_segments import Segment
from greenwsgi.shared.message_pipes import MessageReader
from greenwsgi.shared.messages import (
    BootDocument,
    Died,
    Failed,
    Forked,
    ForkWorker,
    Loaded,
    Message,
    Pause,
    Ready,
    Reap,
    ReopenLog,
    Report,
    Resume,
    Retire,
)
from greenwsgi.shared.metrics import REQUESTS
from greenwsgi.shared.process_memory import Memory
from greenwsgi.shared.resources import (
    READER,
    ZYGOTE_COMMANDS_READER,
    BoundListener,
    Resources,
    worker_commands,
)
from greenwsgi.shared.scoreboard import RunningRequest, Stage

NOT_LONG = 1.0
HARMLESS = (SIGURG, SIGTSTP, SIGCONT)


@dataclass
class Child:
    """A pretended process. state: alive, dead (nobody has reaped it), reaped."""

    pid: int
    generation: int
    state: str = "alive"
    status: int = 0


@dataclass
class Zygote(Child):
    commands: MessageReader = field(default_factory=lambda: MessageReader(-1))
    resources: Resources = field(default_factory=Resources)
    loaded: bool = False


@dataclass
class Worker(Child):
    zygote: int = 0
    seat: int = 0
    number: int = 0
    ready: bool = False
    paused: bool = False
    probation: bool = False


@dataclass
class Program(Child):
    """A child of the server that is neither a zygote nor a worker."""

    arguments: list[str] = field(default_factory=list)


class World:
    """load: how each generation's application loads: ok, fail, crash, never. boot: how its workers do: ok, die, never.

    stubborn: workers do not leave when they are told to. deaf: zygotes neither obey nor tell of deaths, as if they were
    stopped.
    """

    adopts = True

    def __init__(
        self,
        log: Path,
        *options: str,
        reread: Callable[[], object] = bool,
        segments: Sequence[Segment] = (),
        server_children: Sequence[ServerChildren] = (),
    ) -> None:
        self.now = 0.0
        self.reader = self.report = -1
        self.rest = ""
        self.load: Callable[[int], str] = lambda generation: "ok"
        self.boot: Callable[[int, int], str] = lambda generation, number: "ok"
        self.stubborn = self.deaf = self.no_programs = False
        self.children: dict[int, Child] = {}
        self.signalled: list[tuple[int, Signals]] = []
        self.commanded: list[tuple[int, type[Message]]] = []
        """Each command that its receiver has read, with the receiver's pid."""
        self.killed: list[RunningRequest] = []
        self.ended_groups: list[tuple[int, int]] = []
        self._notes: list[Note] = []
        self._reaped: list[tuple[int, int]] = []
        self._log_path = log
        self._log = log.open("ab")
        self.settings = self.configured(*options)
        listeners = [BoundListener(99, "http", "127.0.0.1:80")]
        server_log = ServerLog(self._log.fileno())

        self._reread = reread
        self.knocking = False
        self.queue = 0
        self.sizes: dict[int, Memory] = {}
        self.refusals: list[tuple[bool, int]] = []
        """Of each time that connections were refused: at once? And how many signals there had been."""
        self.setup = MasterSetup(
            settings=self.settings,
            fleet=Fleet(reload_mercy=self.settings.processes.reload_mercy),
            listeners=listeners,
            log=server_log,
            inbox=self,
            system=self,
            clock=self,
            probe=self,
            killed_line=self._killed,
            segments=segments,
            server_children=server_children,
            reread=self.read_again,
            refuse_connections=lambda at_once: self.refusals.append((at_once, len(self.signalled))),
        )
        self.master = Master(self.setup)
        self.timeout = 0.0

    @staticmethod
    def configured(*options: str) -> Settings:
        """The settings of a world of two workers, unless these options say otherwise."""
        pairs = [option.split("=") for option in ("processes=2", "async=4", *options)]
        return build(Assignment(name, text, Origin("test")) for name, text in pairs)

    # What the tests do

    @contextmanager
    def refusing(self, why: str) -> Iterator[None]:
        """The configuration cannot be read meanwhile."""

        def refuse() -> NoReturn:
            raise UsageError(why)

        before, self._reread = self._reread, refuse
        yield
        self._reread = before

    def read_again(self, _serving: Settings) -> Settings:
        """The configuration of the next generation: what it always was."""
        self._reread()
        return self.settings

    def signal(self, number: Signals) -> None:
        self._notes.append(Signalled(number))

    def command(self, letter: str) -> None:
        """As if it came through a master-fifo."""
        self._notes.append(Asked(BY_LETTER[letter].name, "fifo"))

    def report_of(self, report: Report) -> None:
        self._notes.append(report)

    def ready(self, worker: Worker) -> None:
        """The worker reports that it is ready."""
        worker.ready = True
        self.report_of(Ready(worker.generation, worker.pid, worker.seat))

    def retire(self, worker: Worker, reason: str) -> None:
        """The worker asks for a successor."""
        self.report_of(Retire(worker.generation, worker.pid, worker.seat, reason))

    def step(self) -> None:
        self.timeout = self.master.step(self.timeout)
        for zygote in self.zygotes():
            self._live(zygote)
        for worker in self.workers():
            self._obey(worker)

    def run(self, seconds: float) -> None:
        """Let so much time pass; what happens at once takes none."""
        until = self.now + seconds
        while self.now < until and not self.over:
            self.step()

    def finish(self, number: Signals = SIGTERM) -> None:
        """Stop the server, and see that nobody is left and nothing went wrong."""
        self.signal(number)
        self.run(200)
        assert self.over
        assert self.zygotes() == []
        assert self.workers() == []
        assert self.programs() == []
        assert "in the master" not in self.log

    @property
    def over(self) -> bool:
        return self.master._over

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def zygotes(self) -> list[Zygote]:
        return [child for child in self.children.values() if isinstance(child, Zygote) and child.state == "alive"]

    def workers(self) -> list[Worker]:
        return [child for child in self.children.values() if isinstance(child, Worker) and child.state == "alive"]

    def programs(self) -> list[Program]:
        return [child for child in self.children.values() if isinstance(child, Program) and child.state == "alive"]

    def serving(self) -> list[tuple[int, int]]:
        """(generation, number) of each worker that is ready."""
        return sorted((worker.generation, worker.number) for worker in self.workers() if worker.ready)

    def die(self, child: Child, status: int) -> None:
        """A child's death, seen by its parent: the master, or a zygote that lives."""
        child.state, child.status = "dead", status
        if isinstance(child, Zygote):
            os.close(child.commands.fd)
            self._die_of_master(child)
            for worker in self.children.values():
                if isinstance(worker, Worker) and worker.zygote == child.pid and worker.state == "dead":
                    self._die_of_master(worker)
        elif isinstance(child, Program):
            self._die_of_master(child)
        elif isinstance(child, Worker):
            if self.deaf and self.children[child.zygote].state == "alive":
                return
            if self.children[child.zygote].state == "alive":
                self.report_of(Died(child.generation, child.pid, child.seat, status))
            else:
                self._die_of_master(child)

    def close(self) -> None:
        for zygote in self.zygotes():
            os.close(zygote.commands.fd)
        for cycle in self.master.cycles.values():
            cycle.close()
        if not self.over:
            shared_resources.close(self.master.resources)
        self._log.close()

    # What the master sees

    def knocked(self) -> bool:
        return self.knocking

    def backlog(self) -> int:
        return self.queue

    def memory(self, pid: int) -> Memory:
        return self.sizes.get(pid, Memory())

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def wait(self, timeout: float) -> list[Note]:
        notes, self._notes = self._notes, []
        if not notes:
            self.now += timeout
        return notes

    def start(self, arguments: list[str], descriptors: Iterable[int]) -> int:
        document = int(arguments[-1])
        boot = BootDocument.decode(os.pread(document, os.fstat(document).st_size, 0))
        assert set(descriptors) == {document, *boot.resources.descriptors}
        pid = self._new_pid()
        commands = os.dup(boot.resources.fd(ZYGOTE_COMMANDS_READER))
        os.set_blocking(commands, False)
        reader = MessageReader(commands)
        self.children[pid] = Zygote(pid, boot.generation, commands=reader, resources=boot.resources)
        return pid

    def start_program(self, arguments: list[str], environ: Mapping[str, str] | None) -> int:
        if self.no_programs:
            raise OSError(11, "Resource temporarily unavailable")
        pid = self._new_pid()
        self.children[pid] = Program(pid, 0, arguments=arguments)
        return pid

    def kill(self, pid: int, number: Signals) -> None:
        child = self.children[pid]
        assert child.state != "reaped", "that pid may be a stranger's"
        self.signalled.append((pid, number))
        if isinstance(child, Worker) and number in (SIGTSTP, SIGCONT):
            child.paused = number is SIGTSTP
        if child.state == "dead" or number in HARMLESS or (self.stubborn and number != SIGKILL):
            return
        self.die(child, 0 if number == SIGTERM else -number)

    def end_group(self, pid: int, started: int) -> None:
        self.ended_groups.append((pid, started))

    def reap(self, programs: Callable[[], Mapping[int, int]] = dict) -> list[tuple[int, int]]:
        reaped, self._reaped = self._reaped, []
        for pid, _ in reaped:
            self.children[pid].state = "reaped"
        return reaped

    # What goes on

    def _live(self, zygote: Zygote) -> None:
        if self.deaf:
            return
        if not zygote.loaded:
            self._load(zygote)
            return
        for command in zygote.commands.read():
            if isinstance(command, ForkWorker):
                self._fork(zygote, command)
            elif isinstance(command, Reap):
                child = self.children[command.pid]
                assert child.state == "dead", "only the dead are reaped, and only once"
                child.state = "reaped"
            else:
                assert command == ReopenLog(zygote.pid)
                self.commanded.append((zygote.pid, ReopenLog))
        if zygote.commands.closed:
            self.die(zygote, 0)

    def _obey(self, worker: Worker) -> None:
        """Read the command pipe of its seat, which the master keeps open too."""
        pipes = self.children[worker.zygote]
        assert isinstance(pipes, Zygote)
        pipe = pipes.resources.fd(worker_commands(worker.seat, READER))
        if pipe < 0:
            return
        for command in MessageReader(pipe).read():
            assert isinstance(command, Pause | Resume | ReopenLog)
            if command.pid != worker.pid:
                continue
            self.commanded.append((worker.pid, type(command)))
            if not isinstance(command, ReopenLog):
                worker.paused = isinstance(command, Pause)

    def _load(self, zygote: Zygote) -> None:
        how = self.load(zygote.generation)
        if how == "ok":
            zygote.loaded = True
            self.report_of(Loaded(zygote.generation, zygote.pid))
        elif how == "fail":
            self.report_of(Failed(zygote.generation, zygote.pid, 22, "app.py:3: no"))
            self.die(zygote, 22)
        elif how == "crash":
            self.die(zygote, -11)

    def _fork(self, zygote: Zygote, command: ForkWorker) -> None:
        worker = Worker(self._new_pid(), zygote.generation, zygote=zygote.pid, seat=command.seat, number=command.number)
        worker.paused, worker.probation = command.paused, command.probation
        self.children[worker.pid] = worker
        seat = self.master.cycles[worker.generation].board.seats[worker.seat]
        assert seat.stage is Stage.FREE
        seat.occupy(worker.number, worker.generation, worker.pid)
        self.report_of(Forked(worker.generation, worker.pid, worker.seat))
        how = self.boot(worker.generation, worker.number)
        if how == "ok":
            seat.counters[REQUESTS] += 1
            self.ready(worker)
        elif how == "die":
            self.die(worker, 1)

    def _die_of_master(self, child: Child) -> None:
        self._reaped.append((child.pid, child.status))

    def _new_pid(self) -> int:
        return 1000 + len(self.children)

    def _killed(self, worker: int, pid: int, request: RunningRequest) -> None:
        self.killed.append(request)
