"""Environment variables as assignments: UWSGI_MAX_REQUESTS=5000 is `max-requests = 5000`, and so is GREENWSGI_..."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from greenwsgi.config.settings import Assignment
from greenwsgi.errors import Origin

PREFIXES = ("UWSGI_", "GREENWSGI_")
NO_OPTIONS = {"GREENWSGI_HANDOVER"} | frozenset(
    f"UWSGI_{name}"
    for name in (
        *("RELOADS", "VASSALS_DIR", "EMPEROR_FD", "EMPEROR_FD_CONFIG", "EMPEROR_PROXY", "BROODLORD_NUM"),
        *("JAIL_PID", "ORIGINAL_PROC_NAME"),
    )
)
"""What uWSGI, or the server itself, sets for the processes that it starts."""


def names(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Option and variable, in the environment's order, uWSGI's before our own, which so win."""
    for prefix in PREFIXES:
        for name in environ:
            if name.startswith(prefix) and name not in NO_OPTIONS and name != prefix:
                yield name.removeprefix(prefix).lower().replace("_", "-"), name


def read(environ: Mapping[str, str]) -> Iterator[Assignment]:
    """The assignments that they are."""
    for key, name in names(environ):
        yield Assignment(key, environ[name], Origin(name))
