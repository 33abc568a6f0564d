"""What `greenwsgi doctor` looks at on this machine: each function a question, its answer a Finding."""

from __future__ import annotations

import os
import platform
import resource
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from greenwsgi import __version__
from greenwsgi.config import rules
from greenwsgi.config.load import Loaded
from greenwsgi.config.settings import Settings
from greenwsgi.errors import BootError, UsageError
from greenwsgi.options.places import Unix, read_place
from greenwsgi.process.listeners import backlog_warning
from greenwsgi.serve import greening
from greenwsgi.worker.worker import DESCRIPTOR_RESERVE


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and what to do about it; nothing when all is well."""

    found: str
    mend: str = ""


def versions() -> Finding:
    """Who runs here: what every report of a defect should begin with."""
    system = f"{platform.system()} {platform.release()}"
    return Finding(
        f"greenwsgi {__version__}, Python {platform.python_version()}, gevent {version('gevent')},"
        f" greenlet {version('greenlet')}, {system}"
    )


def configuration(loaded: Loaded) -> Iterator[Finding]:
    """Does the server start with it, and of what does it warn?"""
    warnings = list(loaded.warnings)
    try:
        rules.check(loaded.settings, warnings.append)
    except UsageError as error:
        yield Finding(str(error), "mend that first: the server does not start with it")
    for text in warnings:
        yield Finding(text, "mend what is warned of above (greenwsgi check tells more)")


def backlog(settings: Settings) -> Finding:
    """net.core.somaxconn against `listen`."""
    wanted = settings.listening.listen
    if warning := backlog_warning(wanted):
        return Finding(
            warning, f"sysctl -w net.core.somaxconn={wanted} (for ever: in /etc/sysctl.d), or a smaller listen"
        )
    return Finding(f"the kernel keeps as many connections waiting as listen asks for: {wanted}")


def descriptors(settings: Settings) -> Finding:
    """The hard limit of open files against what a worker may hold open; a worker raises the soft one itself."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    cores = settings.processes.async_
    wanted = 2 * cores + DESCRIPTOR_RESERVE
    if limit == resource.RLIM_INFINITY or limit >= wanted:
        many = "without limit" if limit == resource.RLIM_INFINITY else str(limit)
        return Finding(f"descriptors: {many} a process, for {cores} requests at once")
    return Finding(
        f"descriptors: {limit} a process are too few for {cores} requests at once, each with a connection of its own",
        f"raise the hard limit to {wanted} or more (LimitNOFILE= of systemd, ulimit -Hn), or lower async",
    )


def cpus(settings: Settings) -> Finding:
    """Processors that we may use, by affinity and cgroup, against `processes`."""
    usable, count = usable_cpus(), settings.processes.processes
    if count > 2 * usable + 1:
        return Finding(
            f"processes: {count}, but only {usable:g} processors may be used (affinity, cgroup)",
            f"processes = {max(1, round(usable))}: more workers than processors take memory and serve no more",
        )
    if usable >= count + 1 and count == 1:
        return Finding(f"processes: 1; {usable:g} processors may be used, so more could serve at the same time")
    return Finding(f"processes: {count}; {usable:g} processors may be used")


def sockets(settings: Settings) -> Iterator[Finding]:
    """Can the web server reach our unix sockets? It runs as another user, as a rule."""
    mode = settings.listening.chmod_socket
    for listener in settings.listeners:
        try:
            place = read_place(listener.text, abstract=settings.listening.abstract_socket)
        except ValueError:  # `configuration` has told of it
            continue
        if not isinstance(place, Unix):
            continue
        path = os.path.abspath(place.path)
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            yield Finding(
                f"{path}: there is no folder {folder}",
                f"make {folder} (RuntimeDirectory= of systemd), writable for the user that starts greenwsgi",
            )
            continue
        try:
            shown = stat.S_IMODE(os.stat(path).st_mode)
        except OSError:
            shown = mode if mode is not None else 0o777 & ~_umask()
        if not shown & stat.S_IWOTH:
            group = "and its group" if shown & stat.S_IWGRP else "alone"
            yield Finding(
                f"{path}: mode {shown:o} lets its owner {group} connect",
                "" if shown & stat.S_IWGRP else "chmod-socket = 660 with the web server's group (chown-socket), or 666",
            )
        else:
            yield Finding(f"{path}: mode {shown:o} lets everybody connect who can reach {folder}")


def times(settings: Settings) -> Iterator[Finding]:
    """Options that know of each other."""
    limits, processes = settings.limits, settings.processes
    if not limits.harakiri:
        yield Finding("harakiri is 0: a request may run for ever", "harakiri = 60, or what your slowest page needs")
    elif limits.harakiri > processes.worker_reload_mercy:
        yield Finding(
            f"a request may run {limits.harakiri:g} s, but a reload cuts it after {processes.worker_reload_mercy:g} s",
            f"worker-reload-mercy = {limits.harakiri:g}",
        )
    else:
        yield Finding(f"harakiri {limits.harakiri:g} is within worker-reload-mercy {processes.worker_reload_mercy:g}")


def application(settings: Settings) -> Iterator[Finding]:
    """Is the application's file there? It is not imported."""
    python = settings.python
    for option, path, there in (
        ("wsgi-file", python.wsgi_file, os.path.isfile),
        ("chdir", python.chdir, os.path.isdir),
        ("virtualenv", python.virtualenv, os.path.isdir),
    ):
        if path and not there(path):
            base = python.chdir if option == "wsgi-file" and python.chdir else os.getcwd()
            if not there(os.path.join(base, path)):
                yield Finding(f"{option} {path} is not there", f"mend {option}")
                continue
        if path:
            yield Finding(f"{option} {path} is there")


def patching() -> Iterator[Finding]:
    """Does gevent's patch hold here, and what came before it? Patches this process."""
    greening.patch()
    try:
        greening.check()
    except BootError as error:
        yield Finding(str(error), "look at .pth files and sitecustomize of this Python for what replaces it")
        return
    if early := greening.unpatched():
        yield Finding(
            f"imported before gevent's patch, and blocks: {', '.join(early)}",
            "take it out of .pth files and sitecustomize of this Python, or import it in the application",
        )
    else:
        yield Finding("gevent's patch holds, and nothing was imported before it that blocks")


def usable_cpus() -> float:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask
