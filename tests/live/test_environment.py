"""What the application finds around it: arguments, folders, names of modules, mounts; from a file, in a real server."""

from __future__ import annotations

import json
import os

import pytest

from tests.live.server import Server

APP = """
import json, os, sys
import marked
def app(environ, start_response):
    told = {
        "argv": sys.argv, "executable": sys.executable, "cwd": os.getcwd(), "wrapper": "wsgi.file_wrapper" in environ,
        "marked": marked.__name__, "alias": sys.modules["another"].__name__, "script": environ["SCRIPT_NAME"],
        "path": environ["PATH_INFO"],
        "variables": [os.environ.get(name) for name in ("KEPT", "REMOVED", "OF_FOLDER")],
    }
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""

INI = """
[uwsgi]
mount = /below=site_app.py:app
manage-script-name = true
py-import = marked
pymodule-alias = another=json
pyargv = one  two
py-executable = /usr/bin/our-python
chdir2 = inner
wsgi-disable-file-wrapper = true
for = KEPT REMOVED
env = %(_)=1
endfor =
unenv = REMOVED
envdir = %dvariables
"""


@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)])
def test_what_the_application_finds(lazy: tuple[str, ...]) -> None:
    files = {"uwsgi.ini": INI, "site_app.py": APP, "marked.py": "", "inner/empty": "", "variables/OF_FOLDER": "x\n"}
    with Server("uwsgi.ini", *lazy, app=None, files=files) as server:
        told = json.loads(server.get("/below/x").body)
        assert server.get("/").status == 404
        folder = told.pop("cwd")
        assert told == {
            "argv": ["greenwsgi", "one", "two"],
            "executable": "/usr/bin/our-python",
            "wrapper": False,
            "marked": "marked",
            "alias": "json",
            "script": "/below",
            "path": "/x",
            "variables": ["1", None, "x"],
        }
        assert os.path.basename(folder) == "inner"


def test_which_requests_are_logged() -> None:
    options = ("--disable-logging", "--log-5xx", "--log-micros", "--memory-report")
    app = """
def app(environ, start_response):
    start_response(environ["PATH_INFO"][1:] + " Told", [("Content-Length", "0")])
    return []
"""
    with Server(*options, app=app) as server:
        assert [server.get(f"/{status}").status for status in (200, 404, 503)] == [200, 404, 503]
        server.wait_for(r"\{address space usage: \d+ bytes/\d+MB\} .* GET /503 => .* micros \(HTTP/1.1 503\)")
    assert "GET /404" not in server.log
    assert "GET /200" not in server.log
