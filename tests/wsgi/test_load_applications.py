"""Mounts, and what is imported besides the application."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.table.python import PythonOptions
from greenwsgi.wsgi.load_applications import Mounts, load
from greenwsgi.wsgi.types import Application, Environ, StartResponse

SOURCE = """
NAME = {name!r}
LOADED = []
LOADED.append(1)
def application(environ, start_response):
    return [NAME.encode(), environ["SCRIPT_NAME"].encode(), environ["PATH_INFO"].encode()]
def other(environ, start_response):
    return [b"other", environ["SCRIPT_NAME"].encode(), environ["PATH_INFO"].encode()]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    for folder in ("shop", "blog", "wiki"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "wsgi.py").write_text(SOURCE.format(name=folder))
    (tmp_path / "plain_site.py").write_text(SOURCE.format(name="plain"))
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def ask(application: Application, path: str, script: str = "") -> tuple[str, ...]:
    """What the application answers: its name, the SCRIPT_NAME and PATH_INFO that it saw; or a status."""
    statuses: list[str] = []

    def start_response(status: str, headers: Any, error: Any = None) -> Any:
        statuses.append(status)

    body = list(application({"SCRIPT_NAME": script, "PATH_INFO": path}, start_response))
    return tuple(statuses) or tuple(part.decode() for part in body)


