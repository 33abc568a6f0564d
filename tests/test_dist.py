"""The sdist and the wheel, built as pip builds them, looked into, installed and run; without a network."""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from greenwsgi import __version__
from tests.live.server import Server

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = (".*", "build", "dist", "*.egg-info", "__pycache__", "htmlcov")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one wheel and one sdist, the wheel made from the sdist."""
    tree, out = tmp_path_factory.mktemp("tree") / "greenwsgi", tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def sources() -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / "greenwsgi").rglob("*.py")}


def test_wheel_needs_no_compiler(wheel: Path) -> None:
    assert wheel.name == f"greenwsgi-{__version__}-py3-none-any.whl"


def test_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == sources() | {"greenwsgi/py.typed"}


def test_wheel_metadata(wheel: Path) -> None:
    info = f"greenwsgi-{__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
        scripts = archive.read(f"{info}/entry_points.txt").decode()
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert metadata["Requires-Python"] == ">=3.11"
    required = {line.split(">")[0].strip() for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert required == {"gevent", "greenlet", "setproctitle", "PyYAML"}
    assert "greenwsgi = greenwsgi.cli:main" in scripts


def test_sdist_holds_what_the_readme_names(built: Path) -> None:
    (found,) = built.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    named = {"README.md", "CHANGES.md", "LICENSE", "Makefile", "conf/nginx.conf", "conf/greenwsgi.ini"}
    named |= {"examples/flaskapp.py", "examples/longpoll.py", "docs/architecture.md", "tests/test_dist.py"}
    assert named | sources() <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_installed_wheel_serves(wheel: Path, tmp_path: Path) -> None:
    """In a fresh virtual environment; the dependencies are lent by this one, so that no network is needed."""
    fresh = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(fresh)], check=True)
    python = fresh / "bin/python"
    install = ["install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    folder = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    Path(folder.strip(), "lent.pth").write_text(sysconfig.get_path("platlib") + "\n")

    version = subprocess.check_output([fresh / "bin/greenwsgi", "--version"], text=True, cwd=tmp_path)
    assert version.strip().endswith(__version__)
    with Server(command=[str(fresh / "bin/greenwsgi")], env={"PYTHONPATH": ""}) as server:
        assert server.get("/").text == "hello"
