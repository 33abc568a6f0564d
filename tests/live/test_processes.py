"""Real masters, zygotes and workers: who dies, who is replaced, what each may know and hold."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from greenwsgi.process.lifecycle.pidfile import holder
from tests.live import ps
from tests.live.client import PATIENCE
from tests.live.server import HELLO, ROOT, Server, nobody_else

PID = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

IMPORTS_FOR_EVER = """
import sys, time

print("importing", file=sys.stderr, flush=True)
time.sleep(600)
"""

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs what only Linux has: /proc, subreapers")


# What each process is and holds


def test_master_stays_plain_python(tmp_path: Path) -> None:
    """Each process writes down at its end which modules it has; the master's are few."""
    (tmp_path / "sitecustomize.py").write_text("""
import atexit, json, os, sys

def tell():
    with open(os.path.join(os.environ["SPY"], str(os.getpid())), "w") as file:
        json.dump(sorted(sys.modules), file)

atexit.register(tell)
""")
    env = {"SPY": str(tmp_path), "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with Server("--processes", "2", app="import asyncio\n" + HELLO, env=env) as server:
        (worker, _), master = server.workers(), server.pid
        server.signal(signal.SIGHUP)
        server.wait_for("generation 2 serves")
        server.stop()
    modules = {pid: set(json.loads((tmp_path / str(pid)).read_text())) for pid in (master, worker)}
    foreign = {"gevent", "greenlet", "ssl", "asyncio", "concurrent.futures", "app"}
    assert modules[worker] >= foreign, "the spy sees what is there"
    assert modules[master] & foreign == set()
    assert "greenwsgi.process.supervision.master" in modules[master]


def test_titles() -> None:
    with Server("--processes", "2") as server:
        (zygote,) = server.zygotes()
        titles = {ps.title(pid) for pid in server.workers()}
        assert ps.title(server.pid) == b"greenwsgi master"
        assert ps.title(zygote) == b"greenwsgi zygote 1"
        assert titles == {b"greenwsgi worker 1", b"greenwsgi worker 2"}


def test_programs_of_the_application_have_its_standard_streams() -> None:
    app = "import subprocess\nsubprocess.run(['sh', '-c', 'echo out; echo err >&2'], check=True)\n" + HELLO
    with Server(app=app) as server:
        server.wait_for("^out$")
        server.wait_for("^err$")


@needs_linux
def test_programs_of_the_application_hold_nothing_of_ours() -> None:
    app = """
import subprocess, sys

LIST = [sys.executable, "-S", "-c", "import os; print(os.listdir('/proc/self/fd'), os.getppid())"]
at_import = subprocess.run(LIST, capture_output=True).stdout

def app(environ, start_response):
    start_response("200 OK", [])
    return [at_import, subprocess.run(LIST, capture_output=True).stdout]
"""
    with Server(app=app, uwsgi=True) as server:
        at_import, in_request = server.get().text.splitlines()
    for line in (at_import, in_request):
        descriptors, _, _ = line.partition("] ")
        assert descriptors == "['0', '1', '2', '3'"  # the last one is the folder that is being listed


@needs_linux
def test_a_descriptor_of_the_masters_parent_goes_no_further(tmp_path: Path) -> None:
    """A shell's `greenwsgi 9>lock` holds the lock as long as the master lives, not as long as some child does."""
    command = ["sh", "-c", 'exec 9>"$LOCK" && exec "$@"', "sh", sys.executable, "-m", "greenwsgi"]
    lock = tmp_path / "lock"
    with Server(command=command, env={"LOCK": str(lock)}) as server:
        holders = [pid for pid in server.processes() if str(lock) in ps.open_files(pid).values()]
        assert holders == [server.pid]


@needs_linux
def test_reloads_leak_no_descriptor() -> None:
    with Server("--processes", "2") as server:
        before = len(ps.open_files(server.pid))
        for generation in (2, 3, 4):
            mark = server.mark()
            server.signal(signal.SIGHUP)
            server.wait_for(f"generation {generation} serves", after=mark)
            ps.wait_until(lambda: len(server.processes()) == 4, "the old generation's end")
        ps.wait_until(lambda: len(ps.open_files(server.pid)) == before, "the same descriptors as before")


@needs_linux
def test_dead_workers_leave_no_descriptor_in_their_zygote() -> None:
    """A zygote whose import has used gevent has a hub, whose loop it never runs: nothing may wait for that."""
    with Server(app="import gevent\ngevent.spawn(len, ())\n" + HELLO) as server:
        (zygote,) = server.zygotes()
        before = sorted(ps.open_files(zygote).values())
        for _ in range(3):
            (victim,) = server.workers()
            mark = server.mark()
            os.kill(victim, signal.SIGKILL)
            server.wait_for(rf"worker 1 \(pid {victim}\) died by signal 9", after=mark)
            ps.wait_until(lambda: len(server.workers()) == 1, "the next worker")
            assert server.get().status == 200
        assert sorted(ps.open_files(zygote).values()) == before


def test_nothing_beside_the_application_stands_in_for_the_standard_library() -> None:
    """The zygote needs these before it has patched, and the current folder has its own."""
    decoys = {f"{name}.py": "raise SystemExit('a decoy was imported')" for name in ("queue", "selectors", "uuid")}
    command = (sys.executable, "-P", "-m", "greenwsgi")
    with Server(files=decoys, command=command) as server:
        assert server.get().text == "hello"


# Boot


def test_a_greenlet_spawned_at_import_runs_in_every_worker() -> None:
    app = """
import os, gevent

ran_in = []
gevent.spawn(lambda: ran_in.append(os.getpid()))

def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{ran_in} {os.getpid()}".encode()]
"""
    with Server(app=app) as server:
        (worker,) = server.workers()
        assert server.get().text == f"[{worker}] {worker}"


@pytest.mark.parametrize("stream", ["open('/dev/full', 'w')", "None"], ids=["full", "none"])
def test_an_output_that_takes_nothing_more_keeps_no_worker_from_being_forked(stream: str) -> None:
    app = f"import sys\nprint('x', file=sys.stderr)\nsys.stdout = {stream}\nprint('lost')\n{HELLO}"
    with Server(app=app) as server:
        (worker,) = server.workers()
        mark = server.mark()
        os.kill(worker, signal.SIGKILL)
        server.wait_for(r"worker 1 \(pid \d+\) died by signal 9", after=mark)
        assert server.get().text == "hello"


def test_workers_do_not_share_their_random_numbers() -> None:
    draw = "os.register_at_fork(after_in_child=lambda: os.write(1, f'dice {random.random()}\\n'.encode()))"
    with Server("--processes", "2", app=f"import os, random\n{HELLO}\n{draw}") as server:
        server.wait_for(r"dice (.*)\n(?s:.*)dice (.*)\n")
        drawn = [line for line in server.log.splitlines() if line.startswith("dice")]
    assert len(set(drawn)) == len(drawn) == 2


def test_the_application_sees_its_environment_and_folder(tmp_path: Path) -> None:
    app = """
import os, sys

seen = f"{os.environ['COLOUR']} {os.getcwd()} {sys.argv}"

def app(environ, start_response):
    start_response("200 OK", [])
    return [seen.encode()]
"""
    with Server("--env", "COLOUR=green", "--chdir", str(tmp_path), app=app) as server:
        assert server.get().text == f"green {tmp_path} ['greenwsgi']"


def test_an_application_that_is_false_is_one() -> None:
    app = """
import sys

class App(dict):
    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return [b"on"]

print("imported", file=sys.stderr)
app = App()
"""
    with Server(app=app) as server:
        assert server.get().text == "on"
    assert server.log.count("imported") == 1


def test_lazy_apps_import_in_each_worker() -> None:
    app = "import os\nimported_in = os.getpid()\n" + PID.replace("str(os.getpid())", 'f"{imported_in} {os.getpid()}"')
    with Server("--lazy-apps", app=app) as server:
        (worker,) = server.workers()
        assert server.get().text == f"{worker} {worker}"


@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["preloaded", "lazy"])
@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("def app(:", r"app\.py:1: SyntaxError"),
        ("import no_such_module", r"app\.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", r"app\.py:1: SystemExit: 3"),
        ("import os\nos.kill(os.getpid(), 11)", r"signal 11 \(SIGSEGV\)|died 5 times in a row before it was ready"),
    ],
    ids=["syntax", "import", "exit", "segfault"],
)
def test_an_application_that_does_not_load_ends_the_server(lazy: tuple[str, ...], broken: str, named: str) -> None:
    server = Server(
        "--processes", "2", "--pidfile", "app.pid", *lazy, app=broken, ready="the application did not come up"
    )
    with server:
        server.wait(status=22)
        server.wait_for(f"did not come up, the server ends: .*(?:{named})")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["preloaded", "lazy"])
