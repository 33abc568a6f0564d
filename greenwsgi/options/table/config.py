"""Where the options come from, and what to print instead of serving."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import ChangeNeeds, option
from greenwsgi.options.value_kinds import FLAG, NAMES, TEXT


@dataclass(frozen=True, kw_only=True)
class ConfigOptions:
    """Configuration"""

    strict: bool = option(
        "strict",
        kind=FLAG,
        default=False,
        help="Refuse unknown names in files; otherwise they are placeholders, for %(name).",
    )
    allow_remote_config: bool = option(
        "allow-remote-config",
        kind=FLAG,
        default=False,
        help="Let files be http:// addresses, and @(http://...) what is there; to be given before the first of them.",
    )
    get: tuple[str, ...] = option(
        "get",
        kind=NAMES,
        default=(),
        help="Print what was first given for NAME, and end. May be repeated.",
        reload=ChangeNeeds.RESTART,
    )
    show_config: bool = option(
        "show-config",
        kind=FLAG,
        default=False,
        help="Print every option's value, and where it was written.",
        reload=ChangeNeeds.RESTART,
    )
    reload: str = option(
        "reload",
        metavar="TARGET",
        kind=TEXT,
        default="",
        help="Ask a running server to reload, by its pidfile, master-fifo or control socket, and serve nothing.",
        reload=ChangeNeeds.RESTART,
    )
    stop: str = option(
        "stop",
        metavar="TARGET",
        kind=TEXT,
        default="",
        help="Ask a running server to stop.",
        reload=ChangeNeeds.RESTART,
    )
    pause: str = option(
        "pause",
        "suspend",
        metavar="TARGET",
        kind=TEXT,
        default="",
        help="Ask a running server to accept no connections; they wait.",
        reload=ChangeNeeds.RESTART,
    )
    resume: str = option(
        "resume",
        metavar="TARGET",
        kind=TEXT,
        default="",
        help="Ask a running server to accept connections again.",
        reload=ChangeNeeds.RESTART,
    )
    connect_and_read: str = option(
        "connect-and-read",
        metavar="ADDRESS",
        kind=TEXT,
        default="",
        help="Connect to HOST:PORT or a unix socket and print what it says.",
        reload=ChangeNeeds.RESTART,
    )
    version: bool = option(
        "version",
        kind=FLAG,
        default=False,
        help="Print the version.",
        reload=ChangeNeeds.RESTART,
    )
    help: bool = option(
        "help",
        "usage",
        short="h",
        kind=FLAG,
        default=False,
        help="Print the options that are needed most; --help SECTION and --help OPTION tell more.",
        reload=ChangeNeeds.RESTART,
    )
    help_all: bool = option(
        "help-all",
        kind=FLAG,
        default=False,
        help="Print all options that do something.",
        reload=ChangeNeeds.RESTART,
    )

    @property
    def asks_another(self) -> bool:
        """Is this about a server that runs already?"""
        return any((self.reload, self.stop, self.pause, self.resume, self.connect_and_read))
