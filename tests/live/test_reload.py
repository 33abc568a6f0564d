"""SIGHUP under load: new workers are ready before old ones leave; no request is lost, none waits for the import."""

from __future__ import annotations

import functools
import signal
from pathlib import Path

import pytest

from tests.live.load import Close, KeepAlive, Load, every_kind
from tests.live.ps import wait_until
from tests.live.server import Server

HELD = """
import os
print("importing", flush=True)
while not os.path.exists("go"):
    time.sleep(0.02)
"""
"""The beginning of an application whose import takes until there is a file `go`."""

APP = """
import time
{first}
VERSION = b"{version}"

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(VERSION)))])
    return [VERSION]
"""


def source(version: str, first: str = "") -> str:
    return APP.format(version=version, first=first)


@pytest.mark.parametrize("processes", [1, 4])
def test_no_request_fails_and_none_waits_for_the_import(processes: int) -> None:
    """While the new code is held up in its import, the old one answers everybody."""
    options = ["--processes", str(processes), "--async", "100", "--disable-logging"]
    files = {"go": ""}
    with (
        Server(*options, app=source("1", HELD), uwsgi=True, files=files) as server,
        every_kind(server.http_port, server.uwsgi_port) as load,
    ):
        for generation in (2, 3, 4):
            (server.folder / "go").unlink()
            server.write("app.py", source(str(generation), HELD))
            mark = server.mark()
            server.signal(signal.SIGHUP)
            server.wait_for("^importing$", after=mark)
            load.wait_for_answers(20)
            server.write("go", "")
            server.wait_for(rf"generation {generation} serves with", after=mark)
            wait_until(lambda: len(server.workers()) == processes, "the old generation's end")
            load.wait_for_answers(20)
            assert server.get("/").text == str(generation)
    assert load.failures == []
    assert load.retries == 0
    assert set(load.texts) == {"1", "2", "3", "4"}


def test_the_folder_it_was_started_in_may_be_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with Server(app=source("1"), cwd=gone) as server:
        gone.rmdir()
        server.write("app.py", source("2"))
        server.reload(2)
        assert server.get("/").text == "2"


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("def app(:\n", r'app\.py", line 1'),
        ("VERSION = 1\n1 / 0\n", r'app\.py", line 2'),
        ("VERSION = 1\n", r"app\.py.*neither 'application' nor 'app'"),
        ("import sys\nsys.exit(3)\n", r'app\.py", line 2|SystemExit'),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", r"signal 9|SIGKILL"),
    ],
)
def test_a_broken_application_leaves_the_old_one_serving(broken: str, named: str) -> None:
    with (
        Server("--processes", "2", app=source("old"), uwsgi=True) as server,
        every_kind(server.http_port, server.uwsgi_port) as load,
    ):
        before = server.workers()
        server.write("app.py", broken)
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_for(r"generation 1 serves on", after=mark)
        server.wait_for(named, after=mark)
        assert server.workers() == before
        load.wait_for_answers(20)
        server.write("app.py", source("mended"))
        server.reload(3)
        assert server.get("/").text == "mended"
    assert load.failures == []
    assert set(load.texts) <= {"old", "mended"}


def nobody_of(before: set[int], server: Server) -> bool:
    return before.isdisjoint(server.processes())


@pytest.mark.parametrize("option", ["touch-reload", "touch-workers-reload", "touch-chain-reload"])
@pytest.mark.parametrize(
    "lazy", [(), pytest.param(("--lazy-apps",), marks=pytest.mark.long)], ids=["preloaded", "lazy"]
)
def test_every_kind_of_reload_under_load(option: str, lazy: tuple[str, ...]) -> None:
    options = ["--processes", "2", f"--{option}", "touched", "--disable-logging", *lazy]
    with (
        Server(*options, app=source("1"), uwsgi=True) as server,
        every_kind(server.http_port, server.uwsgi_port) as load,
    ):
        server.wait_for(f"{option} touched: there is no such file yet")
        for generation in (2, 3):
            server.write("app.py", source(str(generation)))
            before = set(server.processes()) - {server.pid}
            mark = server.mark()
            server.write("new", str(generation)).rename(server.folder / "touched")
            server.wait_for(rf"^.*{option} touched: the application is loaded again", after=mark)
            server.wait_for(rf"generation {generation} serves with 2 workers", after=mark)
            wait_until(functools.partial(nobody_of, before, server), "the old generation's end")
            load.wait_for_answers(20)
            assert server.get("/").text == str(generation)
    assert load.failures == []
    assert load.retries == 0
    assert set(load.texts) == {"1", "2", "3"}


@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["preloaded", "lazy"])
def test_an_import_that_hangs_is_given_up_and_shows_where(lazy: tuple[str, ...]) -> None:
    """The time is short for that import alone: a busy machine takes longer than it for the first."""
    options = ["--processes", "2", "uwsgi.ini", "--disable-logging", *lazy]
    with Server(*options, app=source("old"), files={"uwsgi.ini": "[uwsgi]\n"}) as server:
        with Load(KeepAlive(server.http_port), Close(server.http_port)) as load:
            server.write("uwsgi.ini", "[uwsgi]\nboot-timeout = 5\n")
            server.write("app.py", source("new", "time.sleep(600)"))
            server.signal(signal.SIGHUP)
            server.wait_for(r'the application.s import hangs here:\n(  .*\n)*  File ".*app\.py", line 3, in <module>')
            server.wait_for(r"reload failed: .*was not loaded within boot-timeout 5; generation 1 serves on")
            load.wait_for_answers(20)
        wait_until(lambda: len(server.processes()) == 4, "the end of what was started for it")
    assert load.failures == []
    assert set(load.texts) == {"old"}


FIRST_FORK_ONLY = """
import os
from pathlib import Path

def forked():
    if Path("once").exists():
        os.kill(os.getpid(), 11)
    Path("once").touch()

os.register_at_fork(after_in_child=forked)
"""


def test_a_chain_reload_that_fails_on_the_way_is_undone() -> None:
    """Worker 2 of the new generation crashes and crashes, when worker 1 has taken over already."""
    options = ("--processes", "3", "--touch-chain-reload", "touched", "--disable-logging")
    with (
        Server(*options, app=source("old"), uwsgi=True) as server,
        every_kind(server.http_port, server.uwsgi_port) as load,
    ):
        server.wait_for("there is no such file yet")
        server.write("app.py", source("new", FIRST_FORK_ONLY))
        server.write("touched", "")
        server.wait_for("generation 2 has taken over worker 1")
        server.wait_for(r"reload failed: generation 2: worker 2 died .* times in a row .*; generation 1 serves on")
        wait_until(lambda: len(server.processes()) == 5, "the old generation's three workers, and nobody else")
        load.wait_for_answers(20)
        assert server.get("/").text == "old"
    assert load.failures == []
    assert set(load.texts) == {"old", "new"}