def test_a_stop_while_the_application_is_imported_is_obeyed(lazy: tuple[str, ...], number: int) -> None:
    with Server(*lazy, app=IMPORTS_FOR_EVER, ready="^importing") as server:
        server.stop(number)


def test_a_reload_while_the_application_is_imported_imports_it_again() -> None:
    with Server(app=IMPORTS_FOR_EVER, ready="^importing") as server:
        server.write("app.py", HELLO)
        server.signal(signal.SIGHUP)
        server.wait_for("generation 2 serves")
        assert server.get().text == "hello"


def test_a_reload_reads_the_configuration_again() -> None:
    with Server("--ini", "app.ini", app=PID, files={"app.ini": "[uwsgi]\nprocesses = 1\n"}) as server:
        server.write("app.ini", "[uwsgi]\nprocesses = three\n")
        server.signal(signal.SIGHUP)
        server.wait_for(r"reload refused, nothing has changed: .*app\.ini:2: processes")
        assert [int(server.get().text)] == server.workers()
        server.write("app.ini", "[uwsgi]\nprocesses = 3\n")
        server.signal(signal.SIGHUP)
        server.wait_for("reloaded: generation 2 serves with 3 workers")


# Deaths


def test_a_killed_worker_is_replaced_at_once() -> None:
    with Server(app=PID) as server:
        (victim,) = server.workers()
        os.kill(victim, signal.SIGKILL)
        server.wait_for(rf"worker 1 \(pid {victim}\) died by signal 9 \(SIGKILL\), started again")
        assert int(server.get().text) != victim


