"""Finding the application: what is found, and what is said when it is not."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.options.table.python import PythonOptions
from greenwsgi.wsgi.load_application import load


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def loaded(**options: Any) -> Any:
    return load(dataclasses.replace(PythonOptions(), **options))


SOURCE = """
import sys
def application(environ, start_response): return [b"application"]
def app(environ, start_response): return [b"app"]
def make(word="none", *, loud=False):
    def made(environ, start_response): return [word.upper() if loud else word]
    return made
class Site:
    def handler(environ, start_response): return [b"handler"]
number = 5
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", [b"application"]),
        ("app", [b"app"]),
        ("Site.handler", [b"handler"]),
        ("make()", ["none"]),
        ("make('a', loud=True)", ["A"]),
    ],
)
def test_names_and_factories(project: Path, name: str, expected: list[Any]) -> None:
    (project / "site_one.py").write_text(SOURCE)
    assert loaded(wsgi_file="site_one.py", callable=name)(None, None) == expected
    assert loaded(module=f"site_one:{name}")(None, None) == expected


def test_app_is_the_second_default(project: Path) -> None:
    (project / "only_app.py").write_text("def app(environ, start_response): return [b'app']")
    assert loaded(wsgi_file="only_app.py")(None, None) == [b"app"]


def test_a_file_is_a_module_of_its_own_name_that_pickle_finds(project: Path) -> None:
    (project / "shop.py").write_text("class Thing: pass\ndef app(e, s): return [Thing()]")
    application = loaded(wsgi_file=str(project / "shop.py"))
    assert sys.modules["shop"].__file__ == str(project / "shop.py")
    assert type(pickle.loads(pickle.dumps(application(None, None)[0]))).__name__ == "Thing"


def test_any_extension_will_do(project: Path) -> None:
    (project / "django.wsgi").write_text("def application(e, s): return [b'wsgi']")
    assert loaded(wsgi_file="django.wsgi")(None, None) == [b"wsgi"]


def test_a_file_named_like_a_loaded_module_does_not_take_its_place(project: Path) -> None:
    import json

    (project / "json.py").write_text("def app(e, s): return [b'mine']")
    assert loaded(wsgi_file="json.py")(None, None) == [b"mine"]
    assert sys.modules["json"] is json


def test_neighbours_can_be_imported_from_the_files_folder_the_current_one_and_pythonpath(project: Path) -> None:
    for folder, name in (("site", "beside"), (".", "here"), ("lib", "far")):
        (project / folder).mkdir(exist_ok=True)
        (project / folder / f"{name}_module.py").write_text(f"name = b'{name}'")
    (project / "site" / "main_site.py").write_text(
        "import beside_module, here_module, far_module\n"
        "def app(e, s): return [beside_module.name, here_module.name, far_module.name]"
    )
    assert loaded(wsgi_file="site/main_site.py", pythonpath=("lib",))(None, None) == [b"beside", b"here", b"far"]


def test_the_packages_of_a_virtualenv_come_in(project: Path) -> None:
    packages = project / "env/lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "in_the_env.py").write_text("def app(e, s): return [b'env']")
    (project / "more").mkdir()
    (project / "more" / "by_pth.py").write_text("")
    (packages / "x.pth").write_text(str(project / "more"))
    assert loaded(module="in_the_env:app", virtualenv="env")(None, None) == [b"env"]
    import by_pth  # type: ignore[import-not-found]

    assert by_pth.__file__ == str(project / "more" / "by_pth.py")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "no application: give --wsgi-file FILE or --module"),
        ({"wsgi_file": "nothing.py"}, r"nothing.py: no such file; .* has empty.py, good.py"),
        ({"wsgi_file": "no/such.py"}, r"no such file, and no folder .*/no"),
        ({"wsgi_file": "."}, "is a folder"),
        ({"wsgi_file": "good.py", "callable": "ap"}, "has no 'ap'; callables found: create"),
        ({"wsgi_file": "good.py"}, "neither 'application' nor 'app'; callables found: create"),
        ({"wsgi_file": "good.py", "callable": "number"}, "'number' is of type int, not a callable"),
        ({"wsgi_file": "good.py", "callable": "number()"}, "'number' is of type int, not a factory"),
        ({"wsgi_file": "good.py", "callable": "create(x)"}, "cannot read 'create\\(x\\)'"),
        ({"wsgi_file": "good.py", "callable": "create()"}, "is of type NoneType, not a callable"),
        ({"wsgi_file": "empty.py"}, "no callable was found in it"),
        ({"module": "no_such_package.sub:app"}, "no module named 'no_such_package'"),
        ({"module": "good:nope"}, "has no 'nope'"),
        ({"module": "good", "virtualenv": "nowhere"}, "nowhere: no packages for python3"),
    ],
)
def test_what_is_said_when_it_is_not_there(project: Path, options: dict[str, Any], complaint: str) -> None:
    (project / "good.py").write_text("from os import getcwd\nnumber = 5\ndef create(): pass\n")
    (project / "empty.py").write_text("")
    with pytest.raises(UsageError, match=complaint) as caught:
        loaded(**options)
    assert "\n" not in str(caught.value)


def test_what_the_application_raises_goes_through(project: Path) -> None:
    (project / "broken.py").write_text("import not_installed_here")
    with pytest.raises(ModuleNotFoundError, match="not_installed_here"):
        loaded(wsgi_file="broken.py")
    assert "broken" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="not_installed_here"):
        loaded(module="broken:app")
    (project / "wrong.py").write_text("def (:")
    with pytest.raises(SyntaxError):
        loaded(wsgi_file="wrong.py")
