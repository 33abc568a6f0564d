"""From the command line to Settings, in one place."""

from __future__ import annotations

import grp
import os
import pwd
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from greenwsgi import __version__
from greenwsgi.config import argv, cpus, magic
from greenwsgi.config.settings import Assignment, Settings, Warn, build
from greenwsgi.config.sources import Sources
from greenwsgi.options.catalog import OPTIONS


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and what their reader should be told, each thing once."""

    settings: Settings
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """All that is written, before anything is made of it.

    assignments: those in force, in their order. dropped: those that are not, each with the reason.
    used: the names that some text mentions as %(name).
    """

    assignments: tuple[Assignment, ...]
    dropped: tuple[tuple[Assignment, str], ...]
    used: frozenset[str]


def load(arguments: Sequence[str], environ: Mapping[str, str]) -> Loaded:
    """The Settings that a command line and the files it names give now. Raises UsageError."""
    warnings: list[str] = []
    settings = build(read(arguments, environ, warnings.append).assignments, warnings.append)
    return Loaded(settings, tuple(dict.fromkeys(warnings)))


def read(arguments: Sequence[str], environ: Mapping[str, str], warn: Warn) -> Reading:
    """The assignments of a command line and the files it names. Raises UsageError for what cannot be read."""
    written = argv.read(arguments)
    expanded = list(Sources(environ, this_machine(), warn).expand(written))
    used = frozenset(name for one in expanded for name in re.findall(r"%\(([^() ]+)", one.text))
    return Reading(tuple(map(_counted, magic.placeholders(expanded))), (), used)


def _counted(one: Assignment) -> Assignment:
    """`processes = auto` becomes a number here, so that the server, its zygotes and --show-config agree on it."""
    entry = OPTIONS.find(one.key) if one.text.strip() == "auto" else None
    return replace(one, text=str(cpus.usable())) if entry and entry.option.name == "processes" else one


def this_machine() -> magic.Machine:
    """What %-variables tell of this machine and this process."""
    uid, gid = os.getuid(), os.getgid()
    return magic.Machine(
        version=__version__,
        folder=os.getcwd(),
        hostname=os.uname().nodename,
        cpus=os.cpu_count() or 1,
        uid=uid,
        user=_name(pwd.getpwuid, uid),
        gid=gid,
        group=_name(grp.getgrgid, gid),
        seconds=int(time.time()),
    )


def _name(lookup: Callable[[int], Sequence[Any]], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:  # a container may run as a number that nobody named
        return str(number)
