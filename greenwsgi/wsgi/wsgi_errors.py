"""wsgi.errors: where an application writes its errors (PEP 3333 "environ Variables")."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TextIO

from greenwsgi.wsgi.response import Response


class GatewayErrors:
    """A `wsgi.errors` whose text goes to the gateway's error log, as UTF-8.

    Arguments:

    - complain: takes bytes. Returns False if it cannot: outside of a request, after its answer, or when too much is
      buffered.
    - rest: receives the text in that case, so that nothing is lost.
    - response: the response of the request. After it is closed nothing is sent to the gateway, which would attribute it
      to the next request.
    """

    def __init__(self, complain: Callable[[bytes], bool], rest: TextIO, response: Response) -> None:
        self._complain = complain
        self._rest = rest
        self._response = response

    def write(self, text: str) -> int:
        if self._response.closed or not self._complain(text.encode("utf-8", "backslashreplace")):
            self._rest.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush `rest`; text for the gateway goes with the next piece of the answer."""
        self._rest.flush()
