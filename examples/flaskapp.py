"""A Flask application with one page for each thing a server must do well.

greenwsgi --processes 4 --async 1000 --wsgi-file flaskapp.py --callable app
curl http://127.0.0.1:8000/
curl --data-binary @flaskapp.py http://127.0.0.1:8000/echo
curl --no-buffer http://127.0.0.1:8000/stream
curl 'http://127.0.0.1:8000/slow?seconds=2'
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from flask import Flask, Response, render_template_string, request

app = Flask(__name__)

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>greenwsgi</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 4rem auto; padding: 0 1rem; color: #1c2b1f }
  h1 { color: #1f7a3a } code { background: #eef5ef; padding: .1rem .3rem; border-radius: .25rem }
</style>
<h1>It is green.</h1>
<p>This page came from worker <code>{{ pid }}</code> by <code>{{ protocol }}</code>. Reload it to meet the others.</p>
<ul>
  <li><a href="{{ url_for('stream') }}">stream</a>: ten lines, one every half second
  <li><a href="{{ url_for('slow', seconds=3) }}">slow</a>: an answer after three seconds, while others are served
  <li><code>POST {{ url_for('echo') }}</code>: how many bytes you sent
</ul>
"""


@app.get("/")
def index() -> str:
    return render_template_string(PAGE, pid=os.getpid(), protocol=request.environ["SERVER_PROTOCOL"])


@app.post("/echo")
def echo() -> dict[str, int]:
    """Count the body's bytes without ever holding all of them."""
    length = 0
    while piece := request.stream.read(65536):
        length += len(piece)
    return {"length": length}


@app.get("/stream")
def stream() -> Response:
    count = min(request.args.get("count", 10, type=int), 1000)
    pause = request.args.get("pause", 0.5, type=float)

    def lines() -> Iterator[str]:
        for number in range(1, count + 1):
            yield f"line {number} of {count}\n"
            time.sleep(pause)  # greenwsgi has made it a gevent sleep: other requests go on

    return Response(lines(), mimetype="text/plain")


@app.get("/slow")
def slow() -> str:
    seconds = min(request.args.get("seconds", 1.0, type=float), 60.0)
    time.sleep(seconds)
    return f"slept {seconds:g} s\n"
