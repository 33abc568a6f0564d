"""All that is imported for the options: other names of modules, modules to import first, the applications of mounts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from greenwsgi.errors import Origin, UsageError
from greenwsgi.wsgi import load_application
from greenwsgi.wsgi.types import Application, Environ, StartResponse

if TYPE_CHECKING:
    from greenwsgi.options.table.python import PythonOptions


def load(python: PythonOptions, *, needed: bool = True) -> Application:
    """Import what the options name, in uWSGI's order, and return what answers requests. Raises as loader.load does.

    Where no application is named and none is needed, what is returned answers 404.
    """
    load_application.extend_path(python)
    for pair in python.pymodule_alias:
        name, _, target = pair.partition("=")
        sys.modules[name] = _imported(target, "pymodule-alias")
    for target in python.import_:
        _imported(target, "import")
    named = python.wsgi_file or python.module
    application = _mounted(python) if python.mount or not (named or needed) else load_application.load(python)
    if python.chdir2:
        try:
            os.chdir(python.chdir2)
        except OSError as error:
            raise UsageError(f"chdir2 {python.chdir2}: {error.strerror}") from None
    return application


def _imported(target: str, option: str) -> load_application.Module:
    """A module by its name, or a file, as uWSGI tells them apart. Raises UsageError if there is none."""
    if "/" in target or target.endswith(".py"):
        return load_application.import_file(os.path.abspath(target), option)
    try:
        return load_application.import_named(target)
    except ModuleNotFoundError as error:
        if error.name and (target == error.name or target.startswith(error.name + ".")):
            raise UsageError(f"{option} {target}: no module named {error.name!r}", Origin(option)) from None
        raise


# Mounts


def _mounted(python: PythonOptions) -> Application:
    """The applications of `mount`, one loaded once however often it is mounted, and the default one behind them."""
    loaded: dict[str, Application] = {}
    mounted: dict[str, Application] = {}
    for pair in python.mount:
        point, _, target = pair.partition("=")
        if target not in loaded:
            loaded[target] = load_application.load(_named(python, target))
        mounted.setdefault(point.rstrip("/"), loaded[target])
    if python.wsgi_file or python.module:
        mounted.setdefault("", load_application.load(python))
    return Mounts(mounted, manage=python.manage_script_name, default=not python.no_default_app)


def _named(python: PythonOptions, target: str) -> PythonOptions:
    """The options that load what a mount names: FILE, FILE:NAME, MODULE or MODULE:NAME."""
    file, _, name = target.partition(":")
    if "/" in file or file.endswith((".py", ".wsgi")):
        return replace(python, wsgi_file=file, module="", callable=name or python.callable)
    return replace(python, wsgi_file="", module=target)


class Mounts:
    """A WSGI application that passes each request on to the one that is mounted where it goes.

    As under uWSGI that is said by SCRIPT_NAME, which the web server sets. With `manage` it is the longest mount that
    PATH_INFO begins with, by whole segments, and that part moves to SCRIPT_NAME. What fits no mount goes to the one at
    "" (written `/`), unless not `default`; if there is none it is answered 404.
    """

    def __init__(self, applications: Mapping[str, Application], *, manage: bool, default: bool) -> None:
        mounted = [(point, one) for point, one in applications.items() if point]
        # The longest point first: it is the one that counts.
        self._applications = dict(sorted(mounted, key=lambda one: -len(one[0])))
        self._manage = manage
        self._default = applications.get("") if default else None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        application = self._managed(environ) if self._manage else None
        application = application or self._applications.get(environ.get("SCRIPT_NAME", "").rstrip("/"), self._default)
        if application is None:
            body = b"no application is mounted here\n"
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
            return [body]
        return application(environ, start_response)

    def _managed(self, environ: Environ) -> Application | None:
        """The application whose mount PATH_INFO begins with, which moves to SCRIPT_NAME."""
        path = environ.get("PATH_INFO", "")
        for point, application in self._applications.items():
            end = len(point)
            if path.startswith(point) and path[end : end + 1] in ("", "/"):
                environ["SCRIPT_NAME"], environ["PATH_INFO"] = point, path[end:]
                return application
        return None
