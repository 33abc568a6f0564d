"""The master executed again: same pid, same sockets, today's code; under load, and when the new code is broken."""

from __future__ import annotations

import os
import shutil
from signal import SIGTERM, SIGUSR2, Signals

import pytest

from greenwsgi.process.control.master_fifo import tell
from greenwsgi.process.lifecycle.pidfile import holder
from tests.live import ps
from tests.live.load import Close, KeepAlive, Load, Uwsgi
from tests.live.ps import wait_until
from tests.live.server import ROOT, Server
from tests.live.test_commands import DOORS, ask, control, greenwsgi


def reexec(server: Server, generation: int, way: Signals | str = SIGUSR2) -> None:
    """Ask for it, and wait until the next generation serves and the old one is gone."""
    old = set(server.processes()) - {server.pid}
    mark = server.mark()
    ask(server, way)
    server.wait_for(r"executed again: greenwsgi", after=mark)
    server.wait_for(rf"reloaded: generation {generation} serves", after=mark)
    wait_until(lambda: old.isdisjoint(server.processes()), "the old generation's end")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_each_way_no_request_fails_and_nothing_leaks() -> None:
    with Server("--processes", "2", "--disable-logging", *DOORS, uwsgi=True) as server:
        http = server.http_port
        with Load(KeepAlive(http), Close(http), Uwsgi(server.uwsgi_port)) as load:
            before = descriptors(server.pid)
            for generation, way in ((2, SIGUSR2), (3, "f"), (4, "reexec")):
                reexec(server, generation, way)
                load.wait_for_answers(20)
            # What an old generation held is closed a moment after its last process has gone.
            wait_until(lambda: descriptors(server.pid) == before, "the same descriptors as before")
        assert load.failures == []
        assert load.retries == 0
        assert (server.folder / "app.pid").read_text() == f"{server.pid}\n"
        assert holder(str(server.folder / "app.pid")).pid == server.pid, "its lock stays over the exec"
        assert control(server, b'{"command": "ping"}')["pid"] == server.pid
        assert len(server.workers()) == 2


def test_signals_meanwhile_are_not_lost() -> None:
    with Server(*DOORS) as server:
        server.signal(SIGUSR2)
        server.wait_for(r"the master is executed again$")
        server.signal(SIGTERM)
        server.wait(status=0)


@pytest.fixture
def own() -> Server:
    """A server that runs from a copy of the package."""
    server = Server(*DOORS)
    shutil.copytree(ROOT / "greenwsgi", server.folder / "greenwsgi", ignore=shutil.ignore_patterns("__pycache__"))
    server._env["PYTHONPATH"] = str(server.folder)
    return server


def test_an_upgrade_and_one_that_is_broken(own: Server) -> None:
    with own as server:
        init = server.folder / "greenwsgi" / "__init__.py"
        whole = init.read_text()
        init.write_text(whole + "1 / 0\n")
        server.signal(SIGUSR2)
        server.wait_for(r"ZeroDivisionError")
        server.wait_for(r"not executed again, all goes on: the rehearsal ended with status 1")
        assert server.get("/").body == b"hello"
        init.write_text(whole + '__version__ = "9.9.9"\n')
        reexec(server, 2)
        assert control(server, b'{"command": "ping"}')["version"] == "9.9.9"
        assert server.get("/").body == b"hello"


def test_a_broken_configuration_is_found_in_the_rehearsal() -> None:
    ini = "[uwsgi]\nwsgi-file = app.py\n"
    with Server("app.ini", files={"app.ini": ini}) as server:
        server.write("app.ini", ini + "processes = many\n")
        server.signal(SIGUSR2)
        server.wait_for(r"greenwsgi: error: app.ini:3: processes: found 'many'")
        server.wait_for(r"not executed again, all goes on: the rehearsal ended with status 2")
        assert server.get("/").body == b"hello"


def test_what_stays_as_it_was_is_told_by_name() -> None:
    """Sockets, user and group, files; and a user who is not known does not end the server."""
    ini = f"[uwsgi]\nwsgi-file = app.py\nuid = {os.geteuid()}\nsocket = old.sock\npidfile = old.pid\n"
    changed = "[uwsgi]\nwsgi-file = app.py\nuid = 54321\ngid = 54321\nsocket = new.sock\npidfile = new.pid\n"
    with Server("app.ini", files={"app.ini": f"{ini}master-fifo = fifo\n"}) as server:
        open_now = descriptors(server.pid)
        server.write("app.ini", changed)
        mark = server.mark()
        reexec(server, 2)
        for said in (
            "uid has changed, but needs a restart; it stays as it was",
            "gid has changed, but needs a restart; it stays as it was",
            r"uwsgi \S+old\.sock is not configured any more, but closing it needs a restart",
            r"app\.ini:5: uwsgi new\.sock is new, but opening it needs a restart",
            "pidfile has changed, but needs a restart; it stays as it was",
            "master-fifo has changed, but needs a restart; it stays as it was",
        ):
            server.wait_for(said, after=mark)
        assert not (server.folder / "new.pid").exists()
        assert greenwsgi(server, "status", "old.pid")[0] == 0
        mark = server.mark()
        tell(str(server.folder / "fifo"), "s")
        server.wait_for("fifo s: statistics are logged", after=mark)
        wait_until(lambda: descriptors(server.pid) == open_now, "the same descriptors as before")
        assert os.stat(f"/proc/{server.workers()[0]}").st_uid == os.geteuid()
        assert server.log.count("needs a restart") == 6, "nothing else has changed"
        server.write("app.ini", ini.replace(f"{os.geteuid()}", "nobody-of-that-name"))
        mark = server.mark()
        reexec(server, 3)
        server.wait_for("no such user: nobody-of-that-name", after=mark)
        assert server.get("/").body == b"hello"


def test_a_broken_application_leaves_the_old_workers_to_the_new_master() -> None:
    with Server("--processes", "2", *DOORS) as server:
        old = server.workers()
        server.write("app.py", "def app(:\n")
        server.signal(SIGUSR2)
        server.wait_for(r"reload failed: generation 2: .*SyntaxError.*generation 1 serves on")
        assert server.workers() == old
        os.kill(old[0], 9)
        ps.wait_gone(old[0])
        server.wait_for(r"worker \d \(pid \d+\) died by signal 9 \(SIGKILL\), started again")
        wait_until(lambda: len(server.workers()) == 2, "another worker")
        assert greenwsgi(server, "status", "app.pid")[0] == 0
