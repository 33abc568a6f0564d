"""Makes the Service of a worker from its configuration and its start data."""

from __future__ import annotations

import os
from collections.abc import Callable

from greenwsgi.serve.deadlines import Deadlines
from greenwsgi.serve.descriptor_owners import DescriptorOwners
from greenwsgi.serve.loop_budget import LoopBudget
from greenwsgi.serve.policy import RequestPolicy
from greenwsgi.serve.request_slots import RequestSlots
from greenwsgi.serve.service import Service
from greenwsgi.shared.metrics import REQUESTS
from greenwsgi.shared.scoreboard import Scoreboard
from greenwsgi.worker import log_sinks, pipeline
from greenwsgi.worker.worker_boot import WorkerBoot
from greenwsgi.wsgi.types import Application


def make_service(boot: WorkerBoot, application: Application, finished: Callable[[], None] | None) -> Service:
    """The service of a worker. It is also given to the at-fork hook. finished: called after every request.

    Raises UsageError for errors of the configuration that are only detected here.
    """
    settings = boot.settings
    deadlines, loop_budget = Deadlines(), LoopBudget()
    context = pipeline.PipelineContext(settings, boot.log, loop_budget, boot.seat, boot.forks)
    boot.forks.service = service = Service(
        policy=RequestPolicy.of(settings),
        application=pipeline.build(application, context, pipeline.rows()),
        log=boot.log,
        access=log_sinks.make_access_log(settings, os.getpid(), boot.log, log_sinks.rows()),
        seat=boot.seat,
        total_requests=lambda: _total_requests(boot.board),
        deadlines=deadlines,
        slots=RequestSlots(settings.processes.async_, deadlines, settings.limits.queue_size),
        descriptor_owners=DescriptorOwners(boot.log, boot.descriptors),
        loop_budget=loop_budget,
        finished=finished,
    )
    return service


def _total_requests(board: Scoreboard) -> int:
    return board.past[REQUESTS] + sum(seat.counters[REQUESTS] for seat in board.seats)
