"""Real database servers for tests: each in the foreground, on a unix socket in a folder of its own, as no root.

A server whose program is not there is None, and its tests are skipped.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path

from tests.live import ps
from tests.live.client import PATIENCE


def program(name: str) -> str | None:
    """Where it is; Debian has some of them where no user looks."""
    places = [*os.environ["PATH"].split(":"), "/usr/sbin", *sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True)]
    return shutil.which(name, path=":".join(places))


@contextmanager
def mariadb(folder: Path) -> Iterator[str | None]:
    """Its socket. Everybody may do everything, and nothing lasts."""
    server = program("mariadbd")
    if server is None:
        yield None
        return
    home, path = _home(folder / "mariadb"), str(folder / "mariadb" / "s")
    options = ["--no-defaults", f"--datadir={home}", f"--socket={path}", "--skip-grant-tables", "--skip-networking"]
    options += ["--skip-log-bin", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", f"--tmpdir={home}"]
    with _running([server, *options], home, lambda: _answers(path)):
        yield path


@contextmanager
def postgres(folder: Path) -> Iterator[str | None]:
    """The folder of its socket. Everybody may do everything, and nothing lasts."""
    server, init = program("postgres"), program("initdb")
    if server is None or init is None:
        yield None
        return
    home = _home(folder / "postgres")
    made = [init, "-D", str(home / "data"), "-N", "-A", "trust", "--locale=C", "-E", "UTF8", "-U", "postgres"]
    user = _nobody()
    subprocess.run(
        made, check=True, capture_output=True, cwd=home, user=user and user.pw_uid, group=user and user.pw_gid
    )
    options = ["-D", str(home / "data"), "-k", str(home), "-c", "listen_addresses=", "-c", "fsync=off"]
    with _running([server, *options], home, lambda: _answers(str(home / ".s.PGSQL.5432"))):
        yield str(home)


@contextmanager
def redis(folder: Path) -> Iterator[str | None]:
    """Its socket."""
    server = program("redis-server")
    if server is None:
        yield None
        return
    home = _home(folder / "redis")
    path = str(home / "s")
    options = ["--port", "0", "--unixsocket", path, "--unixsocketperm", "777", "--save", "", "--dir", str(home)]
    with _running([server, *options], home, lambda: _answers(path)):
        yield path


def _nobody() -> pwd.struct_passwd | None:
    """Whom to become: servers refuse root."""
    return None if os.geteuid() else pwd.getpwnam("nobody")


def _home(path: Path) -> Path:
    path.mkdir(0o755)
    if who := _nobody():
        os.chown(path, who.pw_uid, who.pw_gid)
    return path


@contextmanager
def _running(command: list[str], home: Path, ready: Callable[[], bool]) -> Iterator[None]:
    who = _nobody()
    uid, gid = (who.pw_uid, who.pw_gid) if who else (None, None)
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=uid, group=gid
        )
    try:
        ps.wait_until(lambda: process.poll() is not None or ready(), f"the start of {command[0]}")
        assert process.poll() is None, (home / "log").read_text()
        yield
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT if command[0].endswith("postgres") else signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
        except OSError:
            return False
    return True
