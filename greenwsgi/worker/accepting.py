"""The acceptors of a worker: which listeners it serves, pausing, and closing."""

from __future__ import annotations

import os
import resource
from collections.abc import Container
from functools import partial
from typing import Any

from greenwsgi.config.option_rules import socket_numbers
from greenwsgi.serve.acceptor import Acceptor
from greenwsgi.serve.crash_probation import CrashProbation
from greenwsgi.serve.endpoints import endpoint_and_admission
from greenwsgi.serve.service import Service
from greenwsgi.shared.messages import HANDSHAKE
from greenwsgi.shared.metrics import FULL
from greenwsgi.shared.scoreboard import Stage
from greenwsgi.worker.worker_boot import WorkerBoot
from greenwsgi.wsgi.environ import fixed_part

ORPHAN_DRAIN = 1.0
"""Seconds that a worker without a master accepts what waits in the queue: another server may want the address."""

DESCRIPTOR_RESERVE = 128
"""Descriptors left to the application: its files, its database connections."""


class Accepting:
    """The acceptors of one worker."""

    def __init__(self, boot: WorkerBoot, service: Service) -> None:
        self._boot = boot
        self._service = service
        self._acceptors: list[Acceptor] = []

    def start(self, environ: dict[str, Any]) -> None:
        """Accept on all listeners that this worker serves. environ: variables to add to each request's."""
        boot = self._boot
        workers = boot.settings.processes.processes
        fixed = fixed_part(multiprocess=workers > 1, node=os.uname().nodename) | environ
        if boot.settings.python.wsgi_disable_file_wrapper:
            del fixed["wsgi.file_wrapper"]
        capacity = _capacity()
        shares = dict(boot.settings.listening.map_socket)
        numbers = socket_numbers(boot.settings, [one.text for one in boot.listeners])
        for number, listener in zip(numbers, boot.listeners, strict=True):
            share = shares.get(number, range(1, workers + 1))
            if boot.number not in share:
                continue
            endpoint, admission = endpoint_and_admission(listener, boot.settings, boot.tls, fixed)
            room = partial(self._siblings_have_room, share) if len(share) > 1 else None
            acceptor = Acceptor(
                listener.fd, self._service, endpoint, siblings_have_room=room, capacity=capacity, admission=admission
            )
            acceptor.start()
            self._acceptors.append(acceptor)
        if boot.probation:
            CrashProbation(self._service, self._acceptors)
        if boot.paused:
            self.pause(True)

    def pause(self, paused: bool) -> None:
        """Accept nothing, or accept again."""
        for acceptor in self._acceptors:
            acceptor.pause(paused)

    def close(self, *, orphan: bool) -> None:
        """Accept no more; but if the server ends, accept first what waits: no other process will.

        orphan: the master is gone.
        """
        grace = 0.0 if all(one.near for one in self._boot.listeners) else HANDSHAKE
        self._service.descriptor_owners.release(one.fd for one in self._boot.listeners)
        for acceptor in self._acceptors:
            if orphan:
                acceptor.drain(0.0, ORPHAN_DRAIN)
            elif self._boot.board.closing:
                acceptor.drain(grace)
            else:
                acceptor.close()

    @property
    def closed(self) -> bool:
        return all(one.closed for one in self._acceptors)

    def _siblings_have_room(self, share: Container[int]) -> bool:
        """Has another worker of our generation, which serves and is one of those numbers, a free slot?"""
        boot = self._boot
        return any(
            seat.number in share and seat.stage is Stage.READY and not seat.counters[FULL]
            for seat in boot.board.seats
            if seat is not boot.seat
        )


def _capacity() -> int:
    """How many connections the descriptors of the process allow; its soft limit is raised to the hard one."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        limit = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return max(limit - DESCRIPTOR_RESERVE, limit // 2)
