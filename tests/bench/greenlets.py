"""How often does a request run in a greenlet that was used before, under real applications, and what does each cost?

    python -m tests.bench.greenlets [--requests 2000] [--connections 8]

made: greenlets made for a hundred requests. us: user and system time of the server's processes for one request, as in
tests.bench. Flask, Django and structlog are needed for their rows.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import threading

from tests.bench.__main__ import pin, processor_seconds
from tests.live.client import read_answer
from tests.live.server import Server

WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""
LOGGER = """
import logging, sys
handler = logging.StreamHandler(open("/dev/null", "w"))
handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(message)s"))
logging.basicConfig(level=logging.INFO, handlers=[handler])
logger = logging.getLogger("bench")
"""
WSGI_LOGGING = f"""
{LOGGER}
def app(environ, start_response):
    logger.info("a request for %s", environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""
FLASK = """
from flask import Flask
app = application = Flask(__name__)
@app.route("/")
def hello():
    return "hello"
"""
FLASK_LOGGING = f"""
{LOGGER}
from flask import Flask
app = application = Flask(__name__)
@app.route("/")
def hello():
    logger.info("a request")
    return "hello"
"""
FLASK_STRUCTLOG = """
import structlog, sys
from flask import Flask
structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
    logger_factory=structlog.PrintLoggerFactory(open("/dev/null", "w")),
)
app = application = Flask(__name__)
@app.route("/")
def hello():
    structlog.contextvars.bind_contextvars(user="somebody")
    structlog.get_logger().info("a request")
    return "hello"
"""
DJANGO = """
import django
from django.conf import settings
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, %s)
django.setup()
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path
def hello(request):
    %s
    return HttpResponse("hello")
urlpatterns = [path("", hello)]
app = application = WSGIHandler()
"""
SQLITE = 'DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}'
QUERY = "from django.db import connection; connection.cursor().execute('select 1')"
APPS = {
    "WSGI": WSGI,
    "WSGI, logging": WSGI_LOGGING,
    "Flask": FLASK,
    "Flask, logging": FLASK_LOGGING,
    "Flask, structlog": FLASK_STRUCTLOG,
    "Django": DJANGO % ("", "pass"),
    "Django, logging": LOGGER + DJANGO % ("LOGGING_CONFIG=None", "logger.info('a request')"),
    "Django, a query": DJANGO % (SQLITE, QUERY),
}
NEEDS = {"Flask": "flask", "Django": "django"}
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
KEEP = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def ask(server: Server, times: int, *, kept: bool) -> None:
    """One client after the other's answer; a connection for all of its requests, or for each."""
    client = server.connect()
    for number in range(times):
        if number and not kept:
            client.close()
            client = server.connect()
        client.sendall(KEEP if kept else CLOSE)
        if read_answer(client).body != b"hello":
            raise RuntimeError(server.log)
    client.close()


def counted(server: Server) -> tuple[int, int]:
    """Requests, and greenlets made for them, as `greenwsgi status` has them a moment later."""
    command = [sys.executable, "-m", "greenwsgi", "status", "--json", str(server.folder / "pid")]
    totals = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)["totals"]
    return totals[0]["requests"], totals[0]["greenlets"]


def measure(name: str, source: str, requests: int, connections: int, *, kept: bool) -> None:
    options = ["--processes", "1", "--disable-logging", "--pidfile", "pid"]
    with Server(*options, app=source) as server:
        ask(server, connections, kept=False)  # what is imported and made once
        pin(server.pid, 0)
        spent, before = processor_seconds(server.pid), counted(server)
        share = requests // connections
        clients = [
            threading.Thread(target=ask, args=(server, share), kwargs={"kept": kept}) for _ in range(connections)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        spent = processor_seconds(server.pid) - spent
        threading.Event().wait(0.6)  # the counter is written four times a second
        after = counted(server)
    answered, made = after[0] - before[0], after[1] - before[1]
    print(f"{name:20} {'kept' if kept else 'closed':8} {made / answered * 100:8.1f} {spent / answered * 1e6:8.0f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=8)
    asked = parser.parse_args()
    print(f"{'application':20} {'clients':8} {'made %':>8} {'us':>8}")
    for name, source in APPS.items():
        module = "structlog" if "structlog" in name else NEEDS.get(name.split(",")[0])
        if module is not None and importlib.util.find_spec(module) is None:
            print(f"{name:20} {module} is not installed")
            continue
        for kept in (False, True):
            measure(name, source, asked.requests, asked.connections, kept=kept)
    return 0


if __name__ == "__main__":
    sys.exit(main())
