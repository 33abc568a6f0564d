"""What a process is called."""

from __future__ import annotations

import pytest

from greenwsgi.options.table.machine import MachineOptions
from greenwsgi.shared.process_title import named


@pytest.mark.parametrize(
    ("options", "master", "worker"),
    [
        (MachineOptions(), "greenwsgi master", "greenwsgi worker 1"),
        (MachineOptions(procname="shop"), "shop", "shop"),
        (MachineOptions(procname="shop", procname_master="head"), "head", "shop"),
        (MachineOptions(procname_prefix="x-", procname_append="!"), "x-greenwsgi master!", "x-greenwsgi worker 1!"),
        (MachineOptions(procname_prefix_spaced="shop"), "shop greenwsgi master", "shop greenwsgi worker 1"),
    ],
)
def test_names(options: MachineOptions, master: str, worker: str) -> None:
    assert (named("master", options), named("worker 1", options)) == (master, worker)
