"""What the option table says: `options`, `completion`, `manpage`."""

from __future__ import annotations

from collections.abc import Sequence

from greenwsgi import __version__
from greenwsgi.errors import UsageError
from greenwsgi.options import help, manpage, shell_completion
from greenwsgi.options.option_spec import Status
from greenwsgi.subcommands import helps
from greenwsgi.subcommands.argument_parser import Arguments


def options(arguments: Sequence[str]) -> int:
    """Print what becomes of options: of the named ones, of those of a status, or how many there are of each."""
    parser = Arguments("options")
    parser.add_argument("name", metavar="NAME", nargs="*", help="options to tell all about")
    parser.add_argument("--summary", action="store_true", help="tell how many names there are of each status")
    parser.add_argument(
        "--status",
        action="append",
        choices=[status.value for status in Status],
        help="list the options of this status alone; may be repeated",
    )
    given = parser.parse_args(arguments)
    if given.summary:
        print(help.summary(), end="")
    elif given.name:
        print("\n".join(_described(name) for name in given.name), end="")
    else:
        print(help.listing(Status(one) for one in given.status or [status.value for status in Status]), end="")
    return 0


def _described(name: str) -> str:
    try:
        return help.describe(name)
    except LookupError as error:
        near = f", did you mean {error.args[0]}?" if error.args[0] else ""
        raise UsageError(f"options: unknown option {name[:60]!r}{near}") from None


def completion(arguments: Sequence[str]) -> int:
    """Print the completion script of a shell."""
    scripts = {"bash": shell_completion.bash, "zsh": shell_completion.zsh}
    parser = Arguments("completion", 'For this shell alone: eval "$(greenwsgi completion bash)"')
    parser.add_argument("shell", choices=scripts)
    print(scripts[parser.parse_args(arguments).shell](helps()), end="")
    return 0


def print_manpage(arguments: Sequence[str]) -> int:
    """Print the manual page."""
    Arguments("manpage", "To read it: greenwsgi manpage | man -l -").parse_args(arguments)
    print(manpage.manpage(__version__, helps()), end="")
    return 0
