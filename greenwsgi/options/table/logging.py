"""What is logged, and where."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.kinds import FLAG, PATH
from greenwsgi.options.spec import Reload, option


@dataclass(frozen=True, kw_only=True)
class Logging:
    """Logging"""

    logto: str = option(
        "logto",
        metavar="FILE",
        kind=PATH,
        default="",
        help="Append all output to this file, not to standard error: the log and what the application prints.",
        reload=Reload.RESTART,
    )
    disable_logging: bool = option(
        "disable-logging",
        short="L",
        kind=FLAG,
        default=False,
        help="Write no access lines; the server's own messages and errors stay.",
    )
