"""An operator's mistake gets one clear line and an exit status that is not 0; never a traceback."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.live.client import PATIENCE, free_port
from tests.live.server import HELLO, ROOT

GOOD_APP = {"app.py": HELLO}


@dataclass(frozen=True)
class Mistake:
    """Options, the files beside them, and the line that must come."""

    options: str
    expected: str
    files: dict[str, str] = field(default_factory=lambda: GOOD_APP)


MISTAKES = {
    "no such file": Mistake("--wsgi-file nowhere.py", r"nowhere\.py: no such file.*app\.py"),
    "a folder": Mistake("--wsgi-file .", r"is a folder"),
    "no such callable": Mistake("--wsgi-file app.py --callable application", r"no 'application'.*\bapp\b"),
    "no callable at all": Mistake("--wsgi-file x.py", r"neither 'application' nor 'app'", {"x.py": "x = 1\n"}),
    "not callable": Mistake(
        "--wsgi-file x.py --callable x", r"'x' is a int, not callable|x.*not.*callable", {"x.py": "x = 1\n"}
    ),
    "no such module": Mistake("--module nowhere:app", r"nowhere"),
    "unknown option": Mistake("--wsgi-file app.py --procesess 4", r"procesess.*processes"),
    "no regular expression": Mistake(
        "--wsgi-file app.py --harakiri-for ^/(_5", r"harakiri-for: found '\^/\(_5', wanted a regular expression"
    ),
    "wrong kind": Mistake("--wsgi-file app.py --processes many", r"processes.*many"),
    "no such ini": Mistake("--ini nowhere.ini", r"nowhere\.ini"),
    "unreadable ini": Mistake("--ini bad.ini", r"bad\.ini:2", {"bad.ini": "[uwsgi]\n[unclosed\n"}),
    "wrong kind in an ini": Mistake(
        "--ini x.ini",
        r"x\.ini:3: .*processes.*many",
        {**GOOD_APP, "x.ini": "[uwsgi]\nwsgi-file = app.py\nprocesses = many\n"},
    ),
    "unknown key under strict": Mistake(
        "--ini x.ini",
        r"x\.ini:3: .*procesess.*processes",
        {**GOOD_APP, "x.ini": "[uwsgi]\nstrict = true\nprocesess = 4\n"},
    ),
    "unknown user": Mistake("--wsgi-file app.py --uid nobody-has-this-name", r"nobody-has-this-name"),
    "unknown group": Mistake("--wsgi-file app.py --gid nobody-has-this-name", r"nobody-has-this-name"),
    "no such folder to change to": Mistake("--wsgi-file app.py --chdir nowhere", r"chdir.*nowhere"),
    "no application": Mistake("", r"wsgi-file|module"),
    "an address that is not ours": Mistake("--wsgi-file app.py --http-socket 192.0.2.1:80", r"192\.0\.2\.1:80"),
    "no certificate": Mistake(
        "--ini x.ini",
        r"cannot start: x\.ini:3: TLS: certificate nowhere\.pem: No such file",
        {**GOOD_APP, "x.ini": "[uwsgi]\nwsgi-file = app.py\nhttps-socket = 127.0.0.1:0,nowhere.pem,key.pem\n"},
    ),
    "no certificate in the file": Mistake(
        "--wsgi-file app.py --https-socket 127.0.0.1:0,app.py,app.py", r"TLS: app\.py holds no certificate in PEM"
    ),
    "half an https-socket": Mistake(
        "--wsgi-file app.py --https-socket 127.0.0.1:0,cert.pem", r"https-socket.*wanted ADDRESS,CERTIFICATE,KEY"
    ),
    "PROXY on no socket": Mistake(
        "--wsgi-file app.py --http-socket 127.0.0.1:0 --proxy-protocol :81", r"proxy-protocol: no socket is :81"
    ),
    "a socket in no folder": Mistake("--wsgi-file app.py --socket nowhere/app.sock", r"nowhere/app\.sock"),
}


def run(options: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run greenwsgi until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "greenwsgi", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def check(done: subprocess.CompletedProcess[str], expected: str) -> None:
    assert done.returncode > 0, done.stdout
    assert "Traceback" not in done.stdout
    found = [line for line in done.stdout.splitlines() if re.search(expected, line)]
    assert len(found) == 1, done.stdout
    others = [line for line in done.stdout.splitlines() if line not in found and not line.endswith("] stopped")]
    assert others == [], "one line says it all"


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake(mistake: Mistake, tmp_path: Path) -> None:
    for name, text in mistake.files.items():
        (tmp_path / name).write_text(text, "utf-8")
    options = mistake.options.split()
    if "--http-socket" not in options and "--socket" not in options:
        options += ["--http-socket", f"127.0.0.1:{free_port()}"]
    check(run(options, tmp_path), mistake.expected)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("unknown option", 2),
        ("no such folder to change to", 2),
        ("no certificate", 2),
        ("no such file", 22),
        ("no such module", 22),
        ("no application", 2),  # none is named
    ],
)
@pytest.mark.parametrize("lazy", ["", "--lazy-apps"])
def test_exit_status(name: str, status: int, lazy: str, tmp_path: Path) -> None:
    """22 is for the application, 2 for all else, whichever process finds it."""
    mistake = MISTAKES[name]
    for file, text in mistake.files.items():
        (tmp_path / file).write_text(text, "utf-8")
    done = run([*mistake.options.split(), *lazy.split(), "--http-socket", "127.0.0.1:0"], tmp_path)
    assert done.returncode == status


def test_port_in_use(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HELLO)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check(
            run(["--wsgi-file", "app.py", "--http-socket", f"127.0.0.1:{port}"], tmp_path),
            rf"127\.0\.0\.1:{port}: another process listens there",
        )


def test_unix_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HELLO)
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(tmp_path / "app.sock"))
        taken.listen()
        check(
            run(["--wsgi-file", "app.py", "--socket", "app.sock"], tmp_path),
            r"app\.sock: another process listens there",
        )
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "app.sock"))


PLACES = {
    "pidfile": "x.ini:4: pidfile: cannot write {path}: there is a {kind} of that name, and it is no pidfile",
    "logto": "x.ini:4: logto {path}: there is a {kind} of that name: name a file",
    "daemonize": "x.ini:4: daemonize {path}: there is a {kind} of that name: name a file",
    "socket": "x.ini:4: {path}: there is a {kind} of that name, and it is no socket",
    "control-socket": "x.ini:4: control-socket {path}: there is a {kind} of that name, and it is no socket",
}


@pytest.mark.parametrize("option", PLACES)
@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_a_place_that_is_something_else_is_refused_at_once(option: str, kind: str, tmp_path: Path) -> None:
    """Opening a fifo would wait for its other end."""
    place = tmp_path / "place"
    if kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    (tmp_path / "app.py").write_text(HELLO)
    (tmp_path / "x.ini").write_text(f"[uwsgi]\nwsgi-file = app.py\nhttp-socket = 127.0.0.1:0\n{option} = {place}\n")
    check(run(["x.ini"], tmp_path), re.escape(PLACES[option].format(path=place, kind=kind)))
    assert place.is_fifo() if kind == "fifo" else place.is_dir()


def test_an_application_that_fails_says_where(tmp_path: Path) -> None:
    """Not the operator's mistake but the programmer's: here the traceback is the message."""
    (tmp_path / "app.py").write_text("import nothing_of_that_name\n")
    port = free_port()
    done = run(["--wsgi-file", "app.py", "--http-socket", f"127.0.0.1:{port}"], tmp_path)
    assert done.returncode > 0
    assert re.search(r'app\.py", line 1', done.stdout)
    assert done.stdout.count("Traceback") == 1
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0, "the listener is closed"