def test_a_request_that_died_with_its_worker_has_its_line() -> None:
    app = """
import os, signal

def app(environ, start_response):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with Server(app=app) as server, server.connect() as sock:
        sock.sendall(b"GET /deadly HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(1) == b""
        server.wait_for(r"GET /deadly .*killed")


@needs_linux
def test_a_loop_that_c_code_blocks_is_ended_by_the_master() -> None:
    """PyDLL keeps the GIL: not even the worker's native thread can act."""
    app = """
import ctypes

def app(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        ctypes.PyDLL(None).sleep(600)
    start_response("200 OK", [])
    return [b"on"]
"""
    with Server("--harakiri", "1", app=app) as server, server.connect() as sock:
        (worker,) = server.workers()
        sock.sendall(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for(rf"worker 1 \(pid {worker}\) gets SIGABRT: harakiri: GET /block")
        server.wait_for(r'app\.py", line 6 in app')
        assert server.get("/").text == "on"
        server.wait_for(r"GET /block .*killed")


def test_a_killed_zygote_is_replaced_while_its_workers_serve() -> None:
    with Server("--processes", "2", app=PID) as server:
        workers, (zygote,) = server.workers(), server.zygotes()
        os.kill(zygote, signal.SIGKILL)
        server.wait_for(rf"zygote 1 \(pid {zygote}\) died by signal 9")
        assert int(server.get().text) in workers
        ps.wait_until(lambda: b"greenwsgi zygote 1" in map(ps.title, server.processes()), "another zygote")
        assert server.workers() == workers
        os.kill(workers[0], signal.SIGKILL)
        server.wait_for(rf"\(pid {workers[0]}\) died by signal 9 \(SIGKILL\), started again")
        ps.wait_until(lambda: len(server.workers()) == 2, "a worker of the new zygote")
        assert workers[1] in server.workers()


@pytest.mark.parametrize("importing", [False, True])
def test_nobody_outlives_a_killed_master(importing: bool) -> None:
    app, ready = (IMPORTS_FOR_EVER, "^importing") if importing else (HELLO, "generation 1 serves")
    if importing and sys.platform != "linux":
        pytest.skip("a zygote that imports sees the master's end afterwards, but for Linux's parent death signal")
    with Server("--processes", "2", app=app, ready=ready) as server:
        children = [pid for pid in server.processes() if pid != server.pid]
        assert len(children) == (1 if importing else 3)
        os.kill(server.pid, signal.SIGKILL)
        for pid in children:
            ps.wait_gone(pid)


@needs_linux
def test_an_orphan_that_drains_does_not_spin() -> None:
    """The lifeline stays readable for ever; the loop turns for the server's few timers only."""
    app = """
import time
import gevent

def app(environ, start_response):
    start_response("200 OK", [])
    yield b"waiting"
    environ["greenwsgi.draining"].wait()
    begun, turns = time.monotonic(), 0
    with gevent.get_hub().loop.prepare() as watcher:
        def count():
            nonlocal turns
            turns += 1
        watcher.start(count)
        gevent.sleep(0.5)
        watcher.stop()
    yield f"{turns / (time.monotonic() - begun)} turns a second".encode()
"""
    with Server(app=app) as server, server.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while b"waiting" not in sock.recv(65536):
            pass
        (worker,) = server.workers()
        os.kill(server.pid, signal.SIGKILL)
        said = b"".join(iter(lambda: sock.recv(65536), b""))
        turns = re.search(rb"(\S+) turns a second", said)
        assert turns is not None
        assert float(turns[1]) < 500
        ps.wait_gone(worker)


EXITS = """
import sys
import gevent
from gevent.event import Event

gate = Event()

def leaves():
    gate.wait()
    sys.exit("enough")

for _ in range(2):
    gevent.spawn(leaves)

def app(environ, start_response):
    start_response("200 OK", [])
    yield b"one "
    if environ["PATH_INFO"] == "/gate":
        gate.set()
        environ["greenwsgi.draining"].wait()
    yield b"two"
"""


def test_sys_exit_in_a_greenlet_of_the_application_costs_no_request() -> None:
    """Its worker leaves as one that is replaced does, and says where it was."""
    with Server(app=EXITS) as server:
        (worker,) = server.workers()
        assert server.get("/gate").text == "one two"
        server.wait_for(r"(?s)worker 1 leaves: SystemExit in a greenlet of the application:.*line 10, in leaves")
        server.wait_for(rf"worker 1 \(pid {worker}\) ended with status 1")
        assert server.get().text == "one two"


def test_signals_to_everybody_at_once() -> None:
    """As a terminal sends them on ctrl-C; the master decides."""
    with Server("--processes", "2") as server:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(status=0)


def test_signals_that_must_not_kill() -> None:
    with Server(app=PID) as server:
        server.signal(signal.SIGURG)
        server.wait_for("SIGURG: ignored")
        (worker,), (zygote,) = server.workers(), server.zygotes()
        for pid, number in ((zygote, signal.SIGTERM), (zygote, signal.SIGUSR1), (worker, signal.SIGUSR1)):
            os.kill(pid, number)
        for pid in (zygote, worker):
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGHUP)
        assert int(server.get().text) == worker
        assert server.zygotes() == [zygote]


