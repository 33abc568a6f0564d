"""What is logged, and where."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import ChangeNeeds, option
from greenwsgi.options.value_kinds import FLAG, INTEGER, PATH, SIZE


@dataclass(frozen=True, kw_only=True)
class LoggingOptions:
    """Logging"""

    logto: str = option(
        "logto",
        metavar="FILE",
        kind=PATH,
        default="",
        help="Append all output to this file, not to standard error: the log and what the application prints.",
        reload=ChangeNeeds.RESTART,
    )
    log_reopen: bool = option(
        "log-reopen",
        kind=FLAG,
        default=False,
        help="Open the file of logto or daemonize again at each reload: it may have been moved.",
    )
    daemonize: str = option(
        "daemonize",
        "daemonize2",
        short="d",
        metavar="FILE",
        kind=PATH,
        default="",
        help="Go to the background when the server serves, and append all output to this file.",
        reload=ChangeNeeds.RESTART,
    )
    fastcgi_stderr: bool = option(
        "fastcgi-stderr",
        kind=FLAG,
        default=False,
        help="Send what applications write to wsgi.errors to FastCGI gateways, for their log; not to ours.",
    )
    disable_logging: bool = option(
        "disable-logging",
        short="L",
        kind=FLAG,
        default=False,
        help="Write no access lines, but for the requests that log-... names; the log's other lines stay.",
    )
    log_4xx: bool = option(
        "log-4xx",
        kind=FLAG,
        default=False,
        help="With disable-logging: write access lines of answers 400 to 499.",
    )
    log_5xx: bool = option(
        "log-5xx",
        kind=FLAG,
        default=False,
        help="With disable-logging: write access lines of answers from 500 on, and of killed requests.",
    )
    log_zero: bool = option(
        "log-zero",
        kind=FLAG,
        default=False,
        help="With disable-logging: write access lines of answers without a body.",
    )
    log_slow: int = option(
        "log-slow",
        metavar="MSECS",
        kind=INTEGER,
        default=0,
        help="With disable-logging: write access lines of requests that took so many milliseconds; 0 is no such rule.",
    )
    log_big: int = option(
        "log-big",
        kind=SIZE,
        default=0,
        help="With disable-logging: write access lines of answers with so many bytes; 0 is no such rule.",
    )
    log_micros: bool = option(
        "log-micros",
        kind=FLAG,
        default=False,
        help="Write durations in microseconds into access lines, not in milliseconds.",
    )
    memory_report: bool = option(
        "memory-report",
        short="m",
        kind=FLAG,
        default=False,
        help="Begin access lines with the memory of the worker.",
    )
