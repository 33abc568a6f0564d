"""A program that is run and waited for: what a hook executes, in the master or in a child."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

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
