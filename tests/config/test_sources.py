"""Everything that configures a server, and what works on lines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from greenwsgi import cli
from greenwsgi.config import external_sources
from greenwsgi.config.load import load, read
from greenwsgi.config.settings import Settings
from greenwsgi.errors import USAGE_STATUS, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.options.table.config import ConfigOptions

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file, with a line for each text, in the folder that is the current one; [uwsgi] of x.ini by default."""
    monkeypatch.chdir(tmp_path)

    def write(*lines: str, name: str = "x.ini", section: str = "[uwsgi]") -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join([section, *lines]) + "\n", "utf-8")

    return write


def counted(line: str = "x.ini", **environ: str) -> list[str]:
    """What counts in the end, without what has done its work."""
    done = ("ini", "if", "for", "end", "set", "declare", "include", "inherit", "early", "yaml", "env")
    found = read(line.split(), environ, lambda text: None).assignments
    return [f"{one.key}={one.text}" for one in found if not one.key.startswith(done)]


def told(line: str = "x.ini", **environ: str) -> tuple[str, ...]:
    return load(line.split(), environ).warnings


# Variables


def test_variables_come_first_and_ours_behind_uwsgis(write: Write) -> None:
    write("processes = 3")
    environ = {"GREENWSGI_LISTEN": "7", "UWSGI_LISTEN": "5", "UWSGI_PROCESSES": "2", "UWSGI_MAX_REQUESTS": "9"}
    assert counted("x.ini", **environ) == ["listen=5", "processes=2", "max-requests=9", "listen=7", "processes=3"]
    found = load(["x.ini"], environ).settings
    assert (found.listening.listen, found.processes.processes) == (7, 3)


def test_variables_that_are_no_options() -> None:
    environ = dict.fromkeys(["UWSGI_RELOADS", "UWSGI_ORIGINAL_PROC_NAME", "UWSGI_", "GREENWSGI_"], "1")
    assert counted("", **environ, UWSGIX="1", GREENWSGI_HANDOVER="9") == []


def test_a_variable_that_is_used_is_no_unknown_option(write: Write) -> None:
    write("strict = true", "uid = $(UWSGI_OWNER)", "set-ph = a=b", "env = A=%(a)")
    with pytest.raises(UsageError, match=r"^UWSGI_OWNER: unknown option 'owner'"):
        told(UWSGI_OWNER="www")
    write("uid = $(UWSGI_OWNER)", "if-env = UWSGI_HERE", "listen = 5", "endif")
    assert told(UWSGI_OWNER="www", UWSGI_HERE="1") == ()
    assert told(UWSGI_OWNER="www", UWSGI_XYZZY="1") == ("UWSGI_XYZZY: unknown option 'xyzzy' (kept as a placeholder)",)


def test_of_our_own_variables_only_options_count_that_serve(write: Write) -> None:
    write("strict = true", "set-ph = port=80", "http-socket = :%(port)", "chdir = /$(GREENWSGI_BASE)")
    ending = dict.fromkeys(
        ("VERSION", "HELP", "USAGE", "HELP_ALL", "GET", "SHOW_CONFIG", "RELOAD", "STOP", "PAUSE", "SUSPEND", "RESUME"),
        "1",
    )
    cluster = {"PORT": "tcp://10.0.0.1:80", "SERVICE_HOST": "10.0.0.1", "PORT_80_TCP_PROTO": "tcp", "PROCESES": "2"}
    mine = {f"GREENWSGI_{name}": text for name, text in {**ending, **cluster, "BASE": "x", "LISTEN": "7"}.items()}
    found = load(["x.ini"], mine)
    assert found.settings.config == replace(ConfigOptions(), strict=True)
    assert (found.settings.listening.listen, found.settings.listeners[0].text) == (7, ":80")
    (said,) = found.warnings
    assert said == (
        "variables that are no options, and count for nothing: GREENWSGI_PORT (did you mean import?),"
        " GREENWSGI_SERVICE_HOST, GREENWSGI_PORT_80_TCP_PROTO, GREENWSGI_PROCESES (did you mean processes?)"
    )
    with pytest.raises(UsageError, match=r"^UWSGI_SERVICE_HOST: unknown option"):
        load(["x.ini"], {"UWSGI_SERVICE_HOST": "10.0.0.1"})
    assert load([], {"UWSGI_VERSION": "1.2.3"}).settings.config.version  # as under uWSGI


