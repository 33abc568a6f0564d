"""A real-world configuration moved into a folder of its own, so that it can be started here.

Its absolute paths come to lie in a temporary tree, its users become ours, its hosts and ports free ones on this
machine, what its template left open gets a value; everything else stays as it was written. The application it names is
a stub that answers with its environ, argv and environment variables as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from greenwsgi.config.load import load
from greenwsgi.config.settings import Settings
from greenwsgi.errors import UsageError
from greenwsgi.options.value_types import Address
from tests.live import ps
from tests.live.client import PATIENCE, free_port, read_answer, uwsgi_packet
from tests.live.server import ROOT

STUB = """
import json, os, sys

def application(environ, start_response):
    told = {
        "environ": {name: value for name, value in environ.items() if isinstance(value, (str, int, bool))},
        "argv": sys.argv,
        "env": dict(os.environ),
        "cwd": os.getcwd(),
    }
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""
FACTORY = "\ndef %s(*arguments, **named):\n    return application\n"

OPEN = {
    "process": "2", "worker": "2", "thread": "2", "harakiri": "30", "mercy": "5", "port": "8000", "listen": "100",
    "level": "0", "user": "root", "group": "root", "host": "127.0.0.1", "http": "127.0.0.1:8000",
    "bind": "127.0.0.1:8000", "socket": "/run/app.sock", "module": "wsgi", "mount": "", "prefix": "/", "dsn": "dsn",
}  # fmt: skip
"""Values for what a template or the environment would have filled in, by a part of the name."""

_FOLDER = threading.Lock()
"""Held while the process stands in another folder."""

HTTP = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"

_PATH = re.compile(r"""(?<![\w.$)}%/:{<])/(?!/|proc\b|dev\b|\*)(?=[\w.$%{])""")
_LISTENERS = re.compile(r"(?P<key>socket|http|https|bind)")
_PREFIXED = re.compile(r"(static-map2?|mount|worker-mount|static-safe)\b")
_PATHLESS = re.compile(
    r"\s*[\"<]?(route|collect-header|add-header|log-?format|cron|if-|stats-http|static-expires|error-page)"
)
_IDENTITY = re.compile(
    r"^(?P<before>\s*[\"'<]?(?:uid|gid|chown-socket|chown)[\"'>]?\s*[=:]?\s*[\"']?)[^\"'<\s,;#]+", re.MULTILINE
)


@dataclass(frozen=True)
class Told:
    """What came back from one socket: `stub` is what the application said, `error` why it said nothing."""

    address: Address
    stub: dict[str, Any]
    error: str = ""


