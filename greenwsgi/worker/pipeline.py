"""PIPELINE: the middlewares between a request and the application, one row each, applied once when a worker starts.

A row is a WSGI middleware with a condition. When the condition does not hold, the row costs a request nothing. A new
row is a line in the table and a module with the middleware; the rows of other distributions come from the entry points
of the group `greenwsgi.pipeline` (docs/plugins.md).

Two things that change what is served are not rows. Mounts are part of loading the application (wsgi/load_applications),
because their imports have to happen before the fork. The operator's headers (wsgi/header_rules) are applied where the
head of a response is made, so that error pages of the server have them too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from greenwsgi.config.settings import Settings
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve.cgi_programs import CgiPrograms
from greenwsgi.serve.fork_hook import ForkHook
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.shared import plugins
from greenwsgi.shared.scoreboard import Seat
from greenwsgi.wsgi.dynamic_apps import DynamicApps
from greenwsgi.wsgi.https_redirect import Https
from greenwsgi.wsgi.types import Application

GROUP = "greenwsgi.pipeline"


@dataclass(frozen=True, slots=True)
class PipelineContext:
    """What a row may use of its worker."""

    settings: Settings
    log: ServerLog
    loop_budget: LoopBudget
    """For rows that can run without waiting: see serve/loop_budget.py."""
    seat: Seat
    """The worker's place on the scoreboard."""
    forks: ForkHook
    """Must be given the descriptors that a process forked by the application must not have."""


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """One row."""

    name: str
    order: int
    """Its place: a request passes through the rows from the lowest to the highest, then to the application."""
    wanted: Callable[[Settings], bool]
    """Whether this configuration needs the row."""
    wrap: Callable[[Application, PipelineContext], Application]
    """The application with this row in front of it. It may raise UsageError."""


def _dynamic_apps(application: Application, context: PipelineContext) -> Application:
    return DynamicApps(application, context.settings.python)


def _cgi(application: Application, context: PipelineContext) -> Application:
    programs = CgiPrograms(context.settings, application, context.log, context.loop_budget, context.seat)
    context.forks.descriptors = programs.descriptors
    return programs


def _https(application: Application, context: PipelineContext) -> Application:
    return Https(application, context.settings.tls.hsts)


PIPELINE = (
    PipelineRow("https", 100, lambda settings: bool(settings.tls.http_to_https or settings.tls.hsts), _https),
    PipelineRow("cgi", 500, lambda settings: bool(settings.cgi.cgi), _cgi),
    PipelineRow("dynamic-apps", 900, lambda settings: settings.proxies.dynamic_apps, _dynamic_apps),
)


@cache
def rows() -> tuple[PipelineRow, ...]:
    """The table and what plugins add to it, in their order. Raises UsageError for a plugin that cannot be loaded.

    It looks for plugins once a process: the zygote does, and its workers inherit what it found.
    """
    return tuple(sorted((*PIPELINE, *plugins.load(GROUP, PipelineRow)), key=lambda row: (row.order, row.name)))


def build(application: Application, context: PipelineContext, table: Iterable[PipelineRow]) -> Application:
    """The application, wrapped by all rows of the table that the configuration needs."""
    for row in reversed([*table]):
        if row.wanted(context.settings):
            application = row.wrap(application, context)
    return application
