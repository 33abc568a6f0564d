"""Each example and each configuration, run as it says it is run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.client import free_port, http_request, read_answer
from tests.live.nginx import Nginx
from tests.live.ps import wait_until
from tests.live.server import ROOT, Server

EXAMPLES = ROOT / "examples"


def written_options(path: Path) -> list[str]:
    """The options in the first `greenwsgi ...` command line that a file shows."""
    found = re.search(r"^[ #]*greenwsgi (-.*?)(?: {2,}.*)?$", path.read_text("utf-8"), re.MULTILINE)
    assert found, f"{path.name} shows no command line"
    return shlex.split(found[1])


@pytest.fixture(scope="module")
def flaskapp() -> Iterator[Server]:
    with Server(*written_options(EXAMPLES / "flaskapp.py"), app=None, cwd=EXAMPLES) as server:
        yield server


def test_flaskapp_index(flaskapp: Server) -> None:
    answer = flaskapp.get("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    pid = re.search(r"worker <code>(\d+)</code> by <code>HTTP/1.1</code>", answer.text)
    assert pid
    assert int(pid[1]) in flaskapp.workers()
    assert len(flaskapp.workers()) == 4


def test_flaskapp_echo(flaskapp: Server) -> None:
    body = b"x" * 1_000_000
    assert json.loads(flaskapp.request("POST", "/echo", body).body) == {"length": 1_000_000}
    assert json.loads(flaskapp.request("POST", "/echo", iter([body, b"y"])).body) == {"length": 1_000_001}


def test_flaskapp_stream(flaskapp: Server) -> None:
    answer = flaskapp.get("/stream?count=50&pause=0")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.text.splitlines() == [f"line {number} of 50" for number in range(1, 51)]


def test_flaskapp_slow(flaskapp: Server) -> None:
    assert flaskapp.get("/slow?seconds=0.1").text == "slept 0.1 s\n"


def test_flaskapp_knows_no_other_page(flaskapp: Server) -> None:
    assert flaskapp.get("/nowhere").status == 404


def test_readme_serves_the_same_command() -> None:
    """The README's, the Makefile's and the example's command line are one."""
    command = "greenwsgi " + " ".join(written_options(EXAMPLES / "flaskapp.py"))
    assert command in (ROOT / "README.md").read_text("utf-8")
    assert command in (ROOT / "Makefile").read_text("utf-8")


def test_readme_starts_with_a_command_that_serves() -> None:
    start = (ROOT / "README.md").read_text("utf-8").partition("\n## Start\n")[2]
    found = re.search(r"^ +greenwsgi (.*)$", start, re.MULTILINE)
    assert found
    with Server(*shlex.split(found[1]), app=None, cwd=ROOT) as server:
        assert "<h1>Long poll</h1>" in server.get("/").text


def test_longpoll_wakes_everybody() -> None:
    """300 browsers wait in one worker; one post wakes them all, and each hears it once."""
    waiters, said = 300, "h\N{LATIN SMALL LETTER E WITH ACUTE}llo"
    with Server(*written_options(EXAMPLES / "longpoll.py"), app=None, cwd=EXAMPLES) as server, ExitStack() as stack:
        assert "poll()" in server.get("/").text
        browsers = [stack.enter_context(server.connect()) for _ in range(waiters)]
        for browser in browsers:
            browser.sendall(b"GET /wait?after=0 HTTP/1.1\r\nHost: poll\r\n\r\n")
        wait_until(lambda: json.loads(server.get("/waiting").body)["waiting"] == waiters, "everybody's waiting")
        assert json.loads(server.request("POST", "/say", said.encode()).body) == {"number": 1}
        heard = [json.loads(read_answer(browser).body) for browser in browsers]
        assert [(one["messages"], one["last"]) for one in heard] == [([said], 1)] * waiters
        assert json.loads(server.get("/wait?after=0").body)["messages"] == [said]
        assert server.get("/elsewhere").status == 404


def test_conf_greenwsgi_ini_behind_conf_nginx_conf() -> None:
    """Both files as they are, but for ports; the ini is strict, so every name in it is known."""
    uwsgi_port, http_port = free_port(), free_port()
    text = (ROOT / "conf/greenwsgi.ini").read_text("utf-8")
    for written, here in {"3031": str(uwsgi_port), "127.0.0.1:8080": f"127.0.0.1:{http_port}"}.items():
        assert text.count(written) == 1
        text = text.replace(written, here)
    files = {"conf/greenwsgi.ini": text, "examples/flaskapp.py": (EXAMPLES / "flaskapp.py").read_text("utf-8")}
    options = [*written_options(ROOT / "conf/greenwsgi.ini"), "--trusted-proxy-count", "2"]  # us too: who we say we are
    with Server(*options, app=None, http=False, files=files) as server:
        server.uwsgi_port, server.http_port = uwsgi_port, http_port
        assert len(server.workers()) == 4
        with Nginx(server) as nginx:
            for port in (nginx.uwsgi_port, nginx.http_port):
                assert "It is green" in http_request(port, "GET", "/").text
            http_request(nginx.http_port, "GET", "/", headers={"X-Forwarded-For": "203.0.113.9"})
            server.wait_for(r"\] 203\.0\.113\.9 \(\) ")
