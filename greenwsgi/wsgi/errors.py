"""wsgi.errors: what an application complains of (PEP 3333 "environ Variables")."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TextIO


class GatewayErrors:
    """A `wsgi.errors` whose text goes to the gateway's error log, as UTF-8.

    complain: takes bytes, False when it cannot: outside of a request, behind its answer, or when too much waits.
    rest: where text goes then, so that nothing is lost.
    """

    def __init__(self, complain: Callable[[bytes], bool], rest: TextIO) -> None:
        self._complain = complain
        self._rest = rest

    def write(self, text: str) -> int:
        if not self._complain(text.encode("utf-8", "backslashreplace")):
            self._rest.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """What waits goes with the next piece of the answer."""
        self._rest.flush()
