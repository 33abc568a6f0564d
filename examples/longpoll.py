"""A chat that many browsers hold open: each waits in a request until somebody posts.

    greenwsgi --async 10000 --wsgi-file longpoll.py
    curl 'http://127.0.0.1:8000/wait?after=0' &
    curl http://127.0.0.1:8000/waiting
    curl --data hello http://127.0.0.1:8000/say

The messages live in the memory of one worker, so run it with one process; a real application would put a broker
behind it. A waiting request costs a greenlet and a socket, no thread.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from gevent.event import Event

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

WAIT_SECONDS = 25.0  # shorter than the idle timeouts of the proxies between here and the browser
LONGEST_MESSAGE = 500
KEPT = 100

PAGE = b"""<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Long poll</title>
<style>
  body { font: 1.05rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 3rem auto; padding: 0 1rem; color: #1c2b1f }
  h1 { color: #1f7a3a; margin-bottom: 0 } small { color: #6b7a6e }
  ol { list-style: none; padding: 0 }
  li { background: #eef5ef; border-radius: .5rem; padding: .5rem .8rem; margin: .4rem 0 }
  form { display: flex; gap: .5rem } input { flex: 1; font: inherit; padding: .5rem }
  button { font: inherit; color: #fff; background: #1f7a3a; border: 0; border-radius: .4rem; padding: 0 1.2rem }
</style>
<h1>Long poll</h1>
<small id="state">connecting</small>
<ol id="board"></ol>
<form id="form"><input id="text" autocomplete="off" maxlength="500" placeholder="Say something to everybody" autofocus>
<button>Send</button></form>
<script>
  const board = document.getElementById("board"), state = document.getElementById("state")
  const text = document.getElementById("text")
  let after = 0
  document.getElementById("form").addEventListener("submit", event => {
    event.preventDefault()
    if (text.value) fetch("say", {method: "POST", body: text.value})
    text.value = ""
  })
  async function poll() {
    for (;;) {
      try {
        const news = await (await fetch("wait?after=" + after)).json()
        for (const message of news.messages) board.appendChild(document.createElement("li")).textContent = message
        after = news.last
        state.textContent = "waiting, with " + news.waiting + " others a moment ago"
      } catch (error) {
        state.textContent = "connecting again"
        await new Promise(done => setTimeout(done, 1000))
      }
    }
  }
  poll()
</script>
"""


class Board:
    """The newest messages, numbered from 1, and everybody who waits for the next one."""

    def __init__(self) -> None:
        self.messages: deque[str] = deque(maxlen=KEPT)
        self.last = 0
        self.waiting = 0
        self._news = Event()

    def post(self, message: str) -> int:
        """Add a message and wake all that wait; returns its number."""
        self.messages.append(message)
        self.last += 1
        news, self._news = self._news, Event()
        news.set()
        return self.last

    def wait(self, after: int, seconds: float) -> list[str]:
        """The messages that came after number `after`, at once or as soon as there is one; none when time is up."""
        if after == self.last:
            self.waiting += 1
            try:
                self._news.wait(seconds)
            finally:
                self.waiting -= 1
        if after > self.last:  # from before the server's restart
            after = 0
        fresh = min(self.last - after, len(self.messages))
        return list(islice(self.messages, len(self.messages) - fresh, None))


board = Board()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    match (environ["REQUEST_METHOD"], environ["PATH_INFO"]):
        case ("GET", "/"):
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))])
            return [PAGE]
        case ("GET", "/wait"):
            after = parse_qs(environ.get("QUERY_STRING", "")).get("after", ["0"])[0]
            messages = board.wait(int(after) if after.isdecimal() else 0, WAIT_SECONDS)
            return answer(start_response, messages=messages, last=board.last, waiting=board.waiting)
        case ("GET", "/waiting"):
            return answer(start_response, waiting=board.waiting)
        case ("POST", "/say"):
            message = environ["wsgi.input"].read(4 * LONGEST_MESSAGE).decode("utf-8", "replace")[:LONGEST_MESSAGE]
            return answer(start_response, number=board.post(message))
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"there are /, /wait, /waiting and /say\n"]


def answer(start_response: StartResponse, **values: Any) -> Iterable[bytes]:
    body = json.dumps(values).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start_response("200 OK", headers)
    return [body]
