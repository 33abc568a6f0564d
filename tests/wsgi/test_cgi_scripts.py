"""From a path to the program that answers it, and never out of the folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.table.cgi import CgiOptions
from greenwsgi.wsgi.cgi_scripts import NotServed, Scripts

ORIGIN = Origin("app.ini", 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "cgi"
    (root / "deep" / "down").mkdir(parents=True)
    for name in ("x.sh", "index.sh", "deep/y.sh", "deep/down/z.sh", "caf\xe9.sh", "two words.sh"):
        program(root / name)
    (root / "data.txt").write_text("x")
    program(tmp_path / "outside.sh")
    (root / "out.sh").symlink_to(tmp_path / "outside.sh")
    (root / "in.sh").symlink_to("x.sh")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    return root


def program(path: Path) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def scripts(folder: Path, mount: str = "/cgi-bin=", **options: Any) -> Scripts:
    return Scripts(CgiOptions(cgi=(f"{mount}{folder}",), **options), ORIGIN)


@pytest.mark.parametrize(
    ("path", "file", "script_name", "path_info"),
    [
        ("/cgi-bin/x.sh", "x.sh", "/cgi-bin/x.sh", ""),
        ("/cgi-bin/x.sh/", "x.sh", "/cgi-bin/x.sh", "/"),
        ("/cgi-bin/x.sh/more//path", "x.sh", "/cgi-bin/x.sh", "/more//path"),
        ("/cgi-bin/x.sh/..a/.b/c../...", "x.sh", "/cgi-bin/x.sh", "/..a/.b/c../..."),
        ("/cgi-bin/x.sh/..;/..\\..", "x.sh", "/cgi-bin/x.sh", "/..;/..\\.."),
        ("/cgi-bin/x.sh/%2e%2e/b", "x.sh", "/cgi-bin/x.sh", "/%2e%2e/b"),
        ("/cgi-bin//x.sh", "x.sh", "/cgi-bin//x.sh", ""),
        ("/cgi-bin/deep/y.sh/p", "deep/y.sh", "/cgi-bin/deep/y.sh", "/p"),
        ("/cgi-bin/deep//down/z.sh", "deep/down/z.sh", "/cgi-bin/deep//down/z.sh", ""),
        ("/cgi-bin/in.sh/p", "x.sh", "/cgi-bin/in.sh", "/p"),
        ("/cgi-bin/caf\xc3\xa9.sh", "caf\xe9.sh", "/cgi-bin/caf\xc3\xa9.sh", ""),
        ("/cgi-bin/two words.sh", "two words.sh", "/cgi-bin/two words.sh", ""),
    ],
)
def test_a_program(folder: Path, path: str, file: str, script_name: str, path_info: str) -> None:
    found = scripts(folder).script(path)
    assert found.file == os.fsencode(folder / file)
    assert (found.script_name, found.path_info) == (script_name, path_info)
    assert found.command == (found.file,)
    assert found.folder == os.fsencode(folder)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/cgi-bin", "403"),
        ("/cgi-bin/", "403"),
        ("/cgi-bin/deep", "403"),
        ("/cgi-bin/none.sh", "404"),
        ("/cgi-bin/x.shx", "404"),
        ("/cgi-bin/../cgi/x.sh", "404"),
        ("/cgi-bin/./x.sh", "404"),
        ("/cgi-bin/deep/../x.sh", "404"),
        ("/cgi-bin/..", "404"),
        ("/cgi-bin/x.sh/../../etc/passwd", "404"),
        ("/cgi-bin/x.sh/..", "404"),
        ("/cgi-bin/x.sh/a/./b", "404"),
        ("/cgi-bin/x.sh//../b", "404"),
        ("/cgi-bin/x.sh/a/..", "404"),
        ("/cgi-bin/x.sh\0", "404"),
        ("/cgi-bin/" + "x" * 300, "404"),
        ("/cgi-bin/" + "d/" * 5000, "404"),
        ("/cgi-bin/loop", "404"),
        ("/cgi-bin/data.txt", "403"),
        ("/cgi-bin/pipe", "403"),
        ("/cgi-bin/out.sh", "403"),
        ("/cgi-bin/up/outside.sh", "403"),
        ("/cgi-bin/up/cgi/x.sh", ""),  # it leads out, and in again
    ],
)
def test_no_program(folder: Path, path: str, status: str) -> None:
    found = scripts(folder)
    assert found.mounted(path)
    if not status:
        assert found.script(path).file == os.fsencode(folder / "x.sh")
        return
    with pytest.raises(NotServed) as caught:
        found.script(path)
    assert caught.value.status[:3] == status


@pytest.mark.parametrize("path", ["", "/", "/cgi-binx", "/cgi", "/other/cgi-bin/x.sh"])
def test_what_is_not_ours(folder: Path, path: str) -> None:
    assert not scripts(folder).mounted(path)


def test_a_folder_for_every_path(folder: Path) -> None:
    found = scripts(folder, mount="")
    assert found.mounted("/")
    assert found.mounted("")
    one = found.script("/x.sh/p", above="/app")
    assert (one.script_name, one.path_info) == ("/app/x.sh", "/p")


def test_one_program_for_all_below(folder: Path) -> None:
    found = scripts(folder / "x.sh", mount="/tool=")
    for path in ("/tool", "/tool/", "/tool/a/b"):
        one = found.script(path)
        assert (one.file, one.script_name, one.path_info) == (os.fsencode(folder / "x.sh"), "/tool", path[5:])
        assert one.folder == os.fsencode(folder)


def test_the_longest_mount_counts(folder: Path) -> None:
    found = Scripts(CgiOptions(cgi=(f"{folder}", f"/a/b={folder}/deep", f"/a={folder}/deep/down")), ORIGIN)
    assert found.script("/x.sh").script_name == "/x.sh"
    assert found.script("/a/z.sh").file.endswith(b"/deep/down/z.sh")
    assert found.script("/a/b/y.sh").file.endswith(b"/deep/y.sh")


def test_an_index(folder: Path) -> None:
    found = scripts(folder, cgi_index=("none.sh", "index.sh"))
    for path in ("/cgi-bin", "/cgi-bin/"):
        one = found.script(path)
        assert (one.file, one.script_name, one.path_info) == (os.fsencode(folder / "index.sh"), "/cgi-bin/index.sh", "")
    with pytest.raises(NotServed, match="404"):
        found.script("/cgi-bin/deep/")


def test_only_some_endings(folder: Path) -> None:
    found = scripts(folder, cgi_allowed_ext=(".cgi", ".txt"))
    with pytest.raises(NotServed, match="does not end as cgi-allowed-ext says"):
        found.script("/cgi-bin/x.sh")
    with pytest.raises(NotServed, match="is not executable, and has no cgi-helper"):
        found.script("/cgi-bin/data.txt")


def test_a_helper(folder: Path) -> None:
    found = scripts(folder, cgi_helper=((".txt", "python3 -I -u"),))
    one = found.script("/cgi-bin/data.txt/p")
    assert one.command == (b"python3", b"-I", b"-u", os.fsencode(folder / "data.txt"))
    assert found.script("/cgi-bin/x.sh").command == (os.fsencode(folder / "x.sh"),)


def test_a_safe_folder(folder: Path) -> None:
    found = scripts(folder, cgi_safe=(str(folder.parent),))
    assert found.script("/cgi-bin/out.sh").file == os.fsencode(folder.parent / "outside.sh")


def test_a_folder_whose_name_begins_the_same_is_another(folder: Path) -> None:
    beside = folder.parent / "cgi2"
    beside.mkdir()
    program(beside / "w.sh")
    (folder / "w.sh").symlink_to(beside / "w.sh")
    with pytest.raises(NotServed, match="leads out of its folder"):
        scripts(folder).script("/cgi-bin/w.sh")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        scripts(tmp_path / "none")
    assert str(caught.value) == f"app.ini:3: cgi /cgi-bin={tmp_path}/none: there is no {tmp_path}/none"
