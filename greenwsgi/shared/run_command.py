"""A program that is run and waited for: what a hook executes, in the master or in a child."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Mapping

_NOT_FOUND = 127


def run(
    command: str,
    fork: Callable[[], int] = os.fork,
    waitpid: Callable[[int, int], tuple[int, int]] = os.waitpid,
    environ: Mapping[str, str] | None = None,
    *,
    apart: bool = False,
) -> int:
    """Run it by the shell; its exit status, negative for a signal. Everything waits until it has ended.

    It has our folder, environment (or that one) and standard three descriptors, no other descriptor, and no signal
    blocked. fork, waitpid: the system's own, where gevent has put others in their place. apart: it gets a session of
    its own, and so no terminal. Raises OSError if there cannot be a process.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = fork()
        if pid == 0:
            _become(command, os.environ if environ is None else environ, apart)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    _, status = waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _become(command: str, environ: Mapping[str, str], apart: bool) -> None:
    """In the forked child: be the shell, or be gone."""
    try:
        if apart:
            os.setsid()
        signal.set_wakeup_fd(-1)  # a signal that comes now is none for those we come from
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program would inherit that
            signal.signal(number, signal.SIG_DFL)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve("/bin/sh", ["sh", "-c", command], environ)
    except BaseException as error:
        os.write(2, f"cannot execute /bin/sh: {error}\n".encode())
    finally:
        os._exit(_NOT_FOUND)


def start_of(pid: int) -> int:
    """When a process started, in clock ticks since the machine did: with its pid, it is this process. 0: not known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])  # proc(5), field 22
    except (OSError, IndexError, ValueError):  # it is gone; another system
        return 0


def end_groups(noted: Iterable[tuple[int, int]]) -> None:
    """Kill the groups of those programs, (pid, started) each. Also for a signal handler, and for a thread."""
    for pid, started in noted:
        end_group(pid, started)


def end_group(pid: int, started: int) -> None:
    """Kill the process group of a CGI program, our child: what the program has started and left in it.

    Only if it is proven to be that program's. While a child of ours is not reaped its pid belongs to no other process,
    nor does its group's number; that child is the program if it started when its worker wrote down. `started`: as
    start_of has it.
    """
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # ChildProcessError: no child of ours
        if start_of(pid) == started and os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    except (AttributeError, ChildProcessError, ProcessLookupError, PermissionError):
        return  # macOS before Python 3.13 has no waitid, and there orphans are not the master's anyway
