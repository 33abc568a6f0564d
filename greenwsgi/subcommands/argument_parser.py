"""How a subcommand reads its arguments: argparse, whose mistakes are UsageErrors like all others."""

from __future__ import annotations

import argparse
from typing import NoReturn

from greenwsgi.errors import UsageError
from greenwsgi.subcommands import SUBCOMMANDS


class Arguments(argparse.ArgumentParser):
    """The parser of one subcommand: `Arguments("reload")`; its --help begins with the row's own line."""

    def __init__(self, name: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"greenwsgi {name}",
            description=SUBCOMMANDS[name].help,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog.removeprefix('greenwsgi ')}: {message} (or --help)")
