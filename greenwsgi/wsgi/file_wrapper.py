"""wsgi.file_wrapper (PEP 3333 "Optional Platform-Specific File Handling")."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class FilePart(NamedTuple):
    """`length` bytes of the file that a descriptor has open, from `offset` on."""

    fd: int
    offset: int
    length: int


SendFile = Callable[[FilePart], int]
"""Sends a part of a file as it is; returns how many bytes there were, fewer if the file has become shorter."""


class FileWrapper:
    """Iterates over a file-like object in blocks; `close` closes it."""

    def __init__(self, filelike: Any, block_size: int = 65536) -> None:
        self.filelike = filelike
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        while data := self.filelike.read(self.block_size):
            yield data

    def close(self) -> None:
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()

    def part(self) -> FilePart | None:
        """The rest of a regular file from its position on; None for anything else, which has to be read.

        The caller must close the descriptor. Only objects of the io module count: the descriptor of a GzipFile is the
        compressed file's. A size of 0 does not count either, since the files of /proc have it.
        """
        file = self.filelike
        if type(getattr(file, "raw", file)) is not io.FileIO:
            return None
        fd = file.fileno()
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None
        offset = file.tell()  # not earlier: a pipe has no position
        try:
            own = os.dup(
                fd
            )  # the application may close its own during the sending, and another file may get the number
        except OSError:
            return None
        return FilePart(own, offset, max(status.st_size - offset, 0))
