"""Access lines: one for every request that started, saying how it ended.

Hot path when logging is on, budget 3 us with the write. The default line is uWSGI's, character for character, so that
tools which read it go on working; in place of the status stand 499 (the client left), 504 (harakiri) or `killed`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from greenwsgi.log.server import write_whole

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


class AccessLog:
    """Writes access lines for one worker process to a descriptor, each whole in one write."""

    def __init__(self, pid: int, fd: int = 2) -> None:
        self.pid = pid
        self.fd = fd
        self._second = 0
        self._ctime = ""

    def write(self, one: Access, request: int, total: int) -> None:
        """request: the worker's count of this application's requests; total: that of all workers."""
        line = self.line(one, request, total)
        if not (line.isascii() and line.isprintable()):
            line = line.translate(_CONTROL)  # nobody forges a line with a control character
        write_whole(self.fd, line.encode("latin-1", "backslashreplace") + b"\n")

    def line(self, one: Access, request: int, total: int) -> str:
        """uWSGI's default request line, without its line end."""
        second = int(one.started)
        if second != self._second:
            self._second, self._ctime = second, time.ctime(second)
        return (
            f"[pid: {self.pid}|app: 0|req: {request}/{total}] {one.addr} ({one.user}) "
            f"{{{one.variables * 2} vars in {one.packet} bytes}} [{self._ctime}] {one.method} {one.uri} => "
            f"generated {one.sent} bytes in {int(one.duration * 1000)} msecs ({one.protocol} {one.status}) "
            f"{one.headers} headers in {one.head_size} bytes ({one.switches} switches on core {one.core})"
        )
