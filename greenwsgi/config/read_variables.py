"""Environment variables as assignments: UWSGI_MAX_REQUESTS=5000 is `max-requests = 5000`, and so is GREENWSGI_...

All that begins with UWSGI_ counts, as under uWSGI. What begins with GREENWSGI_ may be somebody else's: an image's
GREENWSGI_VERSION, the GREENWSGI_PORT of a Kubernetes service. So there names count that are options, and not those that
print something, or ask another server, and end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from greenwsgi.config.settings import Assignment, Warn
from greenwsgi.errors import Origin
from greenwsgi.options.catalog import OPTIONS

THEIRS, OURS = "UWSGI_", "GREENWSGI_"
HANDOVER_VARIABLE = "GREENWSGI_HANDOVER"
"""Tells the next image of a master, or a rehearsal, of its handover; see process/lifecycle/handover.py."""

NO_OPTIONS = {THEIRS, OURS, HANDOVER_VARIABLE} | frozenset(
    f"UWSGI_{name}"
    for name in (
        *("RELOADS", "VASSALS_DIR", "EMPEROR_FD", "EMPEROR_FD_CONFIG", "EMPEROR_PROXY", "BROODLORD_NUM"),
        *("JAIL_PID", "ORIGINAL_PROC_NAME"),
    )
)
"""What uWSGI, or the server itself, sets for the processes that it starts."""

ENDING = frozenset(
    ("version", "help", "help-all", "get", "show-config", "reload", "stop", "pause", "resume", "connect-and-read")
)
"""The options with which nothing is served."""

MAX_TOLD = 20


def names(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Option and variable, in the environment's order, uWSGI's before our own, which so win."""
    yield from _beginning(THEIRS, environ)
    for key, name in _beginning(OURS, environ):
        entry = OPTIONS.find(key)
        if entry and entry.option.name not in ENDING:
            yield key, name


def read(environ: Mapping[str, str]) -> Iterator[Assignment]:
    """The assignments that they are."""
    for key, name in names(environ):
        yield Assignment(key, environ[name], Origin(name))


def tell(environ: Mapping[str, str], used: Collection[str], warn: Warn) -> None:
    """Warn once of all that begin with GREENWSGI_ and are no options; used: the variables that some text mentions."""
    told = []
    for key, name in _beginning(OURS, environ):
        if name not in used and not OPTIONS.find(key):
            near = OPTIONS.near(key)
            told.append(f"{name} (did you mean {near}?)" if near else name)
    if told:
        more = f" and {len(told) - MAX_TOLD} more" if len(told) > MAX_TOLD else ""
        warn(f"variables that are no options, and count for nothing: {', '.join(told[:MAX_TOLD])}{more}")


def _beginning(prefix: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in environ:
        if name.startswith(prefix) and name not in NO_OPTIONS:
            yield name.removeprefix(prefix).lower().replace("_", "-"), name