def test_the_application_may_take_the_signals_that_are_free() -> None:
    app = "import faulthandler, signal\nfaulthandler.register(signal.SIGUSR1)\n" + HELLO
    with Server(app=app) as server:
        os.kill(server.workers()[0], signal.SIGUSR1)
        server.wait_for(r"^(Current thread|Thread) 0x.*most recent call first")
        assert server.get().text == "hello"


@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["preloaded", "lazy"])
def test_signals_that_the_application_must_not_take(lazy: tuple[str, ...]) -> None:
    """Its workers' deaths would not be seen, and a client that leaves would end its worker."""
    app = """
import os, signal, subprocess, threading

subprocess.run(["true"])
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
left = threading.Event()

def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/":
        return [f"{os.getpid()} {subprocess.run('exit 7', shell=True).returncode}".encode()]
    if environ["PATH_INFO"] == "/left":
        left.set()
        return [b""]
    return answer()

def answer():
    yield b"x"
    left.wait()
    try:
        while True:
            yield b"x"
    finally:
        print("nobody takes it", flush=True)
"""
    with Server(*lazy, app=app) as server:
        (worker,) = server.workers()
        with server.connect() as client:
            client.sendall(b"GET /endless HTTP/1.0\r\n\r\n")
            while not client.recv(1000).endswith(b"x"):
                pass
        server.get("/left")
        server.wait_for("nobody takes it")
        assert server.get().text == f"{worker} 7"
        mark = server.mark()
        os.kill(worker, signal.SIGKILL)
        server.wait_for(rf"worker 1 \(pid {worker}\) died by signal 9 \(SIGKILL\), started again", after=mark)
        assert server.get().text.endswith(" 7")
        assert len(server.zygotes()) == 1


