"""Hooks: each at its moment, in the right process, as the right user; and what comes of those that fail."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.ps import wait_until
from tests.live.server import HELLO, ROOT, Server

START = ("asap", "pre-jail", "in-jail", "as-root", "as-user")
LOAD = ("pre-app", "post-app")
WORKER = ("post-fork", "accepting", "accepting1")


def said(server: Server) -> list[tuple[str, int]]:
    """Which command was run, and by whom, in order."""
    return [(name, int(pid)) for name, pid in re.findall(r"^(?:said) (\S+) (\d+)$", server.log, re.MULTILINE)]


def options() -> list[str]:
    given = []
    for moment in (*START, *LOAD, *WORKER, "as-user-atexit"):
        given += [f"--hook-{moment}", f"exec:echo said hook-{moment} $PPID"]
        if moment not in WORKER:
            given += [f"--exec-{moment}", f"echo said exec-{moment} $PPID"]
    return given


def test_each_at_its_moment() -> None:
    app = HELLO + "\nprint('said imported 1', flush=True)\n"
    with Server("--processes", "2", *options(), app=app) as server:
        server.wait_for(r"^said hook-accepting1 ")
        found = said(server)
        first = [name for name, _ in found if "post-fork" not in name and "accepting" not in name]
        expected = [f"{prefix}-{moment}" for moment in (*START, *LOAD) for prefix in ("hook", "exec")]
        expected.insert(-2, "imported")
        assert first == expected
        by = dict(found)
        assert {by[f"exec-{moment}"] for moment in START} == {server.pid}
        assert {by[f"hook-{moment}"] for moment in LOAD} == set(server.zygotes())
        for moment in ("post-fork", "accepting"):
            assert sorted(pid for name, pid in found if name == f"hook-{moment}") == server.workers()
        assert len([name for name, _ in found if name == "hook-accepting1"]) == 1
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_for(r"reloaded: generation 2 serves", after=mark)
        again = re.findall(r"^said (\S+)", server.log[mark:], re.MULTILINE)
        assert again.count("exec-pre-app") == 1
        assert "hook-as-user" not in again
        server.stop()
        assert [name for name, _ in said(server)][-2:] == ["hook-as-user-atexit", "exec-as-user-atexit"]


def test_a_reload_whose_hook_fails_is_given_up() -> None:
    with Server("--exec-pre-app", "test ! -e broken") as server:
        server.write("broken", "")
        server.signal(signal.SIGHUP)
        server.wait_for(r"reload failed: generation 2: exec-pre-app: .* status 1; generation 1 serves on")
        assert server.get("/").status == 200


@pytest.mark.parametrize("moment", ["asap", "as-user", "pre-app", "post-fork", "accepting"])
def test_a_start_whose_hook_fails_ends_with_one_line(moment: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HELLO)
    command = [sys.executable, "-m", "greenwsgi", "--http-socket", "127.0.0.1:0", "--wsgi-file", "app.py"]
    done = subprocess.run(
        [*command, f"--hook-{moment}", "exec:exit 3"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert f"hook-{moment}: exec:exit 3: ended with status 3" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_has_our_standard_three_and_nothing_else() -> None:
    """The fourth is the folder that ls reads."""
    command = "grep -E '^Sig(Blk|Ign):' /proc/self/status; exec ls -C /proc/self/fd"
    with Server("--exec-as-user", command, "--exec-pre-app", command, "--hook-accepting", f"exec:{command}") as server:
        assert re.findall(r"^0 .*$", server.log, re.MULTILINE) == ["0  1  2  3"] * 3
        masks = re.findall(r"^Sig\w+:\t(\w+)$", server.log, re.MULTILINE)
        assert len(masks) == 6
        # The signals above 31 are nobody's here, but whoever started the tests may have handed them down ignored.
        assert {int(mask, 16) & 0x7FFF_FFFF for mask in masks} == {0}


def test_actions(tmp_path: Path) -> None:
    hooks = (
        f"mkdir:{tmp_path}/made", f"cd:{tmp_path}/made", "write:one a b", "appendn:one  c", "append:one d",
        "writen:two x", "create:three", "touch:four", "touch:five", "unlink:five", "safeexec:exit 4",
        "print:hello there",
    )  # fmt: skip
    given = [word for hook in hooks for word in ("--hook-pre-app", hook)]
    with Server(*given, "--hook-as-user-atexit", "exec:exit 5", "--exec-as-user-atexit", "echo the end") as server:
        made = tmp_path / "made"
        assert {path.name: path.read_text() for path in made.iterdir()} == {
            "one": "a b c\nd",
            "two": "x\n",
            "three": "",
            "four": "",
        }
        assert "hello there" in server.log
        server.wait_for(r"safeexec:exit 4 ended with status 4")
        server.stop()
        assert re.search(r"hook-as-user-atexit: exec:exit 5: ended with status 5", server.log)
        assert re.search(r"^the end$", server.log, re.MULTILINE)


def test_wherever_a_hook_leads_names_begin_where_the_server_was_started(tmp_path: Path) -> None:
    """Of a configuration that is read again, of a log that is opened anew; the application's, where the hook led."""
    ini = f"[uwsgi]\nhook-as-user = cd:{tmp_path}\nexec-pre-app = echo generation in $(pwd)\n"
    with Server("--ini", "x.ini", "--logto", "x.log", "--log-reopen", files={"x.ini": ini}, ready="") as server:
        log = server.folder / "x.log"

        def said(text: str) -> None:
            wait_until(lambda: log.exists() and text in log.read_text(), text)

        said("generation 1 serves")
        for generation, signalled in ((2, signal.SIGHUP), (3, signal.SIGUSR2), (4, signal.SIGHUP)):
            log.rename(server.folder / "old.log")
            server.signal(signalled)
            said(f"generation {generation} serves")
            assert f"generation in {tmp_path}\n" in log.read_text()
        assert list(tmp_path.iterdir()) == []


def test_programs_of_hooks_have_the_environment_that_the_options_set() -> None:
    command = "echo said $A-$B-$C"
    given = [word for moment in (*START, "pre-app", "as-user-atexit") for word in (f"--exec-{moment}", command)]
    with Server("--env", "A=one", "--unenv", "B", *given, env={"A": "0", "B": "two", "C": "three"}) as server:
        server.stop()
        assert re.findall(r"^said .*", server.log, re.MULTILINE) == ["said one--three"] * (len(START) + 2)
