"""Native drivers are made green when they are imported, or named. In processes of their own: an import happens once."""

from __future__ import annotations

from pathlib import Path

from tests.serve.test_monkeypatch import python

WATCH = """
from greenwsgi.serve import monkeypatch
monkeypatch.patch()
from greenwsgi.serve.native_drivers import DriverWatch
DriverWatch(print).start()
"""


def test_psycopg2_waits_in_the_loop() -> None:
    """A connection to a server that says nothing: the loop turns meanwhile, and its time limit is what ends it."""
    said = python(
        WATCH
        + """
import gevent, psycopg2
from gevent import socket
silent = socket.create_server(("127.0.0.1", 0))
turns = []
waiting = gevent.spawn(psycopg2.connect, host="127.0.0.1", port=silent.getsockname()[1], user="x", dbname="x")
accepted = silent.accept()[0]
gevent.sleep(0.01)
print(waiting.dead, psycopg2.extensions.get_wait_callback().__module__)
accepted.close()
waiting.join()
print(type(waiting.exception).__name__)
"""
    )
    assert said.split("\n") == ["False greenwsgi.serve.native_drivers", "OperationalError"]


def test_a_wait_callback_that_is_set_already_stays() -> None:
    said = python(
        """
from greenwsgi.serve import monkeypatch
monkeypatch.patch()
import psycopg2.extensions
mine = lambda connection: None
psycopg2.extensions.set_wait_callback(mine)
from greenwsgi.serve.native_drivers import DriverWatch
DriverWatch(print).start()
print(psycopg2.extensions.get_wait_callback() is mine)
"""
    )
    assert said == "True"


def test_grpc_calls_wait_in_the_loop_behind_a_fork() -> None:
    """As in a worker whose zygote imported it: a call and its own server share one thread."""
    said = python(
        WATCH
        + """
import os, gevent
from concurrent import futures
from gevent import monkey
import grpc

def serve_and_call():
    gevent.reinit()
    asked, answer = gevent.event.Event(), gevent.event.Event()
    def method(request, context):
        asked.set()
        answer.wait()
        return request + b"!"
    handler = grpc.method_handlers_generic_handler("S", {"M": grpc.unary_unary_rpc_method_handler(method)})
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    call = gevent.spawn(channel.unary_unary("/S/M"), b"green", timeout=30)
    asked.wait()
    print(call.dead)
    answer.set()
    print(call.get(), flush=True)

import gevent.event
pid = monkey.get_original("os", "fork")()
if pid == 0:
    try:
        serve_and_call()
    finally:
        os._exit(0)
monkey.get_original("os", "waitpid")(pid, 0)
"""
    )
    assert said.split("\n") == ["False", "b'green!'"]


def test_a_driver_that_blocks_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "MySQLdb.py").write_text("value = 1\n")
    said = python(
        WATCH
        + f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import MySQLdb, importlib
importlib.reload(MySQLdb)
print(MySQLdb.value, type(MySQLdb.__loader__).__name__, type(MySQLdb.__spec__.loader).__name__)
"""
    )
    warning, rest = said.split("\n")
    assert warning.startswith(
        "MySQLdb waits in native code: each of its calls stops all requests of its worker; PyMySQL"
    )
    assert rest == "1 SourceFileLoader SourceFileLoader"


def test_a_driver_of_another_version_goes_on_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "grpc.py").write_text("value = 1\n")
    said = python(WATCH + f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport grpc\nprint(grpc.value)")
    warning, value = said.split("\n")
    assert warning.startswith("grpc could not be made green: ModuleNotFoundError: No module named 'grpc.experimental'")
    assert value == "1"


def test_an_import_that_fails_is_watched_again(tmp_path: Path) -> None:
    (tmp_path / "pyodbc.py").write_text(
        "import builtins\nif not hasattr(builtins, 'ready'): raise ImportError('not yet')\n"
    )
    said = python(
        WATCH
        + f"""
import builtins, sys
sys.path.insert(0, {str(tmp_path)!r})
try:
    import pyodbc
except ImportError as error:
    print(error)
builtins.ready = True
import pyodbc
"""
    )
    first, second = said.split("\n")
    assert first == "not yet"
    assert second.startswith("pyodbc waits in native code")
