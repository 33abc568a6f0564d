"""SUBCOMMANDS: what the command does besides serving, one row each: `greenwsgi NAME ARGUMENTS`.

A name counts only as the very first argument. A row's function is imported when it is asked for, so that neither the
server nor another subcommand pays for it. It takes the arguments behind the name and returns the exit status; it raises
UsageError for the operator's mistake, which becomes one line and status 2.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType
from typing import cast

Run = Callable[[Sequence[str]], int]


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One row. `function` is `module:name`, the module in this room."""

    help: str
    function: str

    def run(self, arguments: Sequence[str]) -> int:
        module, _, name = self.function.partition(":")
        return cast(Run, getattr(import_module(f"{__name__}.{module}"), name))(arguments)


SUBCOMMANDS: dict[str, Subcommand] = {
    "check": Subcommand("Report what becomes of each option of a configuration, and whether it starts.", "check:run"),
    "convert": Subcommand("Write a configuration again, clean and short.", "convert:run"),
    "doctor": Subcommand("Look at the machine, a configuration and nginx's; say what to fix.", "doctor:run"),
    "nginx": Subcommand("Print the nginx server block that goes with a configuration.", "nginx_config:run"),
    "options": Subcommand("Tell what becomes of options, all of them or those named.", "option_listings:options"),
    "completion": Subcommand("Print completion for bash or zsh.", "option_listings:completion"),
    "manpage": Subcommand("Print the manual page.", "option_listings:print_manpage"),
    "reload": Subcommand(
        "Have a running server load its application again; with --wait, until that serves.", "server_commands:reload"
    ),
    "stop": Subcommand("Stop a running server; with --wait, until it has stopped.", "server_commands:stop"),
    "status": Subcommand("Show what a running server does.", "server_commands:status"),
    "ping": Subcommand("Does the server's master answer?", "server_commands:ping"),
    "ask": Subcommand("Ask a running server for any of its commands.", "server_commands:ask"),
}


GROUP = "greenwsgi.subcommands"
"""The entry points of other distributions: each is a function that takes the arguments and returns the exit status."""

_NAME = re.compile(r"[a-z][a-z0-9-]*")


def find(name: str) -> Run | None:
    """The subcommand of that name, built in or a plugin; None if there is none.

    A plugin is only looked for where the name could be one and is no file's, since a configuration may be named alone.
    Raises UsageError for a plugin that cannot be loaded.
    """
    if name in SUBCOMMANDS:
        return SUBCOMMANDS[name].run
    if not _NAME.fullmatch(name) or os.path.exists(name):
        return None
    from greenwsgi.shared import plugins

    return plugins.find(GROUP, name, FunctionType)


def helps() -> dict[str, str]:
    """Each built-in name and its one line, for --help."""
    return {name: row.help for name, row in SUBCOMMANDS.items()}