# Files


def test_files_of_all_formats_name_each_other(write: Write) -> None:
    write("yaml = y.yaml", "listen = 1", name="x.ini")
    write("  include: j.json", "  listen: 2", name="y.yaml", section="uwsgi:")
    write(name="j.json", section='{"uwsgi": {"xml": "d/x.xml", "listen": 3}}')
    write(name="d/x.xml", section="<uwsgi><config>t.toml:tool.x</config><listen>4</listen></uwsgi>")
    write("listen = 5", "magic = '%s'", name="t.toml", section="[tool.x]")
    assert [line for line in counted() if "listen" in line or "magic" in line] == [
        *("listen=5", "magic=t.toml", "listen=4", "listen=3", "listen=2", "listen=1")
    ]


def test_what_is_inherited_comes_last_and_sees_all(write: Write) -> None:
    write("inherit = base.ini", "listen = 5", "chdir = %(root)")
    write("listen = 7", "root = $(ROOT)", "chdir2 = %(root)/%n", name="base.ini")
    assert counted(ROOT="/srv") == ["listen=5", "chdir=%(root)", "listen=7", "root=/srv", "chdir2=/srv/base"]
    write("inherit = x.ini", name="base.ini")
    with pytest.raises(UsageError, match=r"^base.ini:2: inherit: files name each other in a loop: x.ini -> base.ini"):
        counted()


def test_an_included_file_may_have_conditions_of_its_own(write: Write) -> None:
    write("if-env = A", "include = y.ini", "endif", "listen = 2")
    write("if-env = B", "listen = 1", "endif", name="y.ini")
    assert counted(A="", B="") == ["listen=1", "listen=2"]
    assert counted(A="") == ["listen=2"]
    assert counted(B="") == ["listen=2"]


def test_a_command_and_a_descriptor_are_files(write: Write) -> None:
    write(
        "listen = @(exec://echo 5; exit 3)", "ini = exec://printf '[uwsgi]\\nprocesses = %%s\\n' $N", "a = %(listen)0"
    )
    assert "processes=3" in counted(N="3", PATH=os.environ["PATH"])
    reader, writer = os.pipe()
    os.write(writer, b"[uwsgi]\nlisten = 6\n")
    os.close(writer)
    assert counted(f"--ini fd://{reader}") == ["listen=6"]
    os.close(reader)
    assert counted(f"--ini fd://{reader}") == ["listen=6"], "a reload reads it again"
    external_sources._descriptor.cache_clear()


def test_standard_input(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "greenwsgi", "--ini", "-", "--show-config"],
        input="[uwsgi]\nlisten = 5\nlisten = no\n",
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stderr == "greenwsgi: error: stdin:3: listen: found 'no', wanted a whole number from 1 to 2147483647\n"


def test_data_appended_to_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "greenwsgi"
    pieces = [b"first\n", b"[uwsgi]\nlisten = 5\n"]
    program.write_bytes(b"program" + b"".join(piece + len(piece).to_bytes(8, "little") for piece in pieces))
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert counted("--ini data://0 --chdir @(data://1)") == ["listen=5", "chdir=first"]
    with pytest.raises(UsageError, match="nothing of that kind is appended to"):
        counted("--ini data://2")


