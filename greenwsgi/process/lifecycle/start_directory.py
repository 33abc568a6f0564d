"""The folder that the server was started in, where the names of its command line and its files begin.

A hook of the start may lead the master elsewhere (`cd:`), and there its zygotes begin. Whatever reads the configuration
again goes back for it, as uWSGI does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from greenwsgi.shared import safe_paths

S = TypeVar("S")
T = TypeVar("T")


class StartDirectory:
    """Made before the hooks are done. led_to: where the image of this process before a re-exec was, "" for here."""

    def __init__(self, led_to: str = "") -> None:
        self._home = _here()
        if led_to:
            with contextlib.suppress(OSError):  # it is gone; a server that runs goes on
                safe_paths.go_to(led_to)

    @property
    def led_to(self) -> str:
        """Where we are, "" for at home."""
        here = _here()
        return "" if here == self._home else here

    def back(self) -> AbstractContextManager[None]:
        """There, for a while. Raises OSError if it is gone."""
        return safe_paths.being_in(self._home) if self.led_to else contextlib.nullcontext()

    def there(self, act: Callable[[S], T]) -> Callable[[S], T]:
        """The same, done there."""

        def do(given: S) -> T:
            with self.back():
                return act(given)

        return do


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # the folder was deleted
        return ""
