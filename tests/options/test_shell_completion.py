"""Completion by the shells themselves, and the manual page by its own readers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.help import working
from greenwsgi.options.manpage import manpage
from greenwsgi.options.shell_completion import bash, zsh

SUBCOMMANDS = {"reload": "Load it: anew.", "options": "Tell of options."}


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@needs("bash")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("greenwsgi --harakiri-v", ["--harakiri-verbose"]),
        ("greenwsgi rel", ["reload", "release.py"]),
        ("greenwsgi --strict rel", ["release.py"]),
        ("greenwsgi --protocol ht", ["http"]),
        ("greenwsgi --protocol = ht", ["http"]),
        ("greenwsgi --wsgi-file rel", ["release.py"]),
        ("greenwsgi -w rel", []),
        ("greenwsgi --chdir fol", ["folder"]),
    ],
)
def test_bash_completes(line: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "release.py").touch()
    (tmp_path / "folder").mkdir()
    words = line.split()
    script = f"{bash(SUBCOMMANDS)}\nCOMP_WORDS=({line}) COMP_CWORD={len(words) - 1}\n_greenwsgi\n"
    script += 'printf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-uc", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert (sorted(done.stdout.split()), done.stderr) == (sorted(expected), "")


@needs("bash")
def test_bash_offers_every_option_that_does_something() -> None:
    script = f"{bash({})}\nCOMP_WORDS=(greenwsgi --) COMP_CWORD=1\n_greenwsgi\n" + 'printf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) == {f"--{n}" for one in OPTIONS if working(one) for n in one.option.names}


def test_zsh_has_every_option_that_does_something() -> None:
    script = zsh(SUBCOMMANDS)
    assert "'reload:Load it: anew.'" in script
    assert [n for one in OPTIONS if working(one) for n in one.option.names if f"'*--{n}" not in script] == []


@needs("zsh")
def test_zsh_understands_its_script() -> None:
    done = subprocess.run(["zsh", "-n"], input=zsh(SUBCOMMANDS), check=True, capture_output=True, text=True)
    assert done.stderr == ""


@needs("man")
def test_the_manual_page_is_read_without_a_complaint() -> None:
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-"]
    done = subprocess.run(command, input=manpage("1.0", SUBCOMMANDS), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "-p, --processes, --workers N" in done.stdout
    assert "Run this many worker processes; auto: one per usable CPU. The default is 1." in " ".join(
        done.stdout.split()
    )