@pytest.fixture
def web() -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"[uwsgi]\nlisten = 5\n"
            self.send_response(200 if self.path == "/x.ini" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *ignored: object) -> None:
            """Not a word."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/x.ini"
        server.shutdown()
        thread.join()


def test_http_by_an_option_only(web: str) -> None:
    assert counted(f"--allow-remote-config --ini {web}:uwsgi") == ["allow-remote-config=", "listen=5"]
    for line in (f"--ini {web}", f"--chdir @({web})", f"--allow-remote-config=off --ini {web}"):
        with pytest.raises(UsageError, match="it is elsewhere; allow-remote-config lets it be fetched"):
            counted(line)
    with pytest.raises(UsageError, match=r"cannot read .*404"):
        counted(f"--allow-remote-config --ini {web}x")


@pytest.mark.parametrize(
    "command", ["echo listen = 5; sleep 5", "sleep 5 & echo listen = 5", "setsid sleep 5 &", "exec >&-; sleep 5"]
)
def test_a_command_has_its_time(write: Write, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """What it said until then counts for nothing."""
    monkeypatch.setattr(external_sources, "TIMEOUT", 0.3)
    write(f"a = @(exec://{command})")
    with pytest.raises(UsageError, match=r"^x.ini:2: cannot read .*: it took longer than 0.3 s$"):
        load(["x.ini"], dict(os.environ))


def test_a_command_that_takes_too_long_is_killed_with_what_it_started(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setattr(external_sources, "TIMEOUT", 1)
    write("a = @(exec://sleep 1000 > held & sleep 1000)")
    with pytest.raises(UsageError, match="it took longer"):
        load(["x.ini"], dict(os.environ))
    os.set_blocking(held, True)
    assert os.read(held, 1) == b""  # when nobody has its other end any more
    os.close(held)


def test_a_server_has_its_time_for_all_of_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sources, "TIMEOUT", 0.3)
    done = Event()

    def trickle() -> None:
        client, _ = server.accept()
        with client, suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not done.wait(0.02):
                client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=trickle)
        thread.start()
        try:
            with pytest.raises(UsageError, match=r"it took longer than 0.3 s$"):
                counted(f"--allow-remote-config --ini http://127.0.0.1:{server.getsockname()[1]}/x.ini")
        finally:
            done.set()
            thread.join()


# What works on lines


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("for = a  b|x = 1%(_)|y = %(_)|endfor|z = %(_)", "x=1a x=1b y=a y=b z=%(_)"),
        ("for-times = 2 times|x = %(_)|end", "x=1 x=2"),
        ("for-times = none|x = %(_)|end", ""),
        ("for-glob = d/*|x = %(_)|end-for", "x=d/sub/ x=d/x"),
        ("for-glob = nothing*|x = %(_)|endfor", "x=nothing*"),
        ("for-readline = d/x|x = %(_)|endfor", "x=1 x=2"),
        ("if-env = A|x = %(_)|endif|if-env = B|x = %(_)|endif", "x=one"),
        ("if-env = A=one|x = 1|endif|if-env = A=two|x = 2|endif", "x=1"),
        ("if-not-env = A|x = 1|endif|if-not-env = B|x = %(_)|endif|if-not-env = A=two|y = %(_)|endif", "x=%(_) y=one"),
        ("ifenv = A|x = 1|endif", "x=1"),
        ("if-opt = a|x = %(_)|endif|a = 1|a = 2|if-opt = a|x = %(_)|endif|if-opt = a=2|x = 2|end", "a=1 a=2 x=1"),
        ("if-not-opt = a|a = 1|b = 2|endif", "a=1"),
        ("if-file = d/x|x = %(_)|endif|if-file = d|x = 2|endif|if-not-file = d|y = 2|endif", "x=d/x y=2"),
        ("if-dir = d|x = 1|endif|ifdir = d/x|x = 2|endif|if-not-dir = d/x|y = 2|endif", "x=1 y=2"),
        ("if-exists = d|x = 1|endif|if-not-exists = d|x = 2|endif|ifexists = d/x|y = 1|endif", "x=1 y=1"),
        ("if-hostname = box|x = %(_)|endif|if-not-hostname = box|x = 2|endif", "x=box"),
        ("if-hostname-match = ^b.x$|x = 1|endif|if-not-hostname-match = o|x = 2|endif", "x=1"),
        ("if-plugin = python|x = 1|endif|if-plugin = php|x = 2|endif|plugins = a,php|ifplugin = php|x = 3|endif",
         "x=1 plugins=a,php x=3"),
        ("if-reload =|x = 1|endif|if-not-reload =|x = 2|endif", "x=2"),
        ("set = x=$(A)|y = %(x)|set-ph = z=%(x)|set-placeholder = u=v=w", "x=one y=one z=one u=v=w"),
        ("declare-option = p=x=$1-$2;y=$1|p = a b|p = c|x = %(p)", "p=a b x=a-b y=a p=c x=c-$2 y=c x=a b"),
        ("x = $(A) $(NO)|y = @(d/x)|listen = %(2 * 3)", "x=one $(NO) y=1\n2 listen=6"),
    ],
)  # fmt: skip
def test_lines(write: Write, monkeypatch: pytest.MonkeyPatch, lines: str, expected: str) -> None:
    write(*lines.split("|"))
    Path("d/sub").mkdir(parents=True)
    Path("d/x").write_text("1\n2\n")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "box", "", "", "")))
    assert " ".join(counted(A="one")) == expected


def test_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostbyname", {"db.example": "192.0.2.1"}.__getitem__)
    assert counted("--resolve db=db.example --chdir %(db)") == [
        "resolve=db=db.example",
        "db=192.0.2.1",
        "chdir=192.0.2.1",
    ]


def test_a_declared_option_is_one_of_the_command_line(write: Write) -> None:
    write("declare-option = many=processes=$1;listen=9", "strict = true")
    found = load(["x.ini", "--many", "3"], {}).settings
    assert (found.processes.processes, found.listening.listen) == (3, 9)


def test_variables_from_folders(write: Write) -> None:
    write(
        "where = early",
        "early-envdir = $(X)%(where)",
        "if-env = A",
        "listen = 5",
        "endif",
        "chdir = $(A)",
        "envdir = late",
        "env = C=0",
    )
    for name, text in {
        "early/A": "$(B)\n",
        "early/.hidden": "x",
        "late/C": "1",
        "late/D": "",
        "late/sub/E": "",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    found = load(["x.ini"], {"B": "b", "X": "./"}).settings
    assert found.environment == {"A": "$(B)", "C": "1", "D": None}
    assert found.listening.listen == 5
    assert found.python.chdir == "$(B)"


def test_unenv_and_env_in_their_order() -> None:
    settings = load(["--env", "A=1", "--unenv", "A", "--unenv", "B", "--env", "B=2"], {}).settings
    assert settings.environment == {"A": None, "B": "2"}
    assert (settings.python.env, settings.python.unenv) == (("A=1", "B=2"), ("A", "B"))


REFUSED = [
    ("if-env = A|x = 1", "x.ini:2: if-env A: endif is missing"),
    ("a = 1|for = 1 2", "x.ini:3: for 1 2: endfor is missing"),
    ("if-not-env = A|if-env = B|endif|endif", "x.ini:3: if-env inside if-not-env: there is no nesting"),
    ("if-hostname-match = (|x = 1|endif", "x.ini:2: if-hostname-match: found '(', wanted a regular expression"),
    ("for-readline = gone|x = 1|endfor", "x.ini:2: for-readline: found 'gone', wanted a file that can be read"),
    ("set = x", "x.ini:2: set: found 'x', wanted NAME=TEXT"),
    ("set-ph = listen=5", "x.ini:2: set-ph: listen is an option, so it cannot be a placeholder"),
    ("declare-option = x", "x.ini:2: declare-option: found 'x', wanted NAME=OPTION=TEXT;OPTION=TEXT..."),
    ("resolve = a=host.invalid", "x.ini:2: resolve: cannot find the address of 'host.invalid'"),
    ("envdir = gone", "x.ini:2: envdir: cannot read 'gone': No such file or directory"),
    ("a = @(gone)", "x.ini:2: cannot read 'gone': No such file or directory"),
    ("a = @(sym://x)", "x.ini:2: cannot read 'sym://x': nothing reads sym:// here"),
    ("a = @(fd://x)", "x.ini:2: cannot read 'fd://x': wanted a number after ://"),
    ("a = @(exec://yes)", "x.ini:2: cannot read 'exec://yes': it has more than 1 MiB"),
    ("a = @(/dev/zero)", "x.ini:2: cannot read '/dev/zero': it has more than 1 MiB"),
    ("include = x.conf", "x.ini:2: include: what is 'x.conf'? wanted a name that ends in .ini, .yaml, .yml"),
    ("ini =", "x.ini:2: ini: found '', wanted FILE or FILE:SECTION"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), REFUSED)
def test_refused(write: Write, lines: str, expected: str) -> None:
    write(*lines.split("|"))
    with pytest.raises(UsageError) as caught:
        load(["x.ini"], {"PATH": os.environ["PATH"]})
    assert str(caught.value).startswith(expected)


def test_what_is_told(write: Write) -> None:
    write("endif", "if-env = A", "if-env = B", "endif", "chdir = $(GONE)/%(gone)", "listen = 1 ; x")
    assert told() == (
        "x.ini:2: endif ends nothing",
        "x.ini:4: if-env inside if-env: there is no nesting, so the next end is the end of if-env",
        "x.ini:6: chdir: the environment variable GONE is not set",
        "x.ini:6: chdir: nothing is called gone, so %(gone) stays as it is",
        "x.ini:7: listen: '1 ; x' is taken as 1",
    )


def test_what_is_dropped_and_used(write: Write) -> None:
    write("if-env = A", "a = 1", "endif", "b = 2", "set-ph = c=3", "chdir = %(b)")
    reading = read(["x.ini"], {}, lambda text: None)
    assert [(one.key, one.origin.line, why) for one, why in reading.dropped] == [("a", 3, "if-env A at x.ini:2")]
    assert (reading.used, reading.placeholders) == (frozenset("b"), frozenset("c"))
    assert reading.magic["s"] == "x.ini"


def test_what_is_wrong_does_not_keep_the_rest_from_being_read(write: Write) -> None:
    write(
        *(
            "a = x%(a)",
            "ini = %(a).ini",
            "b = 1",
            "x" * 300,
            "c = 2",
            "for-readline = gone",
            "d = 1",
            "e = 2",
            "endfor",
        ),
        *("early-envdir = $(GONE)", "f = 3"),
    )
    mistakes: list[UsageError] = []
    reading = read(["x.ini"], {}, lambda text: None, mistakes)
    assert {one.key for one in reading.assignments} >= {"a", "b", "c", "f"}
    assert [str(error).partition(" ")[0] + str(error).split(": ")[1] for error in mistakes] == [
        *("x.ini:3:ini", f"x.ini:5:found a name of 300 characters, {'x' * 40!r}...", "x.ini:7:for-readline"),
        *("x.ini:11:early-envdir", "x.ini:2:a"),
    ]


# What the command does with it


class Served(Exception):
    """Stands in for the master."""


def serve(settings: Settings, log: ServerLog, *ignored: object) -> int:
    raise Served(settings.python.wsgi_file)


def test_get(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    write("listen = 5", "listen = 7", "a = %(listen)0")
    assert cli.main(["x.ini", "--get", "listen", "--get=a", "--get", "gone"], serve) == 0
    assert capfd.readouterr().out == "5\n50\n"


@pytest.mark.parametrize("broken", ["processes = many", "ini = gone.ini", "processes = 1"])
def test_fallback(write: Write, broken: str, capfd: pytest.CaptureFixture[str]) -> None:
    write("fallback-config = good.ini", broken)
    write("wsgi-file = app.py", name="good.ini")
    with pytest.raises(Served, match=r"app\.py"):
        cli.main(["x.ini"], serve)
    assert "trying good.ini (fallback-config)" in capfd.readouterr().err


def test_a_fallback_that_fails_too_is_the_end(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    write("fallback-config = x.ini", "processes = many")
    assert cli.main(["x.ini"], serve) == USAGE_STATUS
    assert capfd.readouterr().err.splitlines()[-1].startswith("greenwsgi: error: x.ini:3: processes: found 'many'")
