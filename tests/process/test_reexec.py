"""A master that cannot be executed anew; all else of it is live."""

from __future__ import annotations

import os
import sys

import pytest

from greenwsgi.clock import SystemClock
from greenwsgi.errors import UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.lifecycle.child_processes import ChildProcesses
from greenwsgi.process.lifecycle.handover import Handover
from greenwsgi.process.lifecycle.reexec import Reexec
from greenwsgi.process.lifecycle.start_directory import StartDirectory
from greenwsgi.process.supervision.fleet import Fleet
from greenwsgi.shared.resources import Resources


def test_nothing_is_left_of_an_attempt_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    fleet = Fleet(60.0)
    handed = Handover(fleet=fleet, cycles={}, layout="", totals={}, living={}, starts={}, resources=Resources())
    reexec = Reexec(
        fleet,
        ChildProcesses(),
        SystemClock(),
        ServerLog(-1),
        StartDirectory(),
        complete=lambda handed: handed,
    )

    class Supervisor:
        def open_log(self, path: str) -> None: ...
        def note_all(self) -> None: ...
        def hand_over(self) -> Handover:
            return handed

    before = os.listdir("/dev/fd")
    with pytest.raises(UsageError, match="/no/such/python: No such file or directory"):
        reexec.execute(Supervisor())
    assert os.listdir("/dev/fd") == before
