"""The ends of the pipes that carry messages: reading lines, and reporting to the master."""

from __future__ import annotations

import os

from greenwsgi.shared.messages import LINE_LIMIT, Died, Failed, Forked, Loaded, Message, Ready, Report, Retire, decode

_READ_SIZE = 65536


class MessageReader:
    """The reading end of a pipe: bytes in, whole messages out."""

    def __init__(self, fd: int, rest: str = "") -> None:
        self.fd = fd
        self.closed = False
        self._rest = rest.encode("latin-1")

    @property
    def rest(self) -> str:
        """The beginning of a line whose end has not come, each byte a character."""
        return self._rest.decode("latin-1")

    def read(self) -> list[Message]:
        """The messages that have arrived, after one read; none if there are none. Sets `closed` at the end of file.

        A line that is no message is ignored: it is a stray write (an application has the pipe too), or a message of
        another version.
        """
        try:
            data = os.read(self.fd, _READ_SIZE)
        except BlockingIOError:
            return []
        self.closed = not data
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: LINE_LIMIT + 1]
        return [message for line in lines if (message := _decoded(line))]


def _decoded(line: bytes) -> Message | None:
    try:
        return decode(line)
    except ValueError:
        return None


class ReportPipe:
    """The writing end of the report pipe, in a zygote or a worker: each message has a method."""

    def __init__(self, fd: int, generation: int, seat: int = -1) -> None:
        self.fd = fd
        self._generation = generation
        self._seat = seat

    def of_worker(self, seat: int) -> ReportPipe:
        """The same pipe, for the worker on that seat."""
        return ReportPipe(self.fd, self._generation, seat)

    def loaded(self) -> None:
        self._send(Loaded(self._generation, os.getpid()))

    def failed(self, status: int, reason: str) -> None:
        self._send(Failed(self._generation, os.getpid(), status, reason, self._seat))

    def forked(self) -> None:
        self._send(Forked(self._generation, os.getpid(), self._seat))

    def ready(self) -> None:
        self._send(Ready(self._generation, os.getpid(), self._seat))

    def retire(self, reason: str) -> None:
        self._send(Retire(self._generation, os.getpid(), self._seat, reason))

    def died(self, pid: int, seat: int, status: int) -> None:
        """Of a zygote: the worker `pid` has died. pid 0: it could not be forked."""
        self._send(Died(self._generation, pid, seat, status))

    def _send(self, report: Report) -> None:
        """One write, which arrives whole. A master that is gone does not get it: the lifeline tells of that."""
        try:
            os.write(self.fd, report.encode())
        except OSError:  # the master is gone, or the application has closed the pipe
            return
