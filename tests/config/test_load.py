"""From the command line to Settings, through files."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from greenwsgi.config import option_rules
from greenwsgi.config.load import load
from greenwsgi.config.settings import Settings
from greenwsgi.config.show_config import show
from greenwsgi.errors import UsageError
from tests.config.test_settings import serving

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file, with a line for each text, in the folder that is the current one."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, *lines: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    return write


def loaded(line: str, **environ: str) -> Settings:
    return load(line.split(), environ).settings


def test_a_file_counts_where_it_is_named(write: Write) -> None:
    write("x.ini", "[uwsgi]", "processes = 4")
    assert loaded("--processes 2 x.ini").processes.processes == 4
    assert loaded("x.ini --processes 2").processes.processes == 2


def test_origins_are_file_and_line(write: Write) -> None:
    write("x.ini", "[uwsgi]", "", "socket = :3031")
    assert [str(one.origin) for one in loaded("--ini x.ini --http :80").listeners] == ["x.ini:3", "command line"]


def test_sections_of_one_file(write: Write) -> None:
    write(
        "x.ini", "[uwsgi]", "ini = :base", "listen = 7", "[base]", "listen = 5", "processes = 3", "[prod]", "listen = 9"
    )
    assert loaded("x.ini").listening.listen == 7
    assert loaded("x.ini").processes.processes == 3
    assert loaded("x.ini:prod").listening.listen == 9


def test_files_in_files_are_found_from_the_current_folder(write: Write) -> None:
    write("etc/x.ini", "[uwsgi]", "ini = etc/y.ini:base")
    write("etc/y.ini", "[base]", "listen = 5")
    found = loaded("etc/x.ini")
    assert found.listening.listen == 5


def test_magic_tells_of_the_file_it_stands_in(write: Write, tmp_path: Path) -> None:
    write("x.ini", "[uwsgi]", "ini = sub/y.ini", "chdir = %d", "env = SECTION=%x")
    write("sub/y.ini", "[uwsgi]", "pythonpath = %d", "env = NAME=%n")
    found = loaded("x.ini")
    assert found.python.chdir == f"{tmp_path}/"
    assert found.python.pythonpath == (f"{tmp_path}/sub/",)
    assert found.python.env == ("NAME=y", "SECTION=")


def test_percent_is_magic_in_files_only(write: Write) -> None:
    assert loaded("--env A=%n%%").python.env == ("A=%n%%",)


def test_environment_variables(write: Write) -> None:
    write("x.ini", "[uwsgi]", "ini = $(MODE).ini", "processes = $(N)")
    write("prod.ini", "[uwsgi]", "listen = 5")
    found = loaded("x.ini --env A=$(N)", MODE="prod", N="3")
    assert (found.processes.processes, found.listening.listen, found.python.env) == (3, 5, ("A=3",))


def test_placeholders_across_sources(write: Write) -> None:
    write("x.ini", "[uwsgi]", "chdir = %(base)/app", "base = /srv", "wsgi-file = %(chdir)/w.py")
    found = load(["x.ini", "--pythonpath", "%(base)/lib"], {})
    assert found.settings.python.wsgi_file == "/srv/app/w.py"
    assert found.settings.python.pythonpath == ("/srv/lib",)
    assert found.warnings == (), "a name that is used is not unknown"


def test_warnings_come_once_each(write: Write) -> None:
    write("x.ini", "[uwsgi]", "env = A=100% x$(GONE)$(GONE)", "vaccum = 1", "[base]", "listen = 5 ; x")
    assert load(["x.ini", "x.ini:base", "x.ini:base"], {}).warnings == (
        "x.ini:2: env: %  means nothing and is left out; %% is a percent sign",
        "x.ini:2: env: the environment variable GONE is not set",
        "x.ini:5: listen: '5 ; x' is taken as 5",
        "x.ini:3: unknown option 'vaccum', did you mean vacuum? (kept as a placeholder)",
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nowhere.ini", "command line: cannot read 'nowhere.ini': No such file or directory"),
        ("--ini sub", "command line: cannot read 'sub': Is a directory"),
        ("--ini :base", "command line: ini: found ':base', wanted FILE or FILE:SECTION"),
        ("to-nowhere.ini", "to-nowhere.ini:2: cannot read 'nowhere.ini': No such file or directory"),
        ("binary.ini", "command line: cannot read 'binary.ini': it is not a text file"),
        ("itself.ini", "itself.ini:2: ini: files name each other in a loop: itself.ini -> ./itself.ini"),
        ("two.ini", "two.ini:4: ini: files name each other in a loop: two.ini -> two.ini:b -> two.ini"),
        ("bad.ini", "bad.ini:2: found '[open', wanted [section] and nothing after it"),
    ],
)
def test_refused(write: Write, line: str, expected: str) -> None:
    write("to-nowhere.ini", "[uwsgi]", "ini = nowhere.ini")
    write("binary.ini", "[uwsgi]", "chdir = \0")
    write("itself.ini", "[uwsgi]", "ini = ./itself.ini")
    write("two.ini", "[uwsgi]", "ini = :b", "[b]", "ini = two.ini")
    write("bad.ini", "[uwsgi]", "[open")
    write("sub/x.ini")
    with pytest.raises(UsageError) as caught:
        load(line.split(), {})
    assert str(caught.value) == expected


def test_a_file_may_be_named_twice_in_turn(write: Write) -> None:
    write("x.ini", "[uwsgi]", "ini = :b", "ini = :b", "[b]", "env = A=1")
    assert loaded("x.ini").python.env == ("A=1", "A=1")


def test_bytes_that_are_not_utf8_survive(write: Write, tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_bytes(b"\xef\xbb\xbf[uwsgi]\nchdir = /srv/\xe9\n")
    assert loaded("x.ini").python.chdir == "/srv/\udce9"


def test_users_and_groups_may_have_no_name(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("x.ini", "[uwsgi]", "uid = %U", "gid = %G")
    named = loaded("x.ini").processes
    assert (named.uid, named.gid) == (pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    monkeypatch.setattr("grp.getgrgid", {}.__getitem__)
    nameless = loaded("x.ini").processes
    assert (nameless.uid, nameless.gid) == (str(os.getuid()), str(os.getgid()))


@pytest.mark.parametrize("line", ["", "--processes 4", "--callable app"])
def test_nothing_to_serve(line: str) -> None:
    with pytest.raises(UsageError, match="nothing to serve: give --wsgi-file FILE or --module"):
        option_rules.check(loaded(line), pytest.fail)


@pytest.mark.parametrize("line", ["app.py", "--module pkg.mod"])
def test_something_to_serve(line: str) -> None:
    option_rules.check(loaded(line), pytest.fail)


def test_two_applications() -> None:
    told: list[str] = []
    option_rules.check(loaded("--wsgi-file a.py --module b"), told.append)
    assert told == ["wsgi-file a.py and module b are both given: the file is served"]


def test_a_reload_tells_what_it_changes_by_name() -> None:
    told: list[str] = []
    line = "app.py -p 4 --harakiri 5 --reload-mercy 5 --listen 7"
    started = serving = loaded("app.py")
    option_rules.check_reload(started, serving, loaded(line), lambda warning: None, told.append)
    assert told == [
        "changed, for the new workers: processes, harakiri",
        "changed, as soon as the new workers serve: reload-mercy",
    ]


def test_a_reload_tells_again_only_what_it_cannot_change() -> None:
    told: list[str] = []
    wanted = "app.py -p 4 --harakiri 5 --listen 7"
    option_rules.check_reload(loaded("app.py"), loaded(wanted), loaded(wanted), told.append, told.append)
    assert told == ["listen has changed, but needs a restart; it stays as it was"]


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("app.py -p 4 --cheaper 3", ""),
        ("app.py --cheaper 1", ""),
        ("app.py -p 4 --cheaper 4", "cheaper 4: processes must be more; it is 4"),
        ("app.py --cheaper 2", "cheaper 2: processes must be more; it is 1"),
        ("app.py -p 4 --cheaper 2 --cheaper-initial 5", "cheaper-initial 5: processes is only 4"),
    ],
)
def test_cheaper_needs_room(line: str, refused: str) -> None:
    if not refused:
        option_rules.check(loaded(line), lambda warning: None)
        return
    with pytest.raises(UsageError, match=refused):
        option_rules.check(loaded(line), lambda warning: None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("app.py", []),
        ("app.py -p 4 --harakiri 5", []),
        ("app.py --listen 5", ["listen has changed, but needs a restart; it stays as it was"]),
        ("app.py --http :80", ["http has changed, but needs a restart; it stays as it was"]),
    ],
)
def test_a_reload_tells_what_it_cannot_change(line: str, expected: list[str]) -> None:
    told: list[str] = []
    option_rules.check_reload(loaded("app.py"), loaded("app.py"), loaded(line), told.append)
    assert told == expected


def test_the_current_folder_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.ini").write_text("[uwsgi]\nchdir = %d\npythonpath = %c\nenv = BASE=%v\n", "utf-8")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setenv("PWD", str(gone))
    gone.rmdir()
    found = loaded(str(tmp_path / "x.ini"))
    assert (found.python.chdir, found.python.env) == (f"{tmp_path}/", (f"BASE={gone}",))
    with pytest.raises(UsageError) as caught:
        loaded("x.ini")
    assert str(caught.value) == "command line: cannot read 'x.ini': No such file or directory (the current folder)"


def test_what_show_config_prints_is_read_again_as_the_same(write: Write) -> None:
    """Also when it was asked for in the file, and under strict, where placeholders are none of its names."""
    lines = ("strict = true", "set-ph = base=/srv", "chdir = %(base)", "fallback-config = z.ini", "env = A=100%%d")
    write("x.ini", "[uwsgi]", *lines, "show-config = true", "get = chdir")
    before = load(["x.ini"], {})
    write("y.ini", show(before.settings))
    after = load(["y.ini"], {})
    assert after.settings == serving(before.settings)
    assert after.settings.python.env == ("A=100%d",)
    assert after.fallback == before.fallback == "z.ini"
