"""`greenwsgi check FILE...`: what becomes of each name in a configuration, before anything is started."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from greenwsgi.config.command_line import ORIGIN
from greenwsgi.config.show_config import printable
from greenwsgi.errors import UsageError
from greenwsgi.subcommands.argument_parser import Arguments
from greenwsgi.subcommands.configuration_report import ConfigurationReport, report

EPILOG = """\
FILE is what greenwsgi itself takes: a configuration of any format, FILE:SECTION, an application. A .env file is read as
the environment that it sets. Options behind -- are checked as a command line (greenwsgi check -- --http :80 ...).

Exit status: 0 it starts and nothing is lost; 1 it starts, but without something; 2 it does not start."""

_VARIABLE = re.compile(r"\s*(?:export\s+|-\s+)?([A-Za-z_]\w*)\s*[=:]\s*(.*?)\s*")


def run(arguments: Sequence[str]) -> int:
    """Print a report on each; the worst exit status. Raises UsageError for wrong arguments only."""
    own, command_line = _split(list(arguments))
    parser = Arguments("check", EPILOG)
    parser.add_argument("files", metavar="FILE", nargs="*" if command_line else "+", help="a configuration")
    parser.add_argument(
        "--json", action="store_true", help="print JSON: an object, or a list of them for several files"
    )
    given = parser.parse_args(own)
    reports = [(file, _of_file(file)) for file in given.files]
    if command_line:
        reports.append((" ".join(command_line), report(command_line, os.environ)))
    if given.json:
        found = [_plain(one) for _, one in reports]
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    else:
        print(printable("\n\n".join("\n".join(_text(name, one)) for name, one in reports)))
    return max(one.outcome.value for _, one in reports)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments in front of -- and those behind it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _of_file(file: str) -> ConfigurationReport:
    if not file.endswith(".env"):
        return report([file], os.environ, passed_over=(ORIGIN.source,))
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            found = [match for line in opened if (match := _VARIABLE.fullmatch(line))]
    except OSError as error:
        raise UsageError(f"cannot read {file!r}: {error.strerror}") from None
    return report([], {match[1]: match[2].strip("\"'") for match in found})


def _plain(one: ConfigurationReport) -> dict[str, object]:
    """The promise of --json: these keys and no others."""
    return {
        "options": [{key: value for key, value in asdict(item).items() if key != "in_force"} for item in one.items],
        "verdict": one.verdict,
    }


def _text(name: str, one: ConfigurationReport) -> Iterator[str]:
    yield name
    width = max((len(item.origin) for item in one.items), default=0)
    for item in one.items:
        written = f"{item.option} = {_short(item.value)}" if item.value else item.option
        yield f"  {item.status:<12}{item.origin:<{width}}  {written}"
        if item.note:
            yield f"  {'':<{12 + width}}    {item.note}"
    for title, lines in (("What else was said:", one.warnings), ("What gevent changes:", one.changes)):
        if lines:
            yield f"\n{title}"
            yield from (f"  - {line}" for line in lines)
    yield f"\nVerdict: it {one.verdict}."


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."
