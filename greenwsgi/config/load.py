"""From the command line to Settings, in one place."""

from __future__ import annotations

import grp
import os
import pwd
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from greenwsgi import __version__
from greenwsgi.config import available_cpus, command_line, placeholders, read_variables
from greenwsgi.config.settings import Assignment, Settings, Warn, build
from greenwsgi.config.sources import Sources
from greenwsgi.errors import UsageError
from greenwsgi.options.catalog import OPTIONS


@dataclass(frozen=True, slots=True)
class LoadedConfiguration:
    """Settings, what their reader should be told, each thing once, and the configuration to try if they fail."""

    settings: Settings
    warnings: tuple[str, ...]
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class ReadConfiguration:
    """All that is written, before anything is made of it.

    assignments: those in force, in their order. dropped: those that are not, each with the reason.
    used: the names that some text mentions as %(name), and the variables of which some text mentions $(NAME).
    placeholders: the names that were set as placeholders on purpose. magic: the %-variables, by letter.
    """

    assignments: tuple[Assignment, ...]
    dropped: tuple[tuple[Assignment, str], ...]
    used: frozenset[str]
    placeholders: frozenset[str]
    magic: Mapping[str, str]

    def build(self, warn: Warn) -> Settings:
        """The Settings that this gives. Raises UsageError."""
        return build(self.assignments, warn, placeholders=self.placeholders, used=self.used, magic=self.magic)


def load(arguments: Sequence[str], environ: Mapping[str, str], reload: bool = False) -> LoadedConfiguration:
    """The Settings that the environment, a command line and the files it names give now.

    `reload` is for if-reload. Raises UsageError, with the fallback-config that was given until then.
    """
    warnings: list[str] = []
    sources = Sources(environ, this_machine(), warnings.append, reload)
    try:
        settings = _read(sources, arguments, environ, warnings.append).build(warnings.append)
    except UsageError as error:
        error.fallback = sources.fallback
        raise
    return LoadedConfiguration(settings, tuple(dict.fromkeys(warnings)), sources.fallback)


def read(
    arguments: Sequence[str], environ: Mapping[str, str], warn: Warn, mistakes: list[UsageError] | None = None
) -> ReadConfiguration:
    """What the environment, a command line and the files it names say.

    mistakes: takes what is wrong in files, and the rest is read; without it the first is raised. Raises UsageError.
    """
    return _read(Sources(environ, this_machine(), warn, mistakes=mistakes), arguments, environ, warn)


def _read(sources: Sources, arguments: Sequence[str], environ: Mapping[str, str], warn: Warn) -> ReadConfiguration:
    steps: tuple[Callable[[], None], ...] = (
        lambda: sources.take(read_variables.read(environ)),
        lambda: sources.take(command_line.read(arguments, sources.declared)),
        sources.finish,
    )
    for step in steps:
        try:
            step()
        except UsageError as error:
            sources.wrong(error)
    read_variables.tell(environ, sources.used_variables, warn)
    variables = {key for key, name in read_variables.names(environ) if name in sources.used_variables}
    return ReadConfiguration(
        tuple(map(_counted, sources.assignments)),
        tuple((one, f"{by.key} {by.text}".rstrip() + f" at {by.origin}") for one, by in sources.dropped),
        frozenset(sources.used | variables),
        frozenset(sources.placeholders),
        placeholders.table(sources.place),
    )


def _counted(one: Assignment) -> Assignment:
    """`processes = auto` becomes a number here, so that the server, its zygotes and --show-config agree on it."""
    entry = OPTIONS.find(one.key) if one.text.strip() == "auto" else None
    return replace(one, text=str(available_cpus.usable())) if entry and entry.option.name == "processes" else one


def this_machine() -> placeholders.HostFacts:
    """What %-variables tell of this machine and this process."""
    uid, gid = os.getuid(), os.getgid()
    folder = _folder()
    return placeholders.HostFacts(
        version=__version__,
        folder=folder,
        hostname=os.uname().nodename,
        cpus=os.cpu_count() or 1,
        uid=uid,
        user=_name(pwd.getpwuid, uid),
        gid=gid,
        group=_name(grp.getgrgid, gid),
        seconds=time.time(),
        binary=os.path.normpath(os.path.join(folder, sys.argv[0])) if sys.argv[0] else "",
    )


def _folder() -> str:
    """The current one; if it was deleted, as it is by many a deployment, what the shell that started us calls it."""
    try:
        return os.getcwd()
    except OSError:
        return os.environ.get("PWD", "/")


def _name(lookup: Callable[[int], Sequence[Any]], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:  # a container may run as a number that has no account
        return str(number)
