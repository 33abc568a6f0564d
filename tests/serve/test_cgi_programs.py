"""CGI programs inside a worker: their places, whatever becomes of their answers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import gevent.os
import pytest
from gevent import GreenletExit

from greenwsgi.config.settings import Settings
from greenwsgi.log.server_log import ServerLog
from greenwsgi.options.table.cgi import CgiOptions as Options
from greenwsgi.serve.cgi_programs import CgiPrograms, _Run
from greenwsgi.serve.disconnect import Disconnect
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.wsgi.wsgi_input import EMPTY
from tests.serve.conftest import Make
from tests.serve.site import read_answer, settle, wait_until
from tests.serve.test_disconnect import look

WHOLE = "Content-Type: text/plain\\n\\nwhole"


@pytest.fixture
def log() -> Iterator[ServerLog]:
    with open(os.devnull, "w") as nowhere:
        yield ServerLog(nowhere.fileno())


def programs(folder: Path, log: ServerLog, **texts: str) -> CgiPrograms:
    """One place for programs that print these texts; who finds it taken does not wait for it."""
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\nprintf '{text}'\n")
        (folder / name).chmod(0o755)
    settings = Settings(cgi=Options(cgi=(str(folder),), cgi_processes=1))
    settings = replace(settings, limits=replace(settings.limits, queue_timeout=0.01))
    return CgiPrograms(settings, lambda environ, start_response: [], log, LoopBudget())


def ask(application: Any, path: str, start_response: Any = None, **variables: str) -> tuple[str, bytes]:
    """Status and body, as a server would have them."""
    said: list[str] = []
    environ: dict[str, Any] = {"PATH_INFO": path, "wsgi.url_scheme": "http", "wsgi.input": EMPTY, **variables}
    result = application(environ, start_response or (lambda status, headers: said.append(status)))
    try:
        body = b"".join(result)
    finally:
        getattr(result, "close", lambda: None)()
    return said[0], body


def test_an_answer_that_is_refused_gives_its_place_back(tmp_path: Path, log: ServerLog) -> None:
    def refuses(status: str, headers: Any) -> None:
        raise ValueError(status)

    application = programs(tmp_path, log, good=WHOLE)
    for _ in range(2):
        with pytest.raises(ValueError, match="200 OK"):
            ask(application, "/good", refuses, REQUEST_METHOD="GET")
    assert ask(application, "/good", REQUEST_METHOD="GET") == ("200 OK", b"whole")


def test_a_gateway_that_does_not_say_the_method(tmp_path: Path, log: ServerLog) -> None:
    application = programs(tmp_path, log, good=WHOLE, away="Location: /good\\n\\n")
    for path in ("/good", "/away", "/good"):
        assert ask(application, path) == ("200 OK", b"whole")


def test_a_place_is_given_back_though_its_program_cannot_be_tidied_up(
    tmp_path: Path, log: ServerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = programs(tmp_path, log, good=WHOLE, bad="no head")
    with monkeypatch.context() as patched:
        patched.setattr(_Run, "wait", _Run.close)
        patched.setattr(_Run, "close", lambda run: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ask(application, "/bad", REQUEST_METHOD="GET")
    assert ask(application, "/good") == ("200 OK", b"whole")


# Who waits for whom


def waiting(folder: Path, log: ServerLog, before: str, after: str) -> CgiPrograms:
    """The program `waits` says something, waits for a line in the fifo `go` and goes on."""
    application = programs(folder, log, waits="")
    (folder / "waits").write_text(f"#!/bin/sh\nprintf '{before}'\nread line <go\n{after}\n")
    os.mkfifo(folder / "go")
    return application


def go(folder: Path) -> None:
    with open(folder / "go", "w") as fifo:
        fifo.write("on\n")


def test_the_client_s_slowness_is_not_the_program_s(
    tmp_path: Path, log: ServerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = waiting(tmp_path, log, "Content-Type: text/plain\\n\\none", "printf two")
    environ: dict[str, Any] = {"PATH_INFO": "/waits", "wsgi.url_scheme": "http", "wsgi.input": EMPTY}
    result: Any = application(environ, lambda status, headers: bytearray().extend)
    pieces = iter(result)
    said = next(pieces)
    monkeypatch.setattr("greenwsgi.serve.cgi_programs._now", lambda: time.monotonic() + 100)
    go(tmp_path)
    assert said + b"".join(pieces) == b"onetwo"
    result.close()


def test_a_program_may_tidy_up_when_its_client_has_its_answer(make: Make, tmp_path: Path, log: ServerLog) -> None:
    application = waiting(tmp_path, log, "Content-Type: text/plain\\nContent-Length: 5\\n\\nwhole", "echo so >tidy")
    departures: list[Disconnect] = []

    def noticing(environ: Any, start_response: Any) -> Any:
        departures.append(environ["greenwsgi.disconnected"])
        return application(environ, start_response)

    site = make(noticing)
    with site.connect(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        assert read_answer(client)[1] == b"whole"
        look(site)
    wait_until(departures[0].is_set)
    settle()
    go(tmp_path)
    wait_until(lambda: "=> generated" in site.log)
    assert "(HTTP/1.1 200)" in site.log
    assert (tmp_path / "tidy").read_text() == "so\n"


def test_a_program_that_is_not_waited_for_any_more_does_not_run(
    tmp_path: Path, log: ServerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request is ended while it is started: after its fork, before its exec."""
    application = programs(tmp_path, log, good=WHOLE)
    alive, held = os.pipe()
    never, ours = os.pipe()

    def wait() -> None:
        os.close(ours)
        os.read(never, 1)

    monkeypatch.setattr("greenwsgi.serve.cgi_programs._die_with_worker", wait)
    request = gevent.spawn(pytest.raises, GreenletExit, ask, application, "/good")
    gevent.sleep()
    request.kill()
    os.close(held)
    assert request.successful()
    assert gevent.os.tp_read(alive, 1) == b""
    monkeypatch.undo()
    assert ask(application, "/good") == ("200 OK", b"whole")
    for fd in (alive, never, ours):
        os.close(fd)
