"""The error tree: whose fault it is decides what happens next.

UsageError is the operator's (one line, exit status 2), PeerError the client's (a 4xx or a close), PeerGone no one's
(quiet), BootError ends a process with a status of its own. Whatever an application raises is the application's.
"""

from __future__ import annotations

from dataclasses import dataclass

# Exit statuses; docs/operating.md has the table. Where a zygote or a worker ends with one of the first three, so does a
# server that cannot start because of it

EXIT_FAILED = 1
"""A process has failed: a BootError that says no other status, an error of the server's, a forked program."""

USAGE_STATUS = 2
"""A mistake of the operator (UsageError), in whichever process it is found; not in the application's name, see 22."""

EXIT_APP_FAILED = 22
"""The application, or a program of `cgi`, cannot be found or loaded; uWSGI's status."""

EXIT_HARAKIRI = 70
"""A worker was ended since a request blocked it past its deadline."""

EXIT_ORPHAN = 71
"""A worker was ended since it had outlived its master."""

EXIT_NOT_EXECUTED = 127
"""A program cannot be executed; the shell's status."""

INTERRUPTED_STATUS = 130
"""Interrupted before it served; the shell's 128 + SIGINT."""

PIPE_STATUS = 141
"""The reader of the output has gone; the shell's 128 + SIGPIPE."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was written: a file and its line, an environment variable or the command line."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


class GreenwsgiError(Exception):
    """The root of everything greenwsgi raises on purpose."""


class UsageError(GreenwsgiError):
    """The operator asked for something that cannot be done; `text` says what to do instead, in one line.

    fallback: the configuration to try then (fallback-config), "" for none.
    """

    fallback = ""

    def __init__(self, text: str, origin: Origin | None = None) -> None:
        super().__init__(f"{origin}: {text}" if origin else text)
        self.text = text
        self.origin = origin


class PeerError(GreenwsgiError):
    """The peer broke the protocol; `status` is the HTTP status to answer with before the connection is closed.

    0 is no answer: the peer's protocol is not known.
    """

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(f"{status} {text}" if status else text)
        self.text = text
        self.status = status


class PeerGone(GreenwsgiError, ConnectionError):
    """The peer left, or stopped moving, before the exchange was over.

    It is a ConnectionError, and so an OSError, because that is what frameworks expect of a body that cannot be read.
    """


class BootError(GreenwsgiError):
    """A process cannot start; it ends with `exit_code`."""

    def __init__(self, text: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code
