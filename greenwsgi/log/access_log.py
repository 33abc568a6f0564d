"""Access lines: one for every request that started, with how it ended.

Hot path when logging is on, budget 3 us with the write. The default line is uWSGI's, character for character, so that
tools which read it work; the status may also be 499 (the client left), 504 (harakiri) or `killed`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from greenwsgi.log.access_format import DEFAULT, DEFAULT_MICROS, MEMORY, compiled
from greenwsgi.log.request_record import RequestRecord
from greenwsgi.log.server_log import write_whole
from greenwsgi.options.table.logging import LoggingOptions

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


@dataclass(frozen=True, slots=True)
class LineRules:
    """Selects the requests that get a line when not all do: those that meet any of the rules."""

    refused: bool = False
    """The status is 4xx (log-4xx)."""
    failed: bool = False
    """The status is 5xx, or the request was killed (log-5xx)."""
    empty: bool = False
    """The answer has no body (log-zero)."""
    slow: float | None = None
    """The request took this many seconds or more (log-slow); None without this rule."""
    big: int | None = None
    """The answer's body has this many bytes or more (log-big); None without this rule."""

    def __call__(self, one: RequestRecord) -> bool:
        return (
            (self.refused and one.status[:1] == "4")
            or (self.failed and not one.status.startswith(("1", "2", "3", "4")))
            or (self.empty and not one.sent)
            or (self.slow is not None and one.duration >= self.slow)
            or (self.big is not None and one.sent >= self.big)
        )


class AccessLog:
    """Writes access lines for one worker process to a descriptor, each whole in one write.

    Arguments:

    - pid: the process's id, for the line.
    - fd: the descriptor.
    - rules: the requests that get a line; None for all.
    - micros: durations in microseconds instead of milliseconds.
    - memory: begin each line with the process's memory.
    - out: writes a line to the descriptor.
    """

    def __init__(
        self,
        pid: int,
        fd: int = 2,
        *,
        rules: LineRules | None = None,
        micros: bool = False,
        memory: bool = False,
        out: Callable[[int, bytes], None] = write_whole,
    ) -> None:
        self.pid = pid
        self.fd = fd
        self._out = out
        self._rules = rules
        self.line = compiled((MEMORY if memory else "") + (DEFAULT_MICROS if micros else DEFAULT), pid)
        """The line of a record, without its end."""

    def lose(self) -> None:
        """Write nothing any more: the descriptor is another file by now."""
        self.fd = -1

    def write(self, record: RequestRecord) -> None:
        """Write the line of this request, if it gets one."""
        if self._rules is not None and not self._rules(record):
            return
        line = self.line(record)
        if not (line.isascii() and line.isprintable()):
            line = line.translate(_CONTROL)  # no client may forge a line with a control character
        self._out(self.fd, line.encode("latin-1", "backslashreplace") + b"\n")


def configured(options: LoggingOptions, pid: int, fd: int) -> AccessLog | None:
    """The access log of the process `pid` as the options want it; None if no request gets a line."""
    slow, big = options.log_slow / 1000 or None, options.log_big or None
    rules = LineRules(options.log_4xx, options.log_5xx, options.log_zero, slow, big)
    if options.disable_logging and rules == LineRules():
        return None
    some = rules if options.disable_logging else None
    return AccessLog(pid, fd, rules=some, micros=options.log_micros, memory=options.memory_report)
