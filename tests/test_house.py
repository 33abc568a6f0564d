"""The house rules of docs/architecture.md section 1, kept by reading the source: layers, fences, sizes.

The rules are the tables below; every violation names file and line.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "greenwsgi"

LAYERS = (
    "cli -> subcommands -> process | worker"
    " -> serve | api -> wsgi | stats -> config | log | shared -> wire | options -> errors, clock"
)
SIBLINGS_ALLOWED = {("api", "serve")}

HARD_FILE_LINES = 500
HARD_FUNCTION_LINES = 50
TABLES = ("options/table/*",)


@dataclass(frozen=True)
class Fence:
    """`names` (modules, or dotted names in modules) are used nowhere but in the files that match `only_in`."""

    what: str
    names: tuple[str, ...]
    only_in: tuple[str, ...]


FENCES = (
    Fence("gevent", ("gevent", "greenlet"), ("serve/*", "api/*", "worker/*")),
    Fence(
        "sockets",
        ("socket", "_socket", "socketserver"),
        (
            "serve/*",
            "config/external_sources.py",
            "process/listening/binding.py",
            "process/listening/inherited_sockets.py",
            "process/control/control_socket.py",
            "process/control/control_client.py",
            "process/lifecycle/systemd_notify.py",
            "stats/server.py",
            "log/nonblocking_log.py",
            "log/sinks.py",
        ),
    ),
    Fence("ssl (the master stays free of it)", ("ssl", "_ssl"), ("serve/*",)),
    Fence(
        "new processes",
        (
            *("subprocess", "multiprocessing", "pty"),
            *("os.fork*", "os.exec*", "os.spawn*", "os.posix_spawn*", "os.system", "os.popen", "_posixsubprocess"),
        ),
        # greening looks whether subprocess is patched
        (
            *(
                "process/lifecycle/child_processes.py",
                "process/lifecycle/daemonize.py",
                "worker/zygote.py",
                "serve/cgi_programs.py",
                "config/external_sources.py",
            ),
            *("shared/run_command.py", "serve/monkeypatch.py"),
        ),
    ),
    Fence(
        "kill and wait",
        ("os.kill", "os.killpg", "os.wait*", "signal.pidfd_send_signal"),
        (
            *(
                "process/lifecycle/child_processes.py",
                "process/lifecycle/daemonize.py",
                "worker/zygote.py",
                "serve/cgi_programs.py",
                "config/external_sources.py",
            ),
            "shared/run_command.py",
        ),
    ),
    Fence("sys.exit", ("sys.exit", "exit", "quit"), ("cli.py", "__main__.py")),
)


@dataclass(frozen=True)
class Pure:
    """The files that match `room` use none of `names`: bytes or text in, answers out."""

    room: str
    names: tuple[str, ...]


PURE = (
    Pure("wire/*", ("os", "socket", "time", "gevent", "logging", "select", "threading", "selectors", "asyncio")),
    Pure("options/*", ("os", "socket", "time", "gevent", "logging", "threading")),
    Pure("shared/*", ("gevent", "greenlet")),
    Pure("wsgi/*", ("gevent", "greenlet", "socket")),
    Pure("shared/server_view.py", ("greenwsgi.process",)),
    Pure("process/control/status.py", ("greenwsgi.process.supervision",)),
)


# What a source file uses


@dataclass(frozen=True)
class Source:
    """One module of the package; `path` is relative to it, with slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def room(self) -> str:
        """The layer's name it belongs to: the folder, or the module's own name at the top of the package."""
        return self.path.split("/")[0].removesuffix(".py")

    def at(self, line: int, text: str) -> str:
        return f"greenwsgi/{self.path}:{line}: {text}"


