"""An example plugin: a pipeline row that answers 503 while a file exists, a log sink, and a subcommand."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from greenwsgi.config.settings import Settings
from greenwsgi.log.request_record import RequestRecord
from greenwsgi.worker.log_sinks import LogSink
from greenwsgi.worker.pipeline import PipelineContext, PipelineRow
from greenwsgi.wsgi.types import Application, Environ, StartResponse

FILE = "MAINTENANCE_FILE"
COUNTS = "COUNTS_FILE"


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


def _counting(_settings: Settings) -> Callable[[RequestRecord], object]:
    path, counts = os.environ[COUNTS], Counter[str]()

    def count(record: RequestRecord) -> None:
        counts[record.outcome.value] += 1
        with open(path, "w") as file:
            json.dump(counts, file)

    return count


COUNTER = LogSink("counter", wanted=lambda _settings: COUNTS in os.environ, open=_counting)


def greet(arguments: Sequence[str]) -> int:
    """`greenwsgi greet NAME`."""
    print(f"Hello, {' '.join(arguments) or 'world'}")
    return 0
