"""daemonize: back at the prompt when the server serves, with nothing of it left at the terminal."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.client import PATIENCE, free_port, http_request
from tests.live.server import HELLO, ROOT


def started(folder: Path, *options: str, how: str = "") -> subprocess.CompletedProcess[str]:
    """greenwsgi, when its output has been closed by all of its processes. how: what a shell redirects before."""
    command = ["sh", "-c", f'exec "$@" {how}', "sh", sys.executable, "-m", "greenwsgi"]
    command += ["--wsgi-file", "app.py", "--daemonize", "server.log", *options]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environ, timeout=PATIENCE, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of the end of a process that is no child")
@pytest.mark.parametrize("how", ["", "<&-"], ids=["", "without standard input"])
def test_the_server_goes_to_the_background(how: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HELLO)
    port = free_port()
    done = started(tmp_path, "--http-socket", f"127.0.0.1:{port}", "--pidfile", "x.pid", how=how)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = int((tmp_path / "x.pid").read_text())
    ended = os.pidfd_open(pid)
    try:
        assert http_request(port, "GET", "/").body == b"hello"
        assert os.getsid(pid) == pid != os.getsid(0)
        assert os.path.realpath(f"/proc/{pid}/fd/0") == os.devnull
        assert "ready: generation 1 serves" in (tmp_path / "server.log").read_text()
    finally:
        os.kill(pid, signal.SIGTERM)
        assert select.select([ended], [], [], PATIENCE)[0]
        os.close(ended)
    assert (tmp_path / "server.log").read_text().rstrip().endswith("stopped")


WHERE_INPUT_IS = """
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [os.readlink("/proc/self/fd/0").encode()]
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of the end of a process that is no child")
def test_its_application_does_not_read_at_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(WHERE_INPUT_IS)
    keyboard, terminal = os.openpty()
    port = free_port()
    how = f"< {os.ttyname(terminal)}"
    done = started(tmp_path, "--http-socket", f"127.0.0.1:{port}", "--pidfile", "x.pid", how=how)
    assert done.returncode == 0, done.stderr
    ended = os.pidfd_open(pid := int((tmp_path / "x.pid").read_text()))
    try:
        assert http_request(port, "GET", "/").text == os.devnull
    finally:
        os.kill(pid, signal.SIGTERM)
        assert select.select([ended], [], [], PATIENCE)[0]
        for fd in (ended, keyboard, terminal):
            os.close(fd)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells of the end of a process that is no child")
def test_a_fallback_goes_to_the_background_too(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HELLO)
    ini = (
        f"[uwsgi]\nwsgi-file = app.py\nhttp-socket = 127.0.0.1:{free_port()}\npidfile = x.pid\ndaemonize = other.log\n"
    )
    (tmp_path / "fallback.ini").write_text(ini)
    done = started(tmp_path, "--http-socket", "/no/such/folder/x.sock", "--fallback-config", "fallback.ini")
    assert (done.returncode, done.stdout) == (0, "")
    ended = os.pidfd_open(pid := int((tmp_path / "x.pid").read_text()))
    os.kill(pid, signal.SIGTERM)
    assert select.select([ended], [], [], PATIENCE)[0]
    os.close(ended)


@pytest.mark.parametrize(
    ("app", "options", "status", "said"),
    [
        ("import gone", ("--http-socket", "127.0.0.1:0"), 22, "server.log"),
        (HELLO, ("--http-socket", "/no/such/folder/x.sock"), 2, "greenwsgi: error: "),
    ],
)
def test_a_start_that_fails_is_told_at_the_terminal(
    app: str, options: tuple[str, ...], status: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(app)
    done = started(tmp_path, *options)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
