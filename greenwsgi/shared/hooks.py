"""What the operator wants done at certain moments: hook-* and exec-* (uWSGI's options of these names).

A hook is `ACTION:ARGUMENT`; an exec is a command, the same as the action exec. Those of a moment are done in their
order, the hooks first, as under uWSGI.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Protocol

from greenwsgi.errors import UsageError
from greenwsgi.shared import safe_paths

Run = Callable[[str], int]
"""Runs a command to its end; its exit status, negative for a signal."""


class Log(Protocol):
    """The server's log."""

    def info(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...


class Hooks:
    """Does them; `run` and `log` are what they need of the process they run in."""

    def __init__(self, log: Log, run: Run) -> None:
        self._log = log
        self._run = run

    def perform(self, moment: str, hooks: Iterable[str], commands: Iterable[str] = ()) -> None:
        """Do all. Raises UsageError at the first that fails."""
        for prefix, action in [("hook", one) for one in hooks] + [("exec", f"exec:{one}") for one in commands]:
            name, _, argument = action.partition(":")
            self._log.info(f"{prefix}-{moment}: {action if prefix == 'hook' else argument}")
            try:
                self._do(name, argument)
            except OSError as error:
                raise UsageError(f"{prefix}-{moment}: {action}: {error.strerror or error}") from None

    def attempt(self, moment: str, hooks: Iterable[str], commands: Iterable[str] = ()) -> None:
        """Do all, each by itself: one that fails is told of, and the others are done."""
        each: list[tuple[list[str], list[str]]] = [([one], []) for one in hooks] + [([], [one]) for one in commands]
        for given in each:
            try:
                self.perform(moment, *given)
            except UsageError as error:
                self._log.error(str(error))

    def _do(self, name: str, argument: str) -> None:
        if name in ("exec", "safeexec"):
            status = self._run(argument)
            if status and name == "exec":
                raise OSError(f"ended with status {status}" if status > 0 else f"died by signal {-status}")
            if status:
                self._log.warning(f"safeexec:{argument} ended with status {status}")
        elif name == "print":
            self._log.info(argument)
        else:
            FILES[name](argument)


def _write(argument: str, mode: str, end: str = "") -> None:
    path, _, text = argument.partition(" ")
    with open(path, mode, encoding="utf-8", errors="surrogateescape", opener=safe_paths.opener) as file:
        file.write(text + end)


def _touch(path: str) -> None:
    with open(path, "ab", opener=safe_paths.opener) as file:
        os.utime(file.fileno())


def _mkdir(path: str) -> None:
    with safe_paths.at(path) as spot:
        os.mkdir(spot.name, dir_fd=spot.folder)


def _unlink(path: str) -> None:
    with safe_paths.at(path) as spot:
        os.unlink(spot.name, dir_fd=spot.folder)


FILES: dict[str, Callable[[str], None]] = {
    "cd": safe_paths.go_to,
    "chdir": safe_paths.go_to,
    "mkdir": _mkdir,
    "unlink": _unlink,
    "create": lambda path: _write(path, "w"),
    "touch": _touch,
    "write": lambda argument: _write(argument, "w"),
    "writen": lambda argument: _write(argument, "w", "\n"),
    "append": lambda argument: _write(argument, "a"),
    "appendn": lambda argument: _write(argument, "a", "\n"),
}
"""The actions that are about a folder or a file; each raises OSError. `write` and its like take `PATH TEXT`."""
