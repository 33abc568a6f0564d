"""An example plugin: a pipeline row that answers 503 while a file exists, and a subcommand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from greenwsgi.config.settings import Settings
from greenwsgi.worker.pipeline import PipelineContext, PipelineRow
from greenwsgi.wsgi.types import Application, Environ, StartResponse

FILE = "MAINTENANCE_FILE"


def _wanted(_settings: Settings) -> bool:
    return FILE in os.environ


def _wrap(application: Application, _context: PipelineContext) -> Application:
    path = os.environ[FILE]

    def maintenance(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not os.path.exists(path):
            return application(environ, start_response)
        start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "60")])
        return [b"back in a minute\n"]

    return maintenance


MAINTENANCE = PipelineRow("maintenance", order=50, wanted=_wanted, wrap=_wrap)


def greet(arguments: Sequence[str]) -> int:
    """`greenwsgi greet NAME`."""
    print(f"Hello, {' '.join(arguments) or 'world'}")
    return 0
