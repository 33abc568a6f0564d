"""What `greenwsgi doctor` looks at on this machine: each function a question, its answer a Finding."""

from __future__ import annotations

import grp
import os
import platform
import pwd
import resource
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from greenwsgi import __version__
from greenwsgi.config import option_rules
from greenwsgi.config.available_cpus import usable
from greenwsgi.config.load import LoadedConfiguration
from greenwsgi.config.settings import Settings
from greenwsgi.errors import BootError, UsageError
from greenwsgi.options.listen_addresses import Unix, read_place
from greenwsgi.process.lifecycle import user_identity
from greenwsgi.process.lifecycle.user_identity import Owner
from greenwsgi.process.listening import listeners
from greenwsgi.serve import monkeypatch
from greenwsgi.worker.accepting import DESCRIPTOR_RESERVE


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and what to do about it; nothing when all is well."""

    found: str
    fix: str = ""


_DOES_NOT_START = "fix that first: the server does not start with it"


def versions() -> Finding:
    """Who runs here: what every report of a defect should begin with."""
    system = f"{platform.system()} {platform.release()}"
    return Finding(
        f"greenwsgi {__version__}, Python {platform.python_version()}, gevent {version('gevent')},"
        f" greenlet {version('greenlet')}, {system}"
    )


def configuration(loaded: LoadedConfiguration) -> Iterator[Finding]:
    """Does the server start with it, and of what does it warn?"""
    warnings = list(loaded.warnings)
    try:
        option_rules.check(loaded.settings, warnings.append)
    except UsageError as error:
        yield Finding(str(error), _DOES_NOT_START)
    for text in warnings:
        yield Finding(text, "fix what is warned of above (greenwsgi check tells more)")


def backlog(settings: Settings) -> Finding:
    """net.core.somaxconn against `listen`."""
    wanted = settings.listening.listen
    if warning := listeners.backlog_warning(wanted):
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
    there, count = usable(), settings.processes.processes
    if count > 2 * there + 1:
        return Finding(
            f"processes: {count}, but only {there} processors may be used (affinity, cgroup)",
            f"processes = {there}: more workers than processors take memory and serve no more",
        )
    if count == 1 < there:
        return Finding(f"processes: 1; {there} processors may be used, so more could serve at the same time")
    return Finding(f"processes: {count}; {there} processors may be used")


def sockets(settings: Settings) -> Iterator[Finding]:
    """Can the web server reach our unix sockets? It runs as another user, as a rule."""
    try:
        who = user_identity.find(settings.processes.uid, settings.processes.gid)
        owner = listeners.owner_of(settings, who)
    except UsageError as error:
        yield Finding(str(error), _DOES_NOT_START)
        return
    for listener in settings.listeners:
        try:
            place = read_place(listener.text, abstract=settings.listening.abstract_socket)
        except ValueError:  # `configuration` has told of it
            continue
        if isinstance(place, Unix):
            yield _access(os.path.abspath(place.path), settings, owner)


def _access(path: str, settings: Settings, owner: Owner | None) -> Finding:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return Finding(
            f"{path}: there is no folder {folder}",
            f"make {folder} (RuntimeDirectory= of systemd), writable for the user that starts greenwsgi",
        )
    try:
        found = os.stat(path)
        mode, uid, gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    except OSError:  # it is not there yet: as it will be
        chmod, umask = settings.listening.chmod_socket, settings.listening.umask
        mode = 0o777 & ~(_umask() if umask is None else umask) if chmod is None else chmod
        uid = owner.uid if owner and owner.uid >= 0 else os.geteuid()
        gid = owner.gid if owner and owner.gid >= 0 else os.getegid()
    if mode & stat.S_IWOTH:
        return Finding(f"{path}: mode {mode:o} lets everybody connect who can reach {folder}")
    if mode & stat.S_IWGRP:
        return Finding(f"{path}: mode {mode:o} lets the user {_user(uid)} and the group {_group(gid)} connect")
    return Finding(
        f"{path}: mode {mode:o} lets the user {_user(uid)} alone connect",
        "chmod-socket = 660 with the web server's group (chown-socket), or 666",
    )


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
    """Are the application and what it needs there? Nothing is imported."""
    python = settings.python
    base = os.path.abspath(python.chdir)
    home = python.virtualenv and os.path.join(base, python.virtualenv)
    for option, text, path, is_there in (
        ("chdir", python.chdir, base, os.path.isdir),
        ("virtualenv", python.virtualenv, home, os.path.isdir),
        ("wsgi-file", python.wsgi_file, os.path.join(base, python.wsgi_file), os.path.isfile),
    ):
        if text and is_there(path):
            yield Finding(f"{option} {text} is there")
        elif text:
            yield Finding(f"{option} {text} is not there", f"fix {option}")
    module = python.module.partition(":")[0]
    if module and not python.wsgi_file:
        folders = [base, *(os.path.join(base, path) for path in python.pythonpath), *_packages(home)]
        if found := _find(module, [*folders, *sys.path]):
            yield Finding(f"module {module} is there: {found}")
        else:
            yield Finding(
                f"module {module} is not in {', '.join(folders)}, nor on Python's own path",
                "fix module, or name the folder that it is in with chdir or pythonpath",
            )


def _packages(home: str) -> Iterator[str]:
    """The folder of a virtual environment's packages, and those that its .pth files name; "" has none."""
    folder = Path(home, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
    if home:
        yield str(folder)
        for file in sorted(folder.glob("*.pth")):
            lines = file.read_text("utf-8", "surrogateescape").splitlines()
            yield from (str(folder / line) for line in lines if line and not line.startswith(("#", "import ")))


def _find(module: str, folders: list[str]) -> str:
    """The module's file or folder, "" if there is none; found as an import would, which would execute its packages."""
    found, places = "", folders
    for part in module.split("."):
        specs = (finder.find_spec(part, places) for finder in sys.meta_path)
        spec = next(filter(None, specs), None)
        if spec is None:
            return ""
        places = list(spec.submodule_search_locations or ())
        found = spec.origin or ", ".join(places)
    return found


def patching() -> Iterator[Finding]:
    """Does gevent's patch hold here, and what came before it? Patches this process."""
    monkeypatch.patch()
    try:
        monkeypatch.check()
    except BootError as error:
        yield Finding(str(error), "look at .pth files and sitecustomize of this Python for what replaces it")
        return
    if early := monkeypatch.unpatched():
        yield Finding(
            f"imported before gevent's patch, and blocks: {', '.join(early)}",
            "take it out of .pth files and sitecustomize of this Python, or import it in the application",
        )
    else:
        yield Finding("gevent's patch holds, and nothing was imported before it that blocks")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask
