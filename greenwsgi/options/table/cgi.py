"""Programs that answer requests: CGI."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import option
from greenwsgi.options.value_kinds import HELPERS, INTEGER, PATHS, SECONDS


@dataclass(frozen=True, kw_only=True)
class CgiOptions:
    """CGI programs"""

    cgi: tuple[str, ...] = option(
        "cgi",
        metavar="[/MOUNT=]PATH",
        kind=PATHS,
        default=(),
        help="Run the programs in this folder, or this program, for paths that begin with /MOUNT. May be repeated.",
    )
    cgi_helper: tuple[tuple[str, str], ...] = option(
        "cgi-helper",
        "cgi-map-helper",
        kind=HELPERS,
        default=(),
        help="Run files that end so by this command, executable or not: .py=python3. May be repeated.",
    )
    cgi_allowed_ext: tuple[str, ...] = option(
        "cgi-allowed-ext",
        metavar="ENDING",
        kind=PATHS,
        default=(),
        help="Run only files that end so: .cgi. May be repeated.",
    )
    cgi_index: tuple[str, ...] = option(
        "cgi-index",
        metavar="NAME",
        kind=PATHS,
        default=(),
        help="The program for the path of a folder, the first of these that is there. May be repeated.",
    )
    cgi_safe: tuple[str, ...] = option(
        "cgi-safe",
        metavar="FOLDER",
        kind=PATHS,
        default=(),
        help="Links may lead out of their folder to programs in this one. May be repeated.",
    )
    cgi_timeout: float = option(
        "cgi-timeout",
        kind=SECONDS,
        default=60,
        least=0.1,
        help="How long a program may neither read nor write before it is ended, with 504 if it has not answered yet.",
    )
    cgi_processes: int = option(
        "cgi-processes",
        kind=INTEGER,
        default=100,
        least=1,
        help="How many programs a worker runs at the same time; other requests for one wait, queue-timeout at most.",
    )
