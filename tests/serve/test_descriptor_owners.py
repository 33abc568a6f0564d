"""Whose descriptors are: those that the worker closes by itself are not lost."""

from __future__ import annotations

import os
import socket

from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve.descriptor_owners import DescriptorOwners


def test_what_is_closed_behind_the_worker_s_back_is_lost_but_not_what_it_closes_itself() -> None:
    log, pipe = os.pipe()
    listener, other = (socket.create_server(("127.0.0.1", 0)).detach() for _ in range(2))
    numbers = DescriptorOwners(ServerLog(log), (listener, other))
    os.close(listener)
    assert numbers.lost() == [listener]
    numbers.release([listener])
    assert numbers.lost() == []
    os.close(other)
    assert numbers.lost() == [other]
    for fd in (log, pipe):
        os.close(fd)
