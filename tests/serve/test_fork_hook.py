"""The at-fork hook: what it costs whom, and in what order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from gevent import socket

from greenwsgi.serve import forked_child_descriptors

SETUP = """
import sys
from greenwsgi.serve.fork_hook import ForkHook
early = sorted({"threading", "logging", "gevent"} & set(sys.modules))
forks = ForkHook()
forks.register()
from greenwsgi.serve import monkeypatch
monkeypatch.patch()
import gc, json, os, socket, subprocess, types
from gevent import monkey
from greenwsgi.log.server_log import ServerLog
forks.arm(ServerLog())

CLIENTS = 200
one, other = socket.socketpair()
class Connection:
    def __init__(self):
        sock = types.SimpleNamespace(fileno=lambda fd=os.dup(one.fileno()): fd)
        self.stream = types.SimpleNamespace(sock=sock)
forks.service = types.SimpleNamespace(
    connections=[Connection() for _ in range(CLIENTS)], greenlet_pool=types.SimpleNamespace(waiting=[Connection()]),
    running={}, deadlines=types.SimpleNamespace(waiting={}),
)
work = {"dup2": 0, "get_referrers": 0}
def counted(module, name):
    original = getattr(module, name)
    def count(*args, **named):
        work[name] += 1
        return original(*args, **named)
    setattr(module, name, count)
counted(os, "dup2")
counted(gc, "get_referrers")
read_end, write_end = os.pipe()
close, waitpid = monkey.get_original("os", "close"), monkey.get_original("os", "waitpid")
def say():
    os.write(write_end, json.dumps({**work, "child": forks.child, "early": early}).encode())
"""


def said(script: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", SETUP + script], capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


HEAR = "print(os.read(read_end, 999).decode())"


def by(fork: str) -> dict[str, Any]:
    return said(f"pid = {fork}\nif pid == 0:\n    say()\n    os._exit(0)\nwaitpid(pid, 0)\n{HEAR}")


def test_a_child_of_the_application_loses_each_client() -> None:
    assert by("os.fork()") == {"dup2": 201, "get_referrers": 1, "child": True, "early": []}


def test_popen_and_the_servers_own_forks_cost_nothing_however_many_clients_there_are() -> None:
    nothing = {"dup2": 0, "get_referrers": 0, "child": False, "early": []}
    assert by("forks.fork()") == nothing
    assert said(f"subprocess.run(['true'], preexec_fn=say)\n{HEAR}") == nothing


def test_popens_child_loses_them_when_it_waits_in_the_hub() -> None:
    waits = "import time\ndef wait():\n    time.sleep(0.01)\n    say()\nsubprocess.run(['true'], preexec_fn=wait)\n"
    assert said(waits + HEAR) == {
        "dup2": 201, "get_referrers": 1, "child": True, "early": [],
    }  # fmt: skip


def test_a_fork_that_fails_leaves_no_signal_blocked() -> None:
    found = said("""
import resource, signal
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
os.setuid(65534) if os.getuid() == 0 else None
try:
    os.fork()
except OSError:
    print(json.dumps({"blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))}))
""")
    assert found == {"blocked": []}


def test_sockets_that_were_accepted_and_nobody_took_note_of() -> None:
    with socket.socket() as listener, socket.socket() as other:
        for sock in (listener, other):
            sock.bind(("127.0.0.1", 0))
            sock.listen()
        names = {forked_child_descriptors.name_of(listener.fileno())}
        with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as accepted:
            found = set(forked_child_descriptors.accepted(names))
            assert found == {listener.fileno(), accepted.fileno()}
            assert client.fileno() not in found
            assert os.get_blocking(accepted.fileno()) is False, "as gevent made it"
