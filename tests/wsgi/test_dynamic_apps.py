"""dynamic-apps: the request's variables name the application."""

from __future__ import annotations

import os
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.options.table.python import PythonOptions
from greenwsgi.wire import uwsgi
from greenwsgi.wire.cgi_connection import COMMANDS
from greenwsgi.wsgi.dynamic_apps import DynamicApps
from tests.wire.cases.uwsgi_packets import block


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def default(environ: Any, start_response: Any) -> Any:
    return [b"default"]


SOURCE = """
loads = []
def application(environ, start_response): return [b"{name}", b"%d" % len(loads)]
def other(environ, start_response): return [b"other"]
loads.append(1)
"""


@pytest.mark.parametrize(
    ("variables", "answer"),
    [
        ({}, [b"default"]),
        ({"UWSGI_FILE": "dyn_file.py"}, [b"file", b"1"]),
        ({"UWSGI_FILE": "dyn_file.py", "UWSGI_CALLABLE": "other"}, [b"other"]),
        ({"UWSGI_SCRIPT": "dyn_module:other"}, [b"other"]),
        ({"UWSGI_MODULE": "dyn_module"}, [b"module", b"1"]),
        ({"UWSGI_MODULE": "dyn_module", "UWSGI_CALLABLE": "other"}, [b"other"]),
    ],
)
def test_which_application(project: Path, variables: dict[str, str], answer: list[bytes]) -> None:
    (project / "dyn_file.py").write_text(SOURCE.format(name="file"))
    (project / "dyn_module.py").write_text(SOURCE.format(name="module"))
    apps = DynamicApps(default, PythonOptions())
    for _ in range(2):  # loaded once
        assert apps(dict(variables), lambda *_: lambda data: None) == answer


class Arriving(dict[str, str]):
    """Variables that tell when somebody looks for their application."""

    def __init__(self, arrived: threading.Event, **variables: str) -> None:
        super().__init__(variables)
        self._arrived = arrived

    def get(self, name: str, default: Any = None) -> Any:
        if name == "SCRIPT_NAME":
            self._arrived.set()
        return super().get(name, default)


def test_two_requests_at_once_load_their_application_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that waits for something lets other requests run meanwhile."""
    gate: Any = types.ModuleType("dyn_gate")
    gate.loads, gate.entered, gate.second = [], threading.Event(), threading.Event()
    monkeypatch.setitem(sys.modules, "dyn_gate", gate)
    (project / "dyn_slow.py").write_text(
        "import dyn_gate\n"
        "dyn_gate.loads.append(1)\n"
        "dyn_gate.entered.set()\n"
        "dyn_gate.second.wait(30)\n"
        "def application(environ, start_response): return [b'slow']\n"
    )
    apps, answers = DynamicApps(default, PythonOptions()), []

    def ask(arrived: threading.Event) -> None:
        answers.append(apps(Arriving(arrived, UWSGI_FILE="dyn_slow.py"), lambda *_: lambda data: None))

    threads = [threading.Thread(target=ask, args=[arrived]) for arrived in (threading.Event(), gate.second)]
    threads[0].start()
    assert gate.entered.wait(30)
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert answers == [[b"slow"]] * 2
    assert gate.loads == [1]


def test_what_cannot_be_loaded_is_that_requests_error(project: Path) -> None:
    apps = DynamicApps(default, PythonOptions())
    with pytest.raises(UsageError, match=r"nothing\.py"):
        apps({"UWSGI_FILE": "nothing.py"}, lambda *_: lambda data: None)
    assert apps({}, lambda *_: lambda data: None) == [b"default"]


def test_setenv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMIC_NAME", "before")
    DynamicApps(default, PythonOptions())({"UWSGI_SETENV": "DYNAMIC_NAME=a=b"}, lambda *_: lambda data: None)
    assert os.environ["DYNAMIC_NAME"] == "a=b"


def test_only_the_option_lets_the_variables_in() -> None:
    packed = block(("UWSGI_FILE", "x.py"), ("PATH_INFO", "/"), ("wsgi.input", "x"))
    assert uwsgi.parse_block(packed, 9) == {"PATH_INFO": "/"}
    assert uwsgi.careful_block(packed, 9, COMMANDS) == {"UWSGI_FILE": "x.py", "PATH_INFO": "/"}
    assert uwsgi.parse_block(packed, 9) == {"PATH_INFO": "/"}  # and nothing was remembered of it
