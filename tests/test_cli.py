"""The composition root: exit statuses, and what goes where."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from greenwsgi import __version__, cli
from greenwsgi.config.settings import Settings
from greenwsgi.errors import BootError, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.subcommands import SUBCOMMANDS, Subcommand
from greenwsgi.subcommands.argument_parser import Arguments

Capture = pytest.CaptureFixture[str]


class Server:
    """Stands in for the master: keeps the settings it was to serve."""

    def __init__(self, result: int | BaseException = 0) -> None:
        self.result = result
        self.served: list[Settings] = []

    def __call__(self, settings: Settings, log: ServerLog, reread: cli.Reread, ready: Callable[[], None]) -> int:
        self.served.append(settings)
        self.reread = reread
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def must_not_serve(settings: Settings, log: ServerLog, reread: cli.Reread, ready: Callable[[], None]) -> int:
    pytest.fail("served")


@pytest.mark.parametrize("status", [0, 1, 22])
def test_serves_and_returns_the_status(status: int) -> None:
    server = Server(status)
    assert cli.main(["--processes", "4", "--wsgi-file", "app.py"], server) == status
    assert [(one.processes.processes, one.python.wsgi_file) for one in server.served] == [(4, "app.py")]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--procesess"], "command line: unknown option --procesess, did you mean --processes?"),
        (["app.py", "-p", "many"], "command line: processes: found 'many', wanted a whole number from 1 to 10000"),
        (["nowhere.ini"], "command line: cannot read 'nowhere.ini': No such file or directory"),
        ([], "there is nothing to serve: give --wsgi-file FILE or --module PACKAGE.MODULE:NAME (or --help)"),
        (["--\x1b[31m\nx"], r"command line: unknown option --\x1b[31m x"),
        (["--\udce9"], r"command line: unknown option --\udce9"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], expected: str, capfd: Capture) -> None:
    assert cli.main(arguments, must_not_serve) == 2
    assert capfd.readouterr() == ("", f"greenwsgi: error: {expected}\n")


@pytest.fixture
def clap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subcommand of these tests."""
    monkeypatch.setitem(SUBCOMMANDS, "clap", Subcommand("Clap.", "clap:run"))
    module = ModuleType("greenwsgi.subcommands.clap")

    def run(arguments: Sequence[str]) -> int:
        parser = Arguments("clap")
        parser.add_argument("times", type=int)
        print("clap" * parser.parse_args(arguments).times)
        return 3

    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("clap")
def test_a_subcommand_is_the_first_argument(capfd: Capture) -> None:
    assert cli.main(["clap", "2"], must_not_serve) == 3
    assert capfd.readouterr().out == "clapclap\n"
    assert cli.main(["--strict", "clap"], must_not_serve) == 2
    assert "what is 'clap'?" in capfd.readouterr().err


@pytest.mark.usefixtures("clap")
def test_a_subcommand_has_its_mistakes_and_its_help(capfd: Capture) -> None:
    assert cli.main(["clap", "x"], must_not_serve) == 2
    expected = "greenwsgi: error: clap: argument times: invalid int value: 'x' (or --help)\n"
    assert capfd.readouterr() == ("", expected)
    with pytest.raises(SystemExit) as end:
        cli.main(["clap", "--help"], must_not_serve)
    assert end.value.code == 0
    assert "Clap." in capfd.readouterr().out


def test_help_lists_the_subcommands(capfd: Capture) -> None:
    assert cli.main(["--help"], must_not_serve) == 0
    printed = capfd.readouterr().out
    assert [name for name in SUBCOMMANDS if f"\n  {name} " not in printed] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help", "processes"], "Processes\n"),
        (["-h", "harakiri"], "--harakiri, -t SEC\n"),
        (["--help-all"], "usage: greenwsgi "),
        (["options", "workers"], "--processes, --workers, -p N\n"),
        (["options", "--summary"], "works "),
        (["options", "--status", "refused"], "refused "),
        (["completion", "bash"], "# bash completion"),
        (["completion", "zsh"], "#compdef greenwsgi\n"),
        (["manpage"], ".TH GREENWSGI 1 "),
    ],
)
def test_the_table_is_told(arguments: list[str], expected: str, capfd: Capture) -> None:
    assert cli.main(arguments, must_not_serve) == 0
    printed, complaints = capfd.readouterr()
    assert printed.startswith(expected)
    assert complaints == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help", "proceses"], "--help: 'proceses' is neither a section nor an option; did you mean processes?"),
        (["options", "vaccum"], "options: unknown option 'vaccum', did you mean vacuum?"),
        (["options", "xyzzy"], "options: unknown option 'xyzzy'"),
        (["completion", "fish"], "completion: argument shell: invalid choice: 'fish'"),
    ],
)
def test_what_the_table_does_not_have(arguments: list[str], expected: str, capfd: Capture) -> None:
    assert cli.main(arguments, must_not_serve) == 2
    assert capfd.readouterr().err.startswith(f"greenwsgi: error: {expected}")


