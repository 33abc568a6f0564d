"""Finds the application: a file or a module, and the callable in it."""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from greenwsgi.errors import Origin, UsageError
from greenwsgi.wsgi.types import Application

if TYPE_CHECKING:
    from greenwsgi.options.table.python import PythonOptions

Module = types.ModuleType


def _go_on() -> None:
    """Do nothing."""


after_application: Callable[[], None] = _go_on
"""Called each time code of the application has returned; the process may end in it (serve/fork_hook.py)."""

_DEFAULT_NAMES = ("application", "app")


def load(python: PythonOptions) -> Application:
    """Import the application that the options name, and return its callable.

    Raises UsageError, one line that says what was found instead, when what the options name does not exist. What the
    application raises during its import passes unchanged.
    """
    extend_path(python)
    if python.wsgi_file:
        path = os.path.abspath(python.wsgi_file)
        return _pick(import_file(path), python.callable, f"wsgi-file {python.wsgi_file}")
    name, _, expression = python.module.partition(":")
    if not name:
        raise UsageError("no application: give --wsgi-file FILE or --module PACKAGE.MODULE:NAME")
    return _pick(_import_module(name), expression or python.callable, f"module {name}")


def extend_path(python: PythonOptions) -> None:
    """Put on sys.path, in this order: the file's folder, the current one, each `pythonpath`, the virtualenv."""
    wanted = [os.path.dirname(os.path.abspath(python.wsgi_file))] if python.wsgi_file else []
    with suppress(OSError):  # it was deleted
        wanted.append(os.getcwd())
    wanted += [os.path.abspath(path) for path in python.pythonpath]
    if python.virtualenv:
        wanted.append(_site_packages(python.virtualenv))
    sys.path[:0] = [path for path in dict.fromkeys(wanted) if path not in sys.path]


def _site_packages(home: str) -> str:
    """The folder of `home` with packages for this Python; its .pth files are processed."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path = os.path.join(os.path.abspath(home), "lib", version, "site-packages")
    if not os.path.isdir(path):
        try:
            found = sorted(n for n in os.listdir(os.path.join(home, "lib")) if n.startswith("python"))
        except OSError:
            found = []
        has = f"it has {', '.join(found)}" if found else "it is not a virtual environment"
        raise UsageError(f"virtualenv {home}: no packages for {version} there; {has}", Origin("virtualenv"))
    import site

    before = list(sys.path)
    site.addsitedir(path)
    added = [entry for entry in sys.path if entry not in before and entry != path]
    sys.path[:] = [entry for entry in sys.path if entry in before]
    sys.path[:0] = added
    os.environ.setdefault("VIRTUAL_ENV", os.path.abspath(home))
    return path


def import_file(path: str, option: str = "wsgi-file") -> Module:
    """Import a file, whatever its extension, as a module named like it, so that pickle and Flask's root_path work."""
    if not os.path.isfile(path):
        raise UsageError(f"{option} {path}: {_instead(path)}")
    name = os.path.splitext(os.path.basename(path))[0]
    while name in sys.modules:  # an application must not replace a module that others use
        name = f"wsgi_file_{name}"
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    after_application()
    return module


def import_named(name: str) -> Module:
    """importlib's import_module, for the application's modules."""
    module = importlib.import_module(name)
    after_application()
    return module


def _instead(path: str) -> str:
    if os.path.isdir(path):
        return "is a folder, not a file"
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f"no such file, and no folder {folder}"
    found = sorted(name for name in os.listdir(folder) if name.endswith((".py", ".wsgi")))[:5]
    return "no such file" + (f"; {folder} has {', '.join(found)}" if found else f"; {folder} has no Python file")


def _import_module(name: str) -> Module:
    try:
        return import_named(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(f"module {name}: no module named {error.name!r} on the path: {_path_text()}") from None
        raise  # the application imports a module that is missing: its traceback says where


def _path_text() -> str:
    return ", ".join(sys.path[:3]) + (", ..." if len(sys.path) > 3 else "")


def _pick(module: Module, expression: str, where: str) -> Application:
    """The callable that `expression` names in the module: `name`, `name.attribute`, or `factory(literals)`."""
    if not expression:
        expression = next((name for name in _DEFAULT_NAMES if hasattr(module, name)), "")
        if not expression:
            raise UsageError(f"{where} has neither 'application' nor 'app'; {_callables(module)}")
    target, call = _parse(expression, where)
    found: Any = module
    for part in target.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{where} has no {target!r}; {_callables(module)}")
        found = getattr(found, part)
    if call is not None:
        if not callable(found):
            raise UsageError(f"{where}: {target!r} is of type {type(found).__name__}, not a factory")
        found = found(*call[0], **call[1])
        after_application()
    if not callable(found):
        raise UsageError(
            f"{where}: {expression!r} is of type {type(found).__name__}, not a callable; {_callables(module)}"
        )
    application: Application = found
    return application


def _parse(expression: str, where: str) -> tuple[str, tuple[list[Any], dict[str, Any]] | None]:
    """Split `factory(1, x='y')` into its name and its arguments, which must be literals; None for no call."""
    if "(" not in expression:
        return expression.strip(), None
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        if not isinstance(tree, ast.Call) or not isinstance(tree.func, (ast.Name, ast.Attribute)):
            raise ValueError("not a call")
        positional = [ast.literal_eval(argument) for argument in tree.args]
        named = {argument.arg or "": ast.literal_eval(argument.value) for argument in tree.keywords}
    except (SyntaxError, ValueError):
        raise UsageError(f"{where}: cannot read {expression!r}; write name, factory() or factory('literal')") from None
    return ast.unparse(tree.func), (positional, named)


def _callables(module: Module) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    return f"callables found: {', '.join(sorted(own)[:8])}" if own else "no callable was found in it"
