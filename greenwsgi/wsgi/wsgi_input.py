"""wsgi.input: the request's body, pulled from the wire only as the application reads it (PEP 3333 "Input Streams").

Nothing is read ahead of the application, so the kernel applies back-pressure. The end of the body looks like the end of
a file, whatever the framing was, so `wsgi.input_terminated` is true. Reading raises PeerGone (an OSError) when the
client sent less than it announced, and PeerError when its framing is broken.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

PullBody = Callable[[], bytes]
"""Returns the next piece of the body, which is not empty, or b"" at its end, then again with each call."""


class _Pulled(io.RawIOBase):
    """The raw stream: each read returns what one pull gave. io.BufferedReader does the rest, in C."""

    def __init__(self, pull: PullBody) -> None:
        self._pull = pull
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._rest or self._pull()
        taken = len(buffer)
        self._rest = data[taken:]
        data = data[:taken]
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        pieces = [self._rest]
        self._rest = b""
        while data := self._pull():
            pieces.append(data)
        return b"".join(pieces)


def open_body(pull: PullBody) -> io.BufferedReader:
    """The `wsgi.input` of a request that has a body."""
    return io.BufferedReader(_Pulled(pull), 16384)


class EmptyBody(io.BufferedIOBase):
    """The `wsgi.input` of a request without a body; it has no state, so all of them share EMPTY."""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        return b""

    peek = read1 = readline = read

    def __setattr__(self, name: str, value: object) -> None:
        """Raise AttributeError: all requests share it."""
        raise AttributeError(f"{type(self).__name__} takes no attribute {name!r}")

    def close(self) -> None:
        """Do nothing: another request may be reading it."""


EMPTY = EmptyBody()
