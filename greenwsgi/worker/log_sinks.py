"""LOG_SINKS: where the records of requests go besides the access line, one row each, opened once when a worker starts.

A sink gets every RequestRecord of the worker, also those that get no access line. When no row is wanted, no request
pays for it. The rows of other distributions come from the entry points of the group `greenwsgi.log_sinks`
(docs/plugins.md). Requests that died with their worker are not seen by sinks: the master writes their access lines, and
it runs no code of plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from greenwsgi.config.settings import Settings
from greenwsgi.log import access_log, tracebacks
from greenwsgi.log.access_log import AccessLog
from greenwsgi.log.request_record import RequestRecord
from greenwsgi.log.server_log import ServerLog
from greenwsgi.shared import plugins

GROUP = "greenwsgi.log_sinks"

WriteRecord = Callable[[RequestRecord], object]


@dataclass(frozen=True, slots=True)
class LogSink:
    """One row."""

    name: str
    wanted: Callable[[Settings], bool]
    """Does this configuration need it?"""
    open: Callable[[Settings], WriteRecord]
    """Called in the worker, before it accepts connections. What it returns is called at the end of each request, in the
    request's greenlet. It may wait as an application may, and the next request of the connection waits with it."""


LOG_SINKS: tuple[LogSink, ...] = ()


@cache
def rows() -> tuple[LogSink, ...]:
    """The table and what plugins add to it. Raises UsageError for a plugin that cannot be loaded.

    It looks for plugins once a process: the zygote does, and its workers inherit what it found.
    """
    return (*LOG_SINKS, *plugins.load(GROUP, LogSink))


def make_access_log(settings: Settings, pid: int, log: ServerLog, table: Iterable[LogSink]) -> AccessLog | None:
    """The access log of a worker, with the sinks that the configuration wants; None if nothing wants records."""
    sinks = {sink.name: sink.open(settings) for sink in table if sink.wanted(settings)}
    if not sinks:
        return access_log.configured(settings.logging, pid, log.fd)
    return AccessLogWithSinks(access_log.configured(settings.logging, pid, log.fd), pid, log, sinks)


class AccessLogWithSinks(AccessLog):
    """Writes the access line, if there is one, and gives the record to each sink."""

    def __init__(self, lines: AccessLog | None, pid: int, log: ServerLog, sinks: dict[str, WriteRecord]) -> None:
        """lines: writes the access lines, None for none. log: for the failure of a sink. sinks: by their names."""
        super().__init__(pid, log.fd)
        self._lines = lines
        self._log = log
        self._sinks = sinks

    def lose(self) -> None:
        if self._lines is not None:
            self._lines.lose()

    def write(self, record: RequestRecord) -> None:
        """A sink that raises gets no more records, since it would fail at every request."""
        if self._lines is not None:
            self._lines.write(record)
        for name, write_record in [*self._sinks.items()]:
            try:
                write_record(record)
            except Exception as error:  # a border: the request has been answered
                self._sinks.pop(name, None)
                trace = tracebacks.of_application(error)
                self._log.error(f"the log sink {name} fails, and gets no more records in this worker:\n{trace}")
