"""Patching is proved, and what is not patched is named. In processes of their own: a patch cannot be taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def python(source: str) -> str:
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


CHECK = """
from greenwsgi.errors import BootError
from greenwsgi.serve import monkeypatch
try:
    monkeypatch.check()
    print("green")
except BootError as error:
    print(error)
"""


def test_a_patched_process_is_green() -> None:
    assert python("from greenwsgi.serve import monkeypatch; monkeypatch.patch()" + CHECK) == "green"


def test_an_unpatched_process_is_refused_and_every_module_named() -> None:
    assert python(CHECK).startswith("not patched for gevent: socket, ssl, threading, time, subprocess;")


@pytest.mark.parametrize(
    ("undo", "name"),
    [
        ("import importlib, socket; importlib.reload(socket)", "socket"),
        ("import importlib, ssl; importlib.reload(ssl)", "ssl"),
        ("import threading, _thread; threading.Lock = _thread.allocate_lock.__self__.allocate_lock", "threading"),
        ("import time; from gevent import monkey; time.sleep = monkey.get_original('time', 'sleep')", "time"),
        ("import importlib, subprocess; importlib.reload(subprocess)", "subprocess"),
    ],
)
def test_one_module_put_back_is_named(undo: str, name: str) -> None:
    if name == "threading":
        undo = "import threading; from gevent import monkey; threading.Lock = monkey.get_original('threading', 'Lock')"
    said = python("from greenwsgi.serve import monkeypatch; monkeypatch.patch()\n" + undo + CHECK)
    assert said.startswith("not patched for gevent:")
    assert name in said


def test_what_came_before_the_patch_and_holds_the_unpatched_is_named(tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text(
        "import socket\nfrom time import sleep\nclass Mine(socket.socket): pass\ndef harmless(): pass\n"
    )
    (tmp_path / "late.py").write_text("from time import sleep\n")
    said = python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import early\n"
        "from greenwsgi.serve import monkeypatch; monkeypatch.patch()\n"
        "import late, queue, logging\n"
        "print(monkeypatch.unpatched())"
    )
    assert said == "['early.Mine', 'early.sleep']"
