"""docs/application.md, tried in a real server: the keys of its table and its example."""

from __future__ import annotations

import json
import re
import signal

from tests.live.client import read_answer
from tests.live.holders import Held
from tests.live.server import ROOT, Server

PAGE = (ROOT / "docs/application.md").read_text("utf-8")
EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]

OF_PEP_3333 = {
    *("wsgi.version", "wsgi.url_scheme", "wsgi.input", "wsgi.errors"),
    *("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"),
}

APP = """
import json, time

news = []

def look_for_news():
    return news.pop() if news else None

def keys(environ, start_response):
    body = json.dumps([key for key in environ if "." in key]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def tell(environ, start_response):
    news.append(b"news")
    start_response("200 OK", [("Content-Length", "0")])
    return []

def app(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ, start_response)
"""


def test_the_keys_are_those_of_the_table_and_of_pep_3333() -> None:
    rows = re.findall(r"^\|(.*?)\|", PAGE, re.MULTILINE)
    shown = {key for row in rows for key in re.findall(r"`([\w.]+)`", row)}
    with Server(app=EXAMPLE + APP) as server:
        assert set(json.loads(server.get("/keys").body)) == shown | OF_PEP_3333


def test_the_example_does_what_it_says() -> None:
    with Server(app=EXAMPLE + APP) as server, server.connect() as poll, Held(server.http_port, "/stream", 1) as stream:
        poll.sendall(b"GET /poll HTTP/1.1\r\nHost: shown\r\n\r\n")
        assert server.get("/tell").status == 200
        assert read_answer(poll).body == b"news"
        stream.wait_for(b"retry: 1000")
        server.signal(signal.SIGHUP)
        stream.wait_for(b"event: moved")
        stream.wait_for_the_end()