def test_warnings_do_not_hide_a_mistake(tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "x.ini").write_text("[uwsgi]\nvaccum = 1\nprocesses = many\n")
    assert cli.main([f"{tmp_path}/x.ini"], must_not_serve) == 2
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status"), [(UsageError("port taken"), 2), (BootError("not patched", 22), 22), (BootError("x"), 1)]
)
def test_a_server_that_cannot_start(error: UsageError | BootError, status: int, capfd: Capture) -> None:
    assert cli.main(["app.py", "--http", ":80"], Server(error)) == status
    assert capfd.readouterr().err == f"greenwsgi: error: {error}\n"


def test_interrupted() -> None:
    assert cli.main(["app.py"], Server(KeyboardInterrupt())) == 130


def test_an_error_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.main(["app.py"], Server(ZeroDivisionError()))


def test_logto_takes_all_output_until_the_end(tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "app.log"
    file.write_text("before\n")

    def serve(settings: Settings, log: ServerLog, reread: cli.Reread, ready: Callable[[], None]) -> int:
        log.info("logged")
        os.write(1, b"printed\n")
        raise UsageError("port taken")

    assert cli.main(["app.py", "--logto", str(file)], serve) == 2
    lines = [line.split("] ")[-1] for line in file.read_text().splitlines()]
    assert lines == ["before", "logged", "printed"]
    assert capfd.readouterr() == ("", "greenwsgi: error: port taken\n")


def test_logto_that_cannot_be_written(tmp_path: Path, capfd: Capture) -> None:
    assert cli.main(["app.py", "--logto", str(tmp_path)], must_not_serve) == 2
    assert capfd.readouterr().err == (
        f"greenwsgi: error: command line: logto {tmp_path}: there is a folder of that name: name a file\n"
    )


def test_warnings_are_logged(tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "x.ini").write_text("[uwsgi]\nvaccum = 1\nhttp = :80\nfile = app.py\n")
    assert cli.main([f"{tmp_path}/x.ini"], Server()) == 0
    assert "] warning: " in capfd.readouterr().err


def test_a_reload_reads_everything_again(tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "x.ini"
    file.write_text("[uwsgi]\nprocesses = 2\n")
    server = Server()
    assert cli.main([str(file), "app.py", "--http", ":80"], server) == 0
    file.write_text("[uwsgi]\nprocesses = 3\nlisten = 5\nvaccum = 1\n")
    assert server.reread(server.served[0]).processes.processes == 3
    said = capfd.readouterr().err.splitlines()
    assert [line.split("] ")[1] for line in said if "warning: " not in line] == [
        "changed, for the new workers: processes"
    ]
    assert [line.split("warning: ")[1] for line in said if "warning: " in line] == [
        f"{file}:4: unknown option 'vaccum', did you mean vacuum? (kept as a placeholder)",
        "listen has changed, but needs a restart; it stays as it was",
    ]
    file.write_text("[uwsgi]\nprocesses = many\n")
    with pytest.raises(UsageError, match=r"x\.ini:2: processes: found 'many'"):
        server.reread(server.served[0])


@pytest.mark.parametrize(
    ("arguments", "check"),
    [
        (["--version"], lambda out: out == f"greenwsgi {__version__}\n"),
        (["--help"], lambda out: out.startswith("usage: greenwsgi ")),
        (["-h"], lambda out: "--processes" in out),
        (["--show-config"], lambda out: out.startswith("[uwsgi]\n; command line\n; show-config = true\n; default\n")),
        (["--show-config", "--chdir=\udce9\x1b"], lambda out: "chdir = \\udce9%[\n" in out),
    ],
)
def test_prints_and_does_not_serve(arguments: list[str], check: Callable[[str], bool], capfd: Capture) -> None:
    assert cli.main(arguments, must_not_serve) == 0
    out, err = capfd.readouterr()
    assert check(out)
    assert err == ""


def test_as_a_module() -> None:
    command = [sys.executable, "-m", "greenwsgi"]
    good = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout) == (0, f"greenwsgi {__version__}\n")
    bad = subprocess.run([*command, "--nonsense"], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stderr) == (2, "greenwsgi: error: command line: unknown option --nonsense\n")


def test_what_is_closed_of_the_standard_descriptors_is_opened() -> None:
    """Else the next file that is opened, a socket or the log, would be taken for one of them."""
    code = """
import os
from greenwsgi import cli
cli.main(["--version"])
for fd in (0, 1, 2):
    assert os.get_inheritable(fd) and os.path.samestat(os.fstat(fd), os.stat(os.devnull))
"""
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code], check=False)
    assert done.returncode == 0


def test_the_command_line_needs_neither_the_server_nor_gevent() -> None:
    code = "import sys, greenwsgi.cli as cli; cli.main(['--help']); sys.exit(any(m in sys.modules for m in {}))"
    code = code.format(["gevent", "ssl", "greenwsgi.process.lifecycle.boot"])
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