def package_sources() -> list[Source]:
    return [
        Source(path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))
    ]


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, wherever in the file; `from a import b` gives `a.b`."""
    package = ["greenwsgi", *source.path.split("/")[:-1]]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            for alias in node.names:
                yield node.lineno, ".".join([*base, *filter(None, [node.module]), alias.name])


def uses(source: Source) -> Iterator[tuple[int, str]]:
    """Line and dotted name of what is imported or reached through an import (`import os as o; o.kill` is os.kill)."""
    known: dict[str, str] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
            known |= {alias.name.split(".")[0]: alias.name.split(".")[0] for alias in node.names if not alias.asname}
    yield from imports(source)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            yield node.lineno, f"{known[node.value.id]}.{node.attr}"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in known:
            yield node.lineno, node.id


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the patterns, or lies in a module that is."""
    return any(fnmatch(name, pattern) or name.startswith(pattern + ".") for pattern in patterns)


def lies_in(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


# The rules


def allowed_rooms() -> dict[str, set[str]]:
    """For every room the rooms that it may import from, itself included, read from LAYERS."""
    allowed: dict[str, set[str]] = {}
    below: set[str] = set()
    for layer in reversed(LAYERS.split(" -> ")):
        together = {room.strip() for room in layer.split(",")} if "," in layer else set()
        rooms = together or {room.strip() for room in layer.split("|")}
        for room in rooms:
            siblings = {other for one, other in SIBLINGS_ALLOWED if one == room}
            allowed[room] = below | together | siblings | {room}
        below |= rooms
    return allowed | {"__main__": below, "__init__": set()}


def layer_violations(source: Source) -> Iterator[str]:
    allowed = allowed_rooms()
    if source.room not in allowed:
        yield source.at(1, f"the room {source.room} is in no layer")
        return
    for line, name in imports(source):
        parts = name.split(".")
        if parts[0] != "greenwsgi":
            continue
        room = parts[1] if len(parts) > 1 else ""
        if room not in allowed[source.room] and room not in ("", "__version__"):  # the package itself is empty
            yield source.at(line, f"{source.room} must not import {name}")


def fence_violations(source: Source) -> Iterator[str]:
    fences = [fence for fence in FENCES if not lies_in(source.path, fence.only_in)]
    rooms = [pure for pure in PURE if fnmatch(source.path, pure.room)]
    for line, name in sorted(set(uses(source))):
        for fence in fences:
            if matches(name, fence.names):
                yield source.at(line, f"{name}: {fence.what} only in {', '.join(fence.only_in)}")
        for pure in rooms:
            if matches(name, pure.names):
                yield source.at(line, f"{name}: never in {pure.room}")


def size_violations(source: Source) -> Iterator[str]:
    if lies_in(source.path, TABLES):
        return
    lines = source.text.count("\n")
    if lines > HARD_FILE_LINES:
        yield source.at(lines, f"{lines} lines, at most {HARD_FILE_LINES}")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > HARD_FUNCTION_LINES:
                yield source.at(node.lineno, f"{node.name} has {length} lines, at most {HARD_FUNCTION_LINES}")


RULES: tuple[Callable[[Source], Iterator[str]], ...] = (layer_violations, fence_violations, size_violations)


@pytest.mark.parametrize("rule", RULES)
def test_package_keeps(rule: Callable[[Source], Iterator[str]]) -> None:
    found = [violation for source in package_sources() for violation in rule(source)]
    assert not found, "\n" + "\n".join(found)


def test_the_rule_is_the_written_one() -> None:
    assert f"```\n{LAYERS}\n```" in (ROOT / "docs/architecture.md").read_text("utf-8")


def module_of(path: str) -> str:
    """The dotted name of the module in this file of the package."""
    return ".".join(["greenwsgi", *path.removesuffix(".py").removesuffix("/__init__").split("/")])


def import_graph(sources: Iterable[Source]) -> dict[str, set[str]]:
    """For each module of the package those that it imports, in functions and under TYPE_CHECKING too."""
    files = {module_of(source.path): source for source in sources}
    graph: dict[str, set[str]] = {}
    for module, source in files.items():
        names = {name for _, name in imports(source)}
        found = {name if name in files else name.rpartition(".")[0] for name in names}
        graph[module] = found & files.keys() - {module}
    return graph


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter(import_graph(package_sources())).prepare()


def test_a_circle_is_found() -> None:
    sources = [
        Source("serve/a.py", "from greenwsgi.serve.b import B"),
        Source("serve/b.py", "if TYPE_CHECKING:\n    from greenwsgi.wire import c"),
        Source("wire/c.py", "def f():\n    import greenwsgi.serve.a"),
    ]
    with pytest.raises(CycleError) as caught:
        TopologicalSorter(import_graph(sources)).prepare()
    assert set(caught.value.args[1]) == {"greenwsgi.serve.a", "greenwsgi.serve.b", "greenwsgi.wire.c"}


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for source in package_sources():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(source.path)
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_every_package_has_its_init() -> None:
    """find: packages would leave a folder without one out of the wheel."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


# The rules bite


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("wire/http1.py", "from greenwsgi.log import server_log", "wire must not import greenwsgi.log.server_log"),
        ("wire/http1.py", "def f():\n    from ..wsgi import environ", "wire must not import greenwsgi.wsgi.environ"),
        (
            "worker/zygote.py",
            "import greenwsgi.process.lifecycle.child_processes",
            "worker must not import greenwsgi.process.lifecycle.child_processes",
        ),
        ("serve/x.py", "from greenwsgi import api", "serve must not import greenwsgi.api"),
        ("cellar/x.py", "", "the room cellar is in no layer"),
        ("__init__.py", "from greenwsgi import errors", "__init__ must not import greenwsgi.errors"),
        ("process/supervision/master.py", "import gevent.socket", "gevent.socket: gevent only in"),
        ("process/supervision/master.py", "from socket import socket", "socket.socket: sockets only in"),
        ("cli.py", "def f():\n    import ssl", "ssl: ssl (the master stays free of it) only in"),
        ("process/supervision/master.py", "import os as o\no.kill(1, 9)", "os.kill: kill and wait only in"),
        ("process/supervision/master.py", "from os import waitpid", "os.waitpid: kill and wait only in"),
        ("serve/stream.py", "import subprocess", "subprocess: new processes only in"),
        ("worker/worker.py", "import os\nos.fork()", "os.fork: new processes only in"),
        ("process/supervision/master.py", "import sys\nsys.exit(1)", "sys.exit: sys.exit only in"),
        ("worker/worker.py", "exit(1)", "exit: sys.exit only in"),
        ("wire/http1.py", "import time", "time: never in wire/*"),
        ("options/value_kinds.py", "from os import path", "os.path: never in options/*"),
        ("wsgi/wsgi_input.py", "def f():\n" + "    x = 1\n" * 50, "f has 51 lines, at most 50"),
        ("wsgi/wsgi_input.py", "x = 1\n" * 501, "501 lines, at most 500"),
    ],
)
def test_a_violation_is_found(path: str, text: str, expected: str) -> None:
    source = Source(path, text)
    found = [violation for rule in RULES for violation in rule(source)]
    assert len(found) == 1, found
    assert found[0].startswith(f"greenwsgi/{path}:")
    assert expected in found[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("api/locks.py", "from greenwsgi.serve import stream"),
        ("errors.py", "from greenwsgi.clock import Clock"),
        ("cli.py", "import greenwsgi\nfrom greenwsgi import __version__\nimport sys\nsys.exit(0)"),
        ("__main__.py", "from greenwsgi.cli import main"),
        ("serve/stream.py", "import gevent, socket, ssl"),
        ("worker/zygote.py", "import os\nos.fork()\nos.waitid(os.P_ALL, 0, os.WNOWAIT)"),
        ("log/server_log.py", "import os\nos.write(2, b'')"),
        ("wire/body_framing.py", "timeout = 1\nprint(timeout)"),
        ("options/table/limits.py", "x = 1\n" * 501),
        ("wsgi/wsgi_input.py", "def f():\n" + "    x = 1\n" * 49),
    ],
)
def test_what_is_allowed_passes(path: str, text: str) -> None:
    source = Source(path, text)
    assert [violation for rule in RULES for violation in rule(source)] == []
