"""Access lines: one for every request that started, saying how it ended.

Hot path when logging is on, budget 3 us with the write. The default line is uWSGI's, character for character, so that
tools which read it go on working; in place of the status stand 499 (the client left), 504 (harakiri) or `killed`.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

from greenwsgi.log.server_log import write_whole

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


@dataclass(slots=True)
class Access:
    """What one line tells. Sizes in bytes, `started` in wall seconds, `duration` in seconds."""

    addr: str
    method: str
    uri: str
    protocol: str
    user: str
    variables: int
    packet: int
    started: float
    duration: float
    status: str
    sent: int
    headers: int
    head_size: int
    switches: int
    core: int


@dataclass(frozen=True, slots=True)
class Worthy:
    """Which requests get a line when not all do: any of these. Seconds and bytes; None is no such rule."""

    refused: bool = False
    failed: bool = False
    empty: bool = False
    slow: float | None = None
    big: int | None = None

    def __call__(self, one: Access) -> bool:
        return (
            (self.refused and one.status[:1] == "4")
            or (self.failed and not one.status.startswith(("1", "2", "3", "4")))
            or (self.empty and not one.sent)
            or (self.slow is not None and one.duration >= self.slow)
            or (self.big is not None and one.sent >= self.big)
        )


class AccessLog:
    """Writes access lines for one worker process to a descriptor, each whole in one write.

    worthy: the requests that get one; None: all. micros: durations in microseconds. memory: begin with the process's.
    out: how a line is written to the descriptor.
    """

    def __init__(
        self,
        pid: int,
        fd: int = 2,
        *,
        worthy: Worthy | None = None,
        micros: bool = False,
        memory: bool = False,
        out: Callable[[int, bytes], None] = write_whole,
    ) -> None:
        self.pid = pid
        self.fd = fd
        self._out = out
        self._worthy = worthy
        self._unit, self._per_second = ("micros", 1e6) if micros else ("msecs", 1e3)
        self._memory = memory
        self._second = 0
        self._ctime = ""

    def write(self, one: Access, request: int, total: int) -> None:
        """request: the worker's count of this application's requests; total: that of all workers."""
        if self._worthy is not None and not self._worthy(one):
            return
        line = self.line(one, request, total)
        if self._memory:
            line = memory_report() + line
        if not (line.isascii() and line.isprintable()):
            line = line.translate(_CONTROL)  # nobody forges a line with a control character
        self._out(self.fd, line.encode("latin-1", "backslashreplace") + b"\n")

    def line(self, one: Access, request: int, total: int) -> str:
        """uWSGI's default request line, without its line end."""
        second = int(one.started)
        if second != self._second:
            self._second, self._ctime = second, time.ctime(second)
        duration = int(one.duration * self._per_second)
        return (
            f"[pid: {self.pid}|app: 0|req: {request}/{total}] {one.addr} ({one.user}) "
            f"{{{one.variables * 2} vars in {one.packet} bytes}} [{self._ctime}] {one.method} {one.uri} => "
            f"generated {one.sent} bytes in {duration} {self._unit} ({one.protocol} {one.status}) "
            f"{one.headers} headers in {one.head_size} bytes ({one.switches} switches on core {one.core})"
        )


_PAGE = os.sysconf("SC_PAGE_SIZE")


def memory_report() -> str:
    """uWSGI's words for the process's address space and resident memory; outside of Linux, the most it ever had."""
    try:
        with open("/proc/self/statm", "rb") as file:
            vsz, rss = (int(pages) * _PAGE for pages in file.read().split()[:2])
    except OSError:
        vsz, rss = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{{address space usage: {vsz} bytes/{vsz >> 20}MB}} {{rss usage: {rss} bytes/{rss >> 20}MB}} "
