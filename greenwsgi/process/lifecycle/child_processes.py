"""Starting, signalling and reaping processes: every fork, kill and wait of the master is here.

The master is a child subreaper where the system has that (Linux): the workers of a dead zygote become its own children.
It alone signals and reaps them, so that no signal can hit another program that was given the same pid.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from signal import SIGKILL, Signals

from greenwsgi.errors import EXIT_FAILED, EXIT_NOT_EXECUTED
from greenwsgi.log.server_log import write_whole
from greenwsgi.shared.run_command import end_group

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_FIRST_UNNAMED = 3


class ChildProcesses:
    """The operating system's processes, for the master."""

    def __init__(self, *, apart: bool = False) -> None:
        """apart: start each in a session of its own, without the terminal.

        An application of another user than the terminal's could type commands there (TIOCSTI). Signals of the terminal
        then reach the master alone.
        """
        self._apart = apart
        self.adopts = _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        """Whether orphaned descendants become children of the master."""

    def start(self, arguments: list[str], descriptors: Iterable[int], environ: Mapping[str, str] | None = None) -> int:
        """Execute a program with these descriptors and the standard three, and no others; returns its pid.

        It starts with all signals blocked, so that none can end it before it has its handlers, and it dies with the
        master where the system supports that. environ: the master's own, if None. Raises OSError if there cannot be
        another process.
        """
        return self._start(arguments, list(descriptors), environ, own=True)

    def start_program(self, arguments: list[str], environ: Mapping[str, str] | None = None) -> int:
        """Execute a program of the operator, which is looked for on PATH; returns its pid.

        It has the standard three descriptors, no signal is blocked, and those that Python ignores end it again. Else
        it is as `start` says.
        """
        return self._start(arguments, [], environ, own=False)

    def _start(self, arguments: list[str], named: list[int], environ: Mapping[str, str] | None, *, own: bool) -> int:
        """own: whether the program has handlers for signals, and unblocks them when it is ready."""
        master, apart = os.getpid(), self._apart
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

        def prepare() -> None:
            _prepare(master, named, apart)
            if not own:
                _as_at_login()

        try:
            pid = os.fork()
            if pid == 0:
                _become(prepare, arguments, os.environ if environ is None else environ)
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def kill(self, pid: int, number: Signals) -> None:
        """Signal a child, or a child's child that was not reaped yet. Nothing happens to one that is dead already."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return

    def reap(self, programs: Callable[[], Mapping[int, int]] = dict) -> list[tuple[int, int]]:
        """(pid, status) of each child that has died since the last time; a status is negative for a signal.

        programs: when each CGI program started that a worker runs, by its pid. One that has become our child has lost
        its worker, and is killed together with its process group.
        """
        dead: list[tuple[int, int]] = []
        while True:
            try:
                pid = _dead_child() if self.adopts else -1
                if pid in (noted := programs() if pid > 0 else {}):
                    self.end_group(pid, noted[pid])
                pid, status = os.waitpid(pid, os.WNOHANG) if pid else (0, 0)
            except ChildProcessError:
                return dead
            if pid == 0:
                return dead
            dead.append((pid, os.waitstatus_to_exitcode(status)))

    def end_group(self, pid: int, started: int) -> None:
        """Kill the process group of a CGI program whose worker is dead, see `run_command.end_group`."""
        end_group(pid, started)


def _dead_child() -> int:
    """The pid of a child that has died, which stays to be reaped; 0 if none has. Raises ChildProcessError: no child."""
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found.si_pid if found else 0


def hold(pid: int) -> int:
    """A descriptor of that process, which stays its own when the pid is used again; -1 where the system has none.

    Check again afterwards that the pid is the one that is meant. Raises OSError.
    """
    return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1  # only Linux has it


def signal_server(pid: int, held: int, number: Signals, user: int) -> None:
    """Signal another server's master, whose pid was checked. held: what `hold` returned. Raises OSError.

    Root sends it as that user, who was allowed to send it: the process may have executed a set-uid program since.
    """
    with _as(user):
        if held >= 0:
            signal.pidfd_send_signal(held, number)
        else:
            os.kill(pid, number)


@contextmanager
def _as(user: int) -> Iterator[None]:
    """With the rights of that user alone, if we are root and can become that user; root comes back by the saved uid."""
    before: tuple[int, int, int] | None = None
    if os.geteuid() == 0 and user > 0 and hasattr(os, "setresuid"):
        with suppress(OSError):  # a container's root may lack the capability; a user it does not know
            before = os.getresuid()
            os.setresuid(user, user, 0)
    try:
        yield
    finally:
        if before:
            os.setresuid(*before)


def lives(pid: int) -> bool:
    """Is there such a process, of any user?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def become_again(arguments: list[str], descriptors: Iterable[int], environ: Mapping[str, str]) -> None:
    """Execute that program in this process, with these descriptors. Raises OSError, and then nothing has changed."""
    named = list(descriptors)
    for fd in named:
        os.set_inheritable(fd, True)
    try:
        os.execve(arguments[0], arguments, environ)
    finally:
        for fd in named:
            os.set_inheritable(fd, False)


def hide() -> None:
    """Keep other processes of our user from this one's memory and descriptors (ptrace, /proc/PID/fd).

    The kernel does that when privileges are dropped, and stops when a program is executed.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def _become(prepare: Callable[[], None], arguments: list[str], environ: Mapping[str, str]) -> None:
    """In the forked child: execute the program, or end. No code of the master may go on here."""
    try:
        prepare()
        os.execvpe(arguments[0], arguments, environ)
    except BaseException as error:
        write_whole(2, f"cannot execute {arguments[0]}: {error}\n".encode())
    finally:
        os._exit(EXIT_NOT_EXECUTED)


def _prepare(master: int, named: list[int], apart: bool) -> None:
    _prctl(_PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != master:  # it died before the line above
        os._exit(EXIT_FAILED)
    if apart:
        os.setsid()
    for fd in {*_open_descriptors(), *named}:
        with suppress(OSError):  # it is not open (any more)
            os.set_inheritable(fd, fd in named)


def _as_at_login() -> None:
    """Give the signals that this process handles or ignores their default actions, and block none."""
    for number in signal.valid_signals() - {SIGKILL, signal.SIGSTOP}:
        with suppress(OSError, ValueError):  # those that the C library keeps for itself
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _open_descriptors() -> Iterable[int]:
    """All but the standard three; some may be closed already."""
    try:
        return [fd for fd in map(int, os.listdir("/dev/fd")) if fd >= _FIRST_UNNAMED]
    except OSError:  # a system, or a container, without that folder
        return range(_FIRST_UNNAMED, 1024)


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        return int(ctypes.CDLL(None).prctl(option, value, 0, 0, 0)) == 0
    except (OSError, AttributeError):
        return False