def test_a_hail_of_reloads_ends_with_one_generation() -> None:
    with Server("--processes", "2", app=PID) as server:
        for _ in range(20):
            server.signal(signal.SIGHUP)
            server.get()
        server.wait_for("reloaded: generation")
        ps.wait_until(lambda: len(server.processes()) == 4, "one zygote, two workers, the master")
        assert int(server.get().text) in server.workers()


def test_atexit_functions_run_in_workers_that_drained() -> None:
    farewell = "atexit.register(lambda: os.write(1, f'farewell of {os.getpid()}\\n'.encode()))"
    app = f"import atexit, os\n{HELLO}\n{farewell}"
    with Server("--processes", "2", app=app) as server:
        workers, (zygote,) = server.workers(), server.zygotes()
        server.stop()
        said = {int(line.rpartition(" ")[2]) for line in server.log.splitlines() if line.startswith("farewell")}
    assert said == set(workers), server.log
    assert zygote not in said


# Users


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_privileges_are_dropped_after_the_sockets_are_bound() -> None:
    nobody = nobody_else()
    app = PID.replace("os.getpid()", "(os.getresuid(), os.getresgid(), os.getgroups())")
    options = ("--socket", "app.sock", "--chmod-socket=660", "--pidfile", "app.pid")
    server = Server("--uid", str(nobody), "--gid", str(nobody), *options, app=app)
    server.folder.chmod(0o777)
    with server:
        assert server.get().text == str(((nobody,) * 3, (nobody,) * 3, [nobody]))
        assert Path(f"/proc/{server.pid}").stat().st_uid == nobody
        sock = (server.folder / "app.sock").stat()
        assert (sock.st_uid, sock.st_gid) == (nobody, nobody), "whose web server may connect"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@needs_linux
def test_all_places_in_the_users_own_folder() -> None:
    """Made by root there, kept by the user over a reload and a re-exec, and removed at the end."""
    nobody = nobody_else()
    places = {name: f"run/app.{name}" for name in ("sock", "pid", "fifo")}
    options = ("--socket", places["sock"], "--chmod-socket=660", "--pidfile", places["pid"])
    server = Server("--uid", str(nobody), "--gid", str(nobody), *options, "--master-fifo", places["fifo"], app=PID)
    server.folder.chmod(0o755)
    (server.folder / "run").mkdir()
    os.chown(server.folder / "run", nobody, nobody)
    pidfile = server.folder / places["pid"]
    with server:
        for name, mode in (("sock", 0o660), ("fifo", 0o600), ("pid.control", 0o600)):
            made = (server.folder / "run" / f"app.{name}").stat()
            assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (nobody, nobody, mode), name
        names = {*places.values(), "run/app.pid.control", "run/app.fifo.control"}
        assert {f"run/{name}" for name in os.listdir(server.folder / "run")} == names
        assert holder(str(pidfile)).pid == server.pid
        assert server.get().text
        _ask(server, "reload", "--wait", str(pidfile))
        mark = server.mark()
        _ask(server, "ask", "reexec", str(pidfile))
        server.wait_for(r"reloaded: generation 3 serves", after=mark)
        assert holder(str(pidfile)).pid == server.pid
        _ask(server, "stop", "--wait", str(server.folder / places["fifo"]))
        server.wait(status=0)
        assert os.listdir(server.folder / "run") == []


@needs_linux
@pytest.mark.parametrize("line", ["env = PID=@({})", "for-readline = {}\nenv = PID=%(_)\nendfor ="])
def test_a_configuration_that_reads_the_pidfile_leaves_it_locked(line: str) -> None:
    with Server("app.ini", "--pidfile", "app.pid", files={"app.ini": "[uwsgi]\n"}) as server:
        pidfile = server.folder / "app.pid"
        server.write("app.ini", f"[uwsgi]\n{line.format(pidfile)}\n")
        _ask(server, "reload", "--wait", str(pidfile))
        assert holder(str(pidfile)).pid == server.pid


def _ask(server: Server, *arguments: str) -> None:
    command = [sys.executable, "-m", "greenwsgi", *arguments]
    subprocess.run(command, cwd=server.folder, env=server._env, timeout=PATIENCE, check=True, stdout=subprocess.DEVNULL)
