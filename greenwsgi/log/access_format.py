"""The format of access lines: a text with `%(name)` variables, compiled once to a function of a RequestRecord.

The names are uWSGI's (log-format); docs say what each is. A compiled format is one f-string, so a line costs what it
would cost if it were written by hand.
"""

from __future__ import annotations

import os
import re
import resource
import string
import time
from collections.abc import Callable, Mapping
from typing import Any

from greenwsgi.errors import UsageError
from greenwsgi.log.request_record import RequestRecord

Format = Callable[[RequestRecord], str]

DEFAULT = (
    "[pid: %(pid)|app: 0|req: %(request)/%(total)] %(addr) (%(user)) {%(vars) vars in %(pktsize) bytes} [%(ctime)]"
    " %(method) %(uri) => generated %(rsize) bytes in %(msecs) msecs (%(proto) %(status))"
    " %(headers) headers in %(hsize) bytes (%(switches) switches on core %(core))"
)
"""uWSGI's default line, character for character."""

DEFAULT_MICROS = DEFAULT.replace("%(msecs) msecs", "%(micros) micros")
"""The same with durations in microseconds (log-micros)."""

MEMORY = "{address space usage: %(vsz) bytes/%(vszM)MB} {rss usage: %(rss) bytes/%(rssM)MB} "
"""What memory-report puts in front of the line."""

VARIABLES: Mapping[str, str] = {
    "addr": "record.addr",
    "core": "record.core",
    "ctime": "ctime(record.started)",
    "epoch": "now()",
    "headers": "record.headers",
    "hsize": "record.head_size",
    "method": "record.method",
    "micros": "int(record.duration * 1e6)",
    "msecs": "int(record.duration * 1e3)",
    "outcome": "record.outcome.value",
    "pid": "pid",
    "pktsize": "record.packet",
    "proto": "record.protocol",
    "request": "record.request",
    "rsize": "record.sent",
    "rss": "memory()[1]",
    "rssM": "memory()[1] >> 20",
    "size": "record.sent + record.head_size",
    "status": "record.status",
    "switches": "record.switches",
    "total": "record.total",
    "uri": "record.uri",
    "user": "record.user",
    "vars": "record.variables * 2",
    "vsz": "memory()[0]",
    "vszM": "memory()[0] >> 20",
}
"""The expression that gives each variable. Only these are ever evaluated."""

_HARMLESS = frozenset(string.ascii_letters + string.digits + " []|:/()=>-.,")
_DOUBLED = {"{": "{{", "}": "}}"}
_VARIABLE = re.compile(r"%\(([^)]*)\)")


def compiled(text: str, pid: int) -> Format:
    """The function that makes a line of this format in the process `pid`. Raises UsageError for an unknown variable."""
    parts: list[str] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        name = found[1]
        if name not in VARIABLES:
            raise UsageError(f"%({name}) is not a variable of access lines; there are {', '.join(sorted(VARIABLES))}")
        parts += [_literal(text[at : found.start()]), f"{{{VARIABLES[name]}}}"]
        at = found.end()
    parts.append(_literal(text[at:]))
    source = "lambda record: f'''" + "".join(parts) + "'''"
    names: dict[str, Any] = {"ctime": _Ctime(), "now": _now, "memory": memory, "pid": pid, "int": int}
    return eval(source, {"__builtins__": {}, **names})  # type: ignore[no-any-return]  # literals and VARIABLES only


def _literal(text: str) -> str:
    """The text as it must stand in a triple-quoted f-string: nothing in it may end that or begin an expression."""
    return "".join(one if one in _HARMLESS else _DOUBLED.get(one, f"\\U{ord(one):08x}") for one in text)


class _Ctime:
    """`Mon Jan  1 00:00:00 2024`, remembered while the second lasts."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, started: float) -> str:
        second = int(started)
        if second != self._second:
            self._second, self._text = second, time.ctime(second)
        return self._text


def _now() -> int:
    return int(time.time())


_PAGE = os.sysconf("SC_PAGE_SIZE")


def memory() -> tuple[int, int]:
    """Bytes of the process's address space and of its resident memory; outside of Linux 0 and its largest size."""
    try:
        with open("/proc/self/statm", "rb") as file:
            vsz, rss = (int(pages) * _PAGE for pages in file.read().split()[:2])
    except OSError:
        vsz, rss = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return vsz, rss
