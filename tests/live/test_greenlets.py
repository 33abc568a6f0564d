"""Requests and their greenlets, in a real worker with everything patched."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection

from tests.live import ps
from tests.live.client import PATIENCE
from tests.live.server import Server

TIMES = 20
APP = """
import contextvars, logging, threading
logging.basicConfig(level=logging.INFO, format="%(threadName)s: %(message)s")
user = contextvars.ContextVar("user", default="nobody")
mine = threading.local()

def app(environ, start_response):
    path = environ["PATH_INFO"]
    found = [user.get(), threading.current_thread().__dict__.get("user", "nobody")]
    user.set(path)
    threading.current_thread().user = path
    if path == "/local":
        found.append(getattr(mine, "user", "nobody"))
        mine.user = path
    logging.info("a request of %s", path)
    body = ",".join(found).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def greenlets(server: Server) -> int:
    command = [sys.executable, "-m", "greenwsgi", "status", "--json", str(server.folder / "pid")]
    status = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    count = status["totals"][0]["greenlets"]
    assert isinstance(count, int)
    return count


def test_requests_share_greenlets_but_nothing_that_was_left_in_them() -> None:
    """Such as a record of logging, and the thread that it is of; a thread-local needs a greenlet for each request."""
    with Server("--processes", "1", "--pidfile", "pid", app=APP) as server:
        for path, found in (("/", b"nobody,nobody"), ("/local", b"nobody,nobody,nobody")):
            for headers in ({"Connection": "close"}, {}):
                with closing(HTTPConnection("127.0.0.1", server.http_port, timeout=PATIENCE)) as client:
                    for _ in range(TIMES):
                        client.request("GET", path, headers=headers)
                        assert client.getresponse().read() == found
        ps.wait_until(lambda: greenlets(server) >= 2 * TIMES, "the count of those with a thread-local", every=0.3)
        assert greenlets(server) <= 2 * TIMES + 3