MOUNTS = ("/=shop/wsgi.py", "/blog=blog/wsgi.py", "/blog/old=wiki/wsgi.py:other", "/plain/=plain_site:other")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("shop", "", "/")),
        ("/cart", ("shop", "", "/cart")),
        ("", ("shop", "", "")),
        ("*", ("shop", "", "*")),
        ("/blog", ("blog", "/blog", "")),
        ("/blog/", ("blog", "/blog", "/")),
        ("/blog/2026/11", ("blog", "/blog", "/2026/11")),
        ("/blogger", ("shop", "", "/blogger")),
        ("/blog/old", ("other", "/blog/old", "")),
        ("/blog/old/x", ("other", "/blog/old", "/x")),
        ("/blog/older", ("blog", "/blog", "/older")),
        ("//blog", ("shop", "", "//blog")),
        ("/plain/x", ("other", "/plain", "/x")),
    ],
)
def test_mounts_by_path(path: str, expected: tuple[str, ...]) -> None:
    assert ask(load(replace(PythonOptions(), mount=MOUNTS, manage_script_name=True)), path) == expected


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("script", "path", "expected"),
    [
        ("", "/blog/x", ("shop", "", "/blog/x")),
        ("/blog", "/x", ("blog", "/blog", "/x")),
        ("/blog/", "/x", ("blog", "/blog/", "/x")),
        ("/wiki", "/x", ("shop", "/wiki", "/x")),
    ],
)
def test_mounts_by_script_name(script: str, path: str, expected: tuple[str, ...]) -> None:
    assert ask(load(replace(PythonOptions(), mount=MOUNTS)), path, script) == expected


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"mount": ("/blog=blog/wsgi.py",)}, ("404 Not Found",)),
        ({"mount": ("/blog=blog/wsgi.py",), "module": "plain_site"}, ("plain", "", "/x")),
        ({"mount": ("=blog/wsgi.py",), "module": "plain_site"}, ("blog", "", "/x")),
        ({"mount": ("/blog=blog/wsgi.py",), "module": "plain_site", "no_default_app": True}, ("404 Not Found",)),
    ],
)
def test_what_fits_no_mount(options: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert ask(load(replace(PythonOptions(), manage_script_name=True, **options)), "/x") == expected


def test_an_application_that_is_mounted_twice_is_loaded_once(project: Path) -> None:
    mounts: Any = load(replace(PythonOptions(), mount=("/a=shop/wsgi.py", "/b=shop/wsgi.py"), manage_script_name=True))
    assert isinstance(mounts, Mounts)
    assert ask(mounts, "/a/x") == ("shop", "/a", "/x")
    assert [m.LOADED for m in list(sys.modules.values()) if getattr(m, "NAME", "") == "shop"] == [[1]]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("target", ["gone/wsgi.py", "gone_module", "plain_site:gone"])
def test_a_mount_of_nothing(target: str) -> None:
    with pytest.raises(UsageError, match="gone"):
        load(replace(PythonOptions(), mount=(f"/x={target}",)))


@pytest.mark.parametrize("text", ["blog=app.py", "/blog", "/blog=", "", "host|/x=app.py"])
def test_what_is_no_mount(text: str) -> None:
    entry = OPTIONS.find("mount")
    assert entry
    with pytest.raises(ValueError):  # noqa: PT011 - its text is for nobody
        entry.option.read(text)


def test_imports_come_before_the_application_and_in_their_order(project: Path) -> None:
    (project / "first.py").write_text("import builtins; builtins.order = ['first']")
    (project / "second.py").write_text("order.append('second')")
    (project / "site_app.py").write_text(
        "order.append('application')\ndef application(environ, start_response): return [repr(order).encode()]"
    )
    application = load(replace(PythonOptions(), import_=("first", "second.py"), module="site_app"))
    assert ask(application, "/") == ("['first', 'second', 'application']",)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"import_": ("gone",)}, "import: import gone: no module named 'gone'"),
        ({"import_": ("./gone.py",)}, "import .*gone.py: no such file"),
        ({"pymodule_alias": ("a=gone",)}, "pymodule-alias: pymodule-alias gone: no module named 'gone'"),
        ({"chdir2": "/gone"}, "chdir2 /gone: No such file or directory"),
    ],
)
def test_what_is_not_there(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        load(replace(PythonOptions(), module="plain_site", **options))


def test_what_an_import_raises_goes_through(project: Path) -> None:
    (project / "broken.py").write_text("import not_there")
    with pytest.raises(ModuleNotFoundError, match="not_there"):
        load(replace(PythonOptions(), import_=("broken",), module="plain_site"))


def test_an_alias_is_another_name_of_a_module(project: Path) -> None:
    (project / "site_app.py").write_text("import spare\nfrom spare import other as application")
    application = load(replace(PythonOptions(), pymodule_alias=("spare=blog/wsgi.py",), module="site_app"))
    assert ask(application, "/x") == ("other", "", "/x")


def test_chdir2_comes_after_the_import(project: Path) -> None:
    (project / "site_app.py").write_text("import os; here = os.getcwd()\ndef application(e, s): return [here.encode()]")
    application = load(replace(PythonOptions(), chdir2="shop", module="site_app"))
    assert ask(application, "/") == (str(project),)
    assert os.getcwd() == str(project / "shop")


def nobody(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return []


class Counting(str):
    """Counts how many characters are cut out of it."""

    cut = 0

    def __getitem__(self, at: Any) -> Counting:
        piece = Counting(super().__getitem__(at))
        Counting.cut += len(piece)
        return piece


@pytest.mark.parametrize("path", ["/" * 60_000, "/a" * 30_000, "/shop" + "/" * 60_000], ids=["slashes", "deep", "fits"])
def test_a_path_of_many_segments_costs_what_a_long_one_does(path: str) -> None:
    Counting.cut = 0
    mounts = Mounts({"/shop": nobody, "/blog": nobody}, manage=True, default=True)
    mounts({"PATH_INFO": Counting(path)}, lambda *_: print)
    assert Counting.cut <= len(path)


def test_mounts_leave_a_request_alone_that_fits_none() -> None:
    environ: Environ = {"PATH_INFO": "/x", "SCRIPT_NAME": "/given"}
    Mounts({"": nobody}, manage=True, default=True)(environ, lambda *_: print)
    assert environ == {"PATH_INFO": "/x", "SCRIPT_NAME": "/given"}
