"""Real processes: what a program that the master executes is given, and how it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from signal import SIGKILL, SIGTERM
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from greenwsgi.process.lifecycle.child_processes import ChildProcesses, lives
from tests.live.client import PATIENCE

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and prctl")


def in_child(code: str, *arguments: str) -> str:
    """Run code in a process of its own, since making oneself a subreaper is for good."""
    module = "greenwsgi.process.lifecycle.child_processes"
    prelude = f"import os, signal, sys\nfrom {module} import ChildProcesses\nprocesses = ChildProcesses()\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + code, *arguments], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


RUN = """
def run(program, *descriptors):
    reader, writer = os.pipe()
    pid = processes.start([sys.executable, "-c", program, str(writer)], [writer, *descriptors])
    os.close(writer)
    said = b"".join(iter(lambda: os.read(reader, 65536), b"")).decode()
    (dead,) = wait_for_the_dead()
    assert dead[0] == pid
    return said, dead[1]

def wait_for_the_dead():
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    return processes.reap()
"""


@needs_linux
def test_a_program_has_the_named_descriptors_and_no_other() -> None:
    code = """
named, stray = os.open("/", os.O_RDONLY), os.open("/", os.O_RDONLY)
for fd in (named, stray):
    os.set_inheritable(fd, True)
program = '''
import os, sys
listed = os.listdir("/proc/self/fd")  # the folder's own descriptor too, which is closed by now
os.write(int(sys.argv[1]), repr({int(fd) for fd in listed if os.path.exists(f"/proc/self/fd/{fd}")}).encode())
'''
said, status = run(program, named)
writer = stray + 2
print(eval(said) == {0, 1, 2, named, writer}, status)
"""
    assert in_child(RUN + code) == "True 0"


def test_a_program_starts_with_signals_blocked_and_the_master_has_none_blocked() -> None:
    code = """
program = '''
import os, signal, sys
os.write(int(sys.argv[1]), str(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())).encode())
'''
print(*run(program), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    assert in_child(RUN + code) == "True 0 set()"


def test_a_program_of_the_operator_starts_as_from_a_shell() -> None:
    """Found on PATH, no signal blocked or ignored, the standard three descriptors, the environment that it is given."""
    code = """
folder, stray = sys.argv[1], os.open("/", os.O_RDONLY)
os.set_inheritable(stray, True)
program = f'''#!{sys.executable}
import os, signal
stray = os.path.exists("/dev/fd/{stray}")
with open("{folder}/report", "w") as file:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = [signal.getsignal(one).name for one in (signal.SIGTERM, signal.SIGHUP)]
    print(*handlers, blocked, os.environ["COLOUR"], stray, file=file)
'''
with open(f"{folder}/toyd", "w") as file:
    file.write(program)
os.chmod(f"{folder}/toyd", 0o755)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
pid = processes.start_program(["toyd"], {"PATH": folder, "COLOUR": "green"})
os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
print(processes.reap() == [(pid, 0)], signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before)
print(open(f"{folder}/report").read())
"""
    with TemporaryDirectory() as folder:
        assert in_child(code, folder) == "True True\nSIG_DFL SIG_DFL set() green False"


@pytest.mark.parametrize("apart", [False, True])
def test_a_program_is_in_our_session_or_in_its_own(apart: bool) -> None:
    code = f"""
processes = ChildProcesses(apart={apart})
program = "import os, sys; os.write(int(sys.argv[1]), str(os.getsid(0) == os.getpid()).encode())"
print(*run(program))
"""
    assert in_child(RUN + code) == f"{apart} 0"


@pytest.mark.parametrize(
    ("program", "status"),
    [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9), ("pass", 0)],
)
def test_how_it_ended(program: str, status: int) -> None:
    assert in_child(f"{RUN}\nprint(*run({program!r}))") == str(status)


def test_a_program_that_is_not_there() -> None:
    code = "processes.start(['/no/such/program'], []); print(wait_for_the_dead()[0][1])"
    assert in_child(RUN + code) == "127"


