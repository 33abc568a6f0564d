"""The log of a process that gevent has patched; in processes of their own: a patch cannot be taken back."""

from __future__ import annotations

import os
from pathlib import Path

from tests.serve.test_monkeypatch import python

PATCHED = """
from greenwsgi.serve import monkeypatch
monkeypatch.patch()
import gevent, os
from gevent import monkey
from greenwsgi.log.server_log import ServerLog
hub = gevent.get_hub()
"""


def test_a_fifo_opened_anew_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    """Even where the loop never runs, as in a zygote."""
    os.mkfifo(fifo := tmp_path / "log")
    said = python(f"""{PATCHED}
terminal, reader = os.dup(1), os.open({str(fifo)!r}, os.O_RDONLY | os.O_NONBLOCK)
before = os.listdir("/proc/self/fd")
ServerLog().reopen({str(fifo)!r}, lambda path: os.open(path, os.O_WRONLY))
os.write(terminal, str(os.listdir("/proc/self/fd") == before).encode())
""")
    assert said == "True"


def test_a_full_log_that_somebody_made_nonblocking_is_waited_for_without_the_loop() -> None:
    """In the hub nothing can switch; in a greenlet nobody else may write into the middle of a line."""
    said = python(f"""{PATCHED}
end, log = os.pipe()
os.set_blocking(log, False)
lines = []

def read():
    with open(end, "rb") as file:
        lines.extend(file)
    done.release()

done = monkey.get_original("_thread", "allocate_lock")()
done.acquire()
monkey.get_original("_thread", "start_new_thread")(read, ())
much = 1_000_000
hub.loop.run_callback(ServerLog(log).info, "h" * much)
gevent.idle()
gevent.joinall([gevent.spawn(ServerLog(log).info, name * much) for name in "ab"])
os.close(log)
gevent.idle()
done.acquire()
print([(line.split()[3][:1].decode(), len(line.split()[3])) for line in lines])
""")
    assert said == str([(name, 1_000_000) for name in "hab"])