class Mapped:
    """One configuration in a folder of its own, startable; a context manager.

    folder: empty, and with a short name: a socket's path has at most 107 bytes.
    """

    def __init__(self, file: Path, folder: Path, section: str = "") -> None:
        self.root = folder.resolve()
        self.environ: dict[str, str] = {"HOME": str(self.root)}
        self.file = self.root / "etc" / "site" / file.name
        self.file.parent.mkdir(parents=True)
        self.section = section
        self._log = self.root / "server.log"
        self.file.write_text(self._moved(file.read_text("utf-8", "surrogateescape")), "utf-8", "surrogateescape")
        self._read_environment()
        self.settings = self._settings()
        self._free_the_ports()
        self._make_what_is_named()

    # Moving

    def _moved(self, text: str) -> str:
        text = re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda found: found[2] or self._open(found[1]), text)
        text = re.sub(r"\{\{[^}]*?(\w+)[^\w}]*\}\}", lambda found: self._open(found[1]), text)
        for name in set(re.findall(r"\$\((\w+)\)", text)):
            self.environ[name] = self._open(name).replace("/run/", f"{self.root}/run/")
        text = _IDENTITY.sub(lambda found: found["before"] + str(os.getuid()), text)
        return "".join(self._moved_line(line) for line in text.splitlines(keepends=True))

    def _open(self, name: str) -> str:
        return next((value for part, value in OPEN.items() if part in name.lower()), f"/{name.lower()}")

    def _moved_line(self, line: str) -> str:
        if _PATHLESS.match(line):
            return line
        head, tail = "", line
        if _PREFIXED.search(line):
            at = line.find("=", line.find("=") + 1 if re.match(r"\s*[\w-]+\s*=", line) else 0) + 1
            head, tail = line[:at], line[at:]
        return head + _PATH.sub(f"{self.root}/", tail)

    def _read_environment(self) -> None:
        if self.file.suffix == ".env":
            for line in self.file.read_text("utf-8", "surrogateescape").splitlines():
                if found := re.fullmatch(r"\s*(\w+)\s*[=:]\s*(.*?)\s*", line):
                    self.environ[found[1]] = found[2]

    def _settings(self) -> Settings:
        """What greenwsgi itself makes of it; to be read again after each change. Raises UsageError.

        Files that it includes are not there: they are made, with nothing in them.
        """
        with _FOLDER, contextlib.chdir(self.root):
            while True:
                try:
                    return load(self.arguments, {**os.environ, **self.environ}).settings
                except UsageError as error:
                    missing = re.search(r"cannot read '([^']+)': No such file", str(error))
                    if not missing or not os.path.abspath(missing[1]).startswith(f"{self.root}/"):
                        raise
                    Path(missing[1]).parent.mkdir(parents=True, exist_ok=True)
                    Path(os.path.normpath(missing[1])).write_text("[uwsgi]\n")

    @property
    def arguments(self) -> list[str]:
        """greenwsgi's command line; none where the file is an environment."""
        if self.file.suffix == ".env":
            return []
        return [f"{self.file}:{self.section}" if self.section else str(self.file)]

    def _free_the_ports(self) -> None:
        text = self.file.read_text("utf-8", "surrogateescape")
        for address in self.settings.listeners:
            host, colon, port = address.text.partition(",")[0].rpartition(":")
            if not colon or "/" in address.text:
                continue
            free = str(free_port())
            for name, value in self.environ.items():
                if value in (port, address.text):
                    self.environ[name] = free if value == port else f"127.0.0.1:{free}"
            named = rf"(?<![\w.]){re.escape(host)}:" if host else r"(?<![\w\]])(?:127\.0\.0\.1|0\.0\.0\.0)?:"
            text = re.sub(rf"{named}{port}\b", f"127.0.0.1:{free}", text)
        self.file.write_text(text, "utf-8", "surrogateescape")
        self._read_environment()
        self.settings = self._settings()

    # What it names

    def _make_what_is_named(self) -> None:
        settings = self.settings
        python = settings.python
        base = self.root / (python.chdir or ".")
        base.mkdir(parents=True, exist_ok=True)
        for one in settings.assignments:
            for path in re.findall(rf"{re.escape(str(self.root))}/[^\s:=,;\"']+", one.text):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            if one.key in (
                "chdir",
                "chdir2",
                "pythonpath",
                "python-path",
                "pp",
                "home",
                "virtualenv",
                "venv",
                "pyhome",
            ):
                (self.root / one.text).mkdir(parents=True, exist_ok=True)
            if one.key in (
                "pidfile",
                "pidfile2",
                "daemonize",
                "daemonize2",
                "logto",
                "logto2",
                "touch-reload",
                "stats",
            ):
                (base / one.text).parent.mkdir(parents=True, exist_ok=True)
                (self.root / one.text).parent.mkdir(parents=True, exist_ok=True)
        for address in settings.listeners:
            if "/" in address.text:
                (self.root / address.text).parent.mkdir(parents=True, exist_ok=True)
                (base / address.text).parent.mkdir(parents=True, exist_ok=True)
        if python.virtualenv:
            version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
            (self.root / python.virtualenv / "lib" / version / "site-packages").mkdir(parents=True, exist_ok=True)
            (base / python.virtualenv / "lib" / version / "site-packages").mkdir(parents=True, exist_ok=True)
        self._stubs(base)

    def _stubs(self, base: Path) -> None:
        python = self.settings.python
        manage = base / "manage.py"  # what hooks run; it says what it was asked for
        manage.write_text("#!/usr/bin/env python3\nimport sys\nprint('manage.py', *sys.argv[1:])\n")
        manage.chmod(0o755)
        written = self.settings.assignments
        names = [one.text.partition("=")[2] for one in written if one.key in ("mount", "worker-mount")]
        names += [one.text for one in written if one.key in ("import", "pyimport", "shared-import", "py-import")]
        names += [python.wsgi_file, python.module]
        for name in filter(None, names):
            target, _, callable_ = name.partition(":")
            code = STUB
            for one in (callable_, python.callable):
                plain = one.partition("(")[0]
                if "(" in one:
                    code += FACTORY % plain
                elif plain and plain != "application":
                    code += f"\n{plain} = application\n"
            if "/" in target or target.endswith(".py") or target == python.wsgi_file:
                file = base / target
            else:
                parts = target.split(".")
                for depth in range(1, len(parts)):
                    package = self.root / "stubs" / Path(*parts[:depth])
                    package.mkdir(parents=True, exist_ok=True)
                    (package / "__init__.py").touch()
                file = self.root / "stubs" / Path(*parts).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code)

    # Running

    def __enter__(self) -> Self:
        paths = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{self.root / 'stubs'}",
        }
        environ = {**os.environ, **self.environ, **paths}
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "greenwsgi", *self.arguments],
                cwd=self.root,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        for sig in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sig)
            deadline = time.monotonic() + (5 if sig is signal.SIGTERM else PATIENCE)
            while self._pids() and time.monotonic() < deadline:
                time.sleep(0.02)
        self._process.wait(PATIENCE)

    def _pids(self) -> list[int]:
        """Its processes, wherever they have gone: of its session, or with something of its folder open."""
        inside = f"{self.root}/"
        found = []
        for process in ps.living():
            with contextlib.suppress(OSError):
                links = [f"/proc/{process.pid}/cwd", *(entry.path for entry in os.scandir(f"/proc/{process.pid}/fd"))]
                opened = any(f"{os.readlink(link)}/".startswith(inside) for link in links)
                if process.session == self._process.pid or (opened and process.pid != os.getpid()):
                    found.append(process.pid)
        return found

    @property
    def log(self) -> str:
        texts = [path.read_text("utf-8", "replace") for path in self.root.rglob("*.log") if path.is_file()]
        return "\n".join(texts)

    def ask(self) -> Iterator[Told]:
        """Ask each of its sockets for /, once it answers or the server has ended."""
        deadline = time.monotonic() + PATIENCE
        for address in self.settings.listeners:
            error = ""
            while True:
                try:
                    yield Told(address, self._ask(address))
                    break
                except (OSError, ValueError, AssertionError) as failed:
                    error = f"{type(failed).__name__}: {failed}"
                over = self._process.poll() not in (None, 0)
                if over or time.monotonic() >= deadline:
                    yield Told(address, {}, error)
                    break
                time.sleep(0.05)

    def _ask(self, address: Address) -> dict[str, Any]:
        with self._connected(address.text) as sock:
            sock.settimeout(PATIENCE)
            sock.sendall(uwsgi_packet("/") if address.protocol == "uwsgi" else HTTP)
            answer = read_answer(sock)
            if answer.status != 200:
                raise ValueError(f"{answer.status} {answer.body[:200]!r}")
            told: dict[str, Any] = json.loads(answer.body)
            return told

    def _connected(self, text: str) -> socket.socket:
        if "/" in text or ":" not in text:
            for base in (self.root, self.root / (self.settings.python.chdir or ".")):
                if (base / text).exists():
                    sock = socket.socket(socket.AF_UNIX)
                    try:
                        sock.connect(str(base / text))
                    except OSError:
                        sock.close()
                        raise
                    return sock
            raise ConnectionRefusedError(f"there is no {text}")
        host, _, port = text.rpartition(":")
        host = host.strip("[]")
        return socket.create_connection((host if host not in ("", "0.0.0.0") else "127.0.0.1", int(port)), PATIENCE)


def defines_a_server(settings: Settings) -> bool:
    """Does it name an application and a socket?"""
    keys: Mapping[str, None] = dict.fromkeys(one.key for one in settings.assignments)
    application = settings.python.wsgi_file or settings.python.module or "mount" in keys
    return bool(application) and settings.listeners[0].origin.source != "default"


def main() -> None:
    """`python -m tests.live.mapped FILE...`: start each and say what came of it."""
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory(prefix="gw-") as folder:
            _say(name, Path(folder))


def _say(name: str, folder: Path) -> None:
    try:
        mapped = Mapped(Path(name), folder)
    except (UsageError, OSError) as error:
        print(f"{name}: not read: {error}")
        return
    if not defines_a_server(mapped.settings):
        print(f"{name}: no server")
        return
    with mapped:
        for told in mapped.ask():
            print(f"{name}: {told.address.protocol} {told.address.text}: {told.error or 'ok'}")
            if told.error:
                print(mapped.log[-1500:])


if __name__ == "__main__":
    main()
