"""`greenwsgi doctor [FILE]`: looks at the machine, the configuration and nginx's, and says what to fix."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from greenwsgi.config.load import load
from greenwsgi.config.show_config import printable
from greenwsgi.errors import UsageError
from greenwsgi.subcommands import doctor_checks, doctor_nginx_checks
from greenwsgi.subcommands.argument_parser import Arguments
from greenwsgi.subcommands.doctor_checks import Finding

SOMETHING_TO_MEND = 1


def run(arguments: Sequence[str]) -> int:
    """Print what was found, then what to fix; 1 if there is anything. Raises UsageError for an unreadable file."""
    parser = Arguments("doctor", "Exit status: 0 when all is well, 1 when there is something to fix.")
    parser.add_argument("file", metavar="FILE", nargs="?", help="the configuration, as for greenwsgi itself")
    parser.add_argument("--nginx", metavar="FILE", help="the nginx configuration in front of it")
    given = parser.parse_args(arguments)
    findings = list(_examine(given.file, given.nginx))
    to_fix = list(dict.fromkeys(finding.fix for finding in findings if finding.fix))
    said = [f"{'fix' if finding.fix else 'ok':<6}{finding.found}" for finding in findings]
    said += ["", "What to fix:" if to_fix else "Nothing to fix."]
    said += [f"  {number}. {fix}" for number, fix in enumerate(to_fix, 1)]
    print(printable("\n".join(said)))
    return SOMETHING_TO_MEND if to_fix else 0


def _examine(file: str | None, nginx_file: str | None) -> Iterator[Finding]:
    yield doctor_checks.versions()
    loaded = load([file] if file else [], os.environ)
    settings = loaded.settings
    if file:
        yield from doctor_checks.configuration(loaded)
    yield doctor_checks.backlog(settings)
    yield doctor_checks.descriptors(settings)
    yield doctor_checks.cpus(settings)
    if file:
        yield from doctor_checks.sockets(settings)
        yield from doctor_checks.times(settings)
        yield from doctor_checks.application(settings)
    if nginx_file:
        try:
            with open(nginx_file, encoding="utf-8", errors="replace") as opened:
                text = opened.read()
        except OSError as error:
            raise UsageError(f"cannot read {nginx_file!r}: {error.strerror}") from None
        yield from doctor_nginx_checks.against(settings, text, nginx_file)
    yield from doctor_checks.patching()  # last: this process is a gevent one from here on
