"""Where the options come from, and what to print instead of serving."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.kinds import FLAG, PATHS
from greenwsgi.options.spec import Reload, option


@dataclass(frozen=True, kw_only=True)
class Config:
    """Configuration"""

    ini: tuple[str, ...] = option(
        "ini",
        metavar="FILE",
        kind=PATHS,
        default=(),
        help="Read options from [uwsgi] in FILE; FILE:NAME is another section, :NAME one of the same file.",
    )
    strict: bool = option(
        "strict",
        kind=FLAG,
        default=False,
        help="Refuse unknown names in files; otherwise they are placeholders, for %(name).",
    )
    show_config: bool = option(
        "show-config",
        kind=FLAG,
        default=False,
        help="Print every option's value, and where it was written.",
        reload=Reload.RESTART,
    )
    version: bool = option(
        "version",
        kind=FLAG,
        default=False,
        help="Print the version.",
        reload=Reload.RESTART,
    )
    help: bool = option(
        "help",
        "usage",
        short="h",
        kind=FLAG,
        default=False,
        help="Print the options that are needed most; --help SECTION and --help OPTION tell more.",
        reload=Reload.RESTART,
    )
    help_all: bool = option(
        "help-all",
        kind=FLAG,
        default=False,
        help="Print all options that do something.",
        reload=Reload.RESTART,
    )
