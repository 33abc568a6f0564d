"""Asking a running server: reload, stop, status, ping, and every command by its name.

Exit status: 0 when the server does, or has done, what was asked, 1 when it did not, 2 when no server answers.
"""

from __future__ import annotations

import json
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterable, Sequence
from typing import Any

from greenwsgi.config.show_config import printable
from greenwsgi.options.table.config import ConfigOptions
from greenwsgi.process.control import status as statuses
from greenwsgi.process.control.commands import COMMANDS
from greenwsgi.process.control.control_client import connect_and_read
from greenwsgi.process.control.running_server import RunningServer
from greenwsgi.subcommands.argument_parser import Arguments

_TARGET = "the server's pidfile, master-fifo or control socket"


def reload(arguments: Sequence[str]) -> int:
    """`greenwsgi reload [--wait] TARGET`."""
    parser = _parser("reload")
    parser.add_argument("--wait", action="store_true", help="until the new generation serves, or has failed")
    given = parser.parse_args(arguments)
    with RunningServer(given.target) as target:
        return _tell(target.ask("reload", wait=given.wait))


def stop(arguments: Sequence[str]) -> int:
    """`greenwsgi stop [--wait] TARGET`."""
    parser = _parser("stop")
    parser.add_argument("--wait", action="store_true", help="until the server is gone")
    given = parser.parse_args(arguments)
    with RunningServer(given.target) as target:
        wait = target.end() if given.wait else None
        status = _tell(target.ask("stop"))
        if wait and status == 0:
            wait()
        return status


def status(arguments: Sequence[str]) -> int:
    """`greenwsgi status [--json] TARGET`."""
    parser = _parser("status")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    given = parser.parse_args(arguments)
    with RunningServer(given.target) as target:
        answer = target.ask("status")
        if not answer["ok"]:
            return _tell(answer)
        try:
            shown = statuses.table(_plain(answer["status"])).rstrip("\n")
            written = json.dumps(answer["status"], indent=2)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
            raise target.odd() from None  # what answers there may be anything
    print(written if given.json else printable(shown))
    return 0


def ping(arguments: Sequence[str]) -> int:
    """`greenwsgi ping TARGET`."""
    with RunningServer(_parser("ping").parse_args(arguments).target) as target:
        answer = target.ask("ping")
        if answer["ok"]:
            version, pid, generation = (answer.get(name) for name in ("version", "pid", "generation"))
            if type(version) is not str or type(pid) is not int or type(generation) is not int:
                raise target.odd()
            answer["said"] = f"greenwsgi {version} answers: pid {pid}, generation {generation}"
        return _tell(answer)


def ask(arguments: Sequence[str]) -> int:
    """`greenwsgi ask COMMAND [--wait] TARGET`."""
    width = max(len(command.name) for command in COMMANDS)
    parser = Arguments("ask", "commands:\n" + "".join(f"  {row.name:{width}}  {row.help}\n" for row in COMMANDS))
    parser.add_argument("command", metavar="COMMAND")
    parser.add_argument("target", metavar="TARGET", help=_TARGET)
    parser.add_argument("--wait", action="store_true", help="until a reload has ended")
    given = parser.parse_args(arguments)
    with RunningServer(given.target) as target:
        return _tell(target.ask(given.command, wait=given.wait))


def as_uwsgi_does(config: ConfigOptions) -> int:
    """--reload, --stop, --pause and --resume TARGET, --connect-and-read ADDRESS."""
    for name in ("reload", "stop", "pause", "resume"):
        if path := getattr(config, name):
            with RunningServer(path) as target:
                return _tell(_paused(target, name))
    _show(connect_and_read(config.connect_and_read))
    return 0


def _show(pieces: Iterable[bytes]) -> None:
    """To standard output: a terminal obeys nothing of it, a program gets it as it is."""
    if sys.stdout.isatty():
        decoder = getincrementaldecoder("utf-8")("backslashreplace")
        for said in pieces:
            print(printable(decoder.decode(said)), end="")
        print(printable(decoder.decode(b"", final=True)), end="")
    else:
        for said in pieces:
            sys.stdout.buffer.write(said)
    sys.stdout.flush()


def _paused(target: RunningServer, name: str) -> dict[str, Any]:
    """Of pausing there is one signal and one letter, which do whichever changes something."""
    return target.ask(name if target.answers or name not in ("pause", "resume") else "pause-or-resume")


def _plain(value: Any) -> Any:
    """The same with each text on one line, and nothing in it that a terminal would obey."""
    if isinstance(value, str):
        return printable(value).replace("\n", "\\n")
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _parser(name: str) -> Arguments:
    parser = Arguments(name)
    parser.add_argument("target", metavar="TARGET", help=_TARGET)
    return parser


def _tell(answer: dict[str, Any]) -> int:
    """The answer to standard output; what went wrong, with its traceback, to standard error."""
    out = sys.stdout if answer["ok"] else sys.stderr
    if details := answer.get("details"):
        print(printable(details.rstrip("\n")), file=out)
    print(printable(" ".join(answer.get("said", "").splitlines())), file=out)
    return 0 if answer["ok"] else 1
