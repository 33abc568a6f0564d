"""CGI programs inside a worker: their places, whatever becomes of their answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.config.settings import Settings
from greenwsgi.log.server import ServerLog
from greenwsgi.options.table.programs import Programs as Options
from greenwsgi.serve.programs import Programs
from greenwsgi.wsgi.body import EMPTY

WHOLE = "Content-Type: text/plain\\n\\nwhole"


@pytest.fixture
def log() -> Iterator[ServerLog]:
    with open(os.devnull, "w") as nowhere:
        yield ServerLog(nowhere.fileno())


def programs(folder: Path, log: ServerLog, **texts: str) -> Programs:
    """One place for programs that print these texts; who finds it taken does not wait for it."""
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\nprintf '{text}'\n")
        (folder / name).chmod(0o755)
    settings = Settings(programs=Options(cgi=(str(folder),), cgi_processes=1))
    settings = replace(settings, limits=replace(settings.limits, queue_timeout=0.01))
    return Programs(settings, lambda environ, start_response: [], log)


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