@needs_linux
def test_orphans_become_the_masters_children() -> None:
    code = """
program = "import os, sys; pid = os.fork(); os.write(int(sys.argv[1]), str(pid).encode()) if pid else sys.stdin.read(0)"
reader, writer = os.pipe()
parent = processes.start([sys.executable, "-c", program, str(writer)], [writer])
os.close(writer)
orphan = int(b"".join(iter(lambda: os.read(reader, 65536), b"")))
dead = []
while len(dead) < 2:
    dead += wait_for_the_dead()
print(processes.adopts, {pid for pid, _ in dead} == {parent, orphan})
"""
    assert in_child(RUN + code) == "True True"


@needs_linux
def test_a_program_dies_with_the_master() -> None:
    """Even one that never looks; its end closes the pipe."""
    code = """
reader, writer = int(sys.argv[1]), int(sys.argv[2])
processes.start([sys.executable, "-c", "import signal; signal.pause()"], [writer])
os.kill(os.getpid(), 9)
"""
    reader, writer = os.pipe()
    prelude = (
        "import os, sys\nfrom greenwsgi.process.lifecycle.child_processes import ChildProcesses\n"
        "processes = ChildProcesses()\n"
    )
    command = [sys.executable, "-c", prelude + code, str(reader), str(writer)]
    done = subprocess.run(command, pass_fds=(reader, writer), timeout=PATIENCE, check=False)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], PATIENCE)
    assert done.returncode == -SIGKILL
    assert ready, "somebody still holds the pipe"
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_there_may_be_no_child_to_reap_or_to_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise ProcessLookupError

    assert in_child("print(processes.reap())") == "[]"
    monkeypatch.setattr(os, "kill", gone)
    ChildProcesses.kill(ChildProcesses.__new__(ChildProcesses), 12345, SIGTERM)
    assert not lives(12345)


def test_lives() -> None:
    assert lives(os.getpid())
    assert lives(1), "somebody else's too"
    with subprocess.Popen(["sleep", "100"]) as process:
        assert lives(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not lives(process.pid)


GROUPS = """
import select
from greenwsgi.shared.run_command import start_of

rest, ours = os.pipe()

def program(leads):
    # A process and its child, which go when we do at the latest: its pid, and a pipe that ends with the two.
    end, held = os.pipe()
    told, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        if leads:
            os.setsid()
        os.fork()
        os.write(tells, b"+")
        os.close(ours)
        os.read(rest, 1)
        os._exit(0)
    os.close(held)
    for _ in range(2):
        os.read(told, 1)
    return pid, end

def lives(pipe):
    return not select.select([pipe], [], [], 0)[0]

def ends(pipe):
    return bool(select.select([pipe], [], [], 20)[0])
"""


@needs_linux
def test_a_group_is_ended_with_all_that_is_in_it() -> None:
    """While its leader lives, and when it has died and is about to be reaped."""
    code = """
pid, pipe = program(True)
processes.end_group(pid, start_of(pid))
print(ends(pipe))
pid, pipe = program(True)
started = start_of(pid)
os.kill(pid, signal.SIGKILL)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print(lives(pipe), (pid, -9) in processes.reap(lambda: {pid: started}), ends(pipe))
"""
    assert in_child(GROUPS + code) == "True\nTrue True True"


@needs_linux
def test_a_group_that_is_not_proven_to_be_a_program_s_is_left_alone() -> None:
    code = """
pid, pipe = program(True)
for wrong in (0, start_of(pid) + 1):  # it started at another time
    processes.end_group(pid, wrong)
member, of_member = program(False)  # it leads no group: its own is ours
processes.end_group(member, start_of(member))
started = start_of(pid)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
processes.end_group(pid, started)  # it is reaped, and its number may be another's
parent = os.getppid()
processes.end_group(parent, start_of(parent))  # no child of ours
print(lives(pipe), lives(of_member))
"""
    assert in_child(GROUPS + code) == "True True"
