"""Processes, as /proc (Linux) or ps (elsewhere) shows them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.live.client import PATIENCE


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    session: int
    state: str


def everything() -> list[Process]:
    if not os.path.isdir("/proc/self"):
        columns = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,sess=,stat="], capture_output=True, text=True, check=True
        )
        rows = [line.split() for line in columns.stdout.splitlines()]
        return [Process(int(pid), int(parent), _session(int(pid)), state) for pid, parent, _, state in rows]
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended while we looked
            state, parent, _group, session = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:4]
            found.append(Process(int(name), int(parent), int(session), state))
    return found


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def living() -> list[Process]:
    """All but zombies."""
    return [process for process in everything() if process.state[0] not in "ZX"]


def title(pid: int) -> bytes:
    """What `ps` shows as the command; empty when the process has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip()
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, check=False)
    return shown.stdout.strip()


def resident(pid: int) -> int:
    """Bytes of a process's resident memory (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def wait_gone(pid: int, seconds: float = PATIENCE) -> None:
    """Wait until a process, whoever's child it is, has ended; one that nobody has reaped yet counts as ended."""
    wait_until(lambda: all(process.pid != pid for process in living()), f"the end of process {pid}", seconds)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE, every: float = 0.02) -> None:
    """For what nothing announces: look again and again until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(every)


def open_files(pid: int) -> dict[int, str]:
    """What each descriptor of a process is (Linux); one that is closed meanwhile is left out."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
    return found
