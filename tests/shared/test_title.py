"""What a process is called."""

from __future__ import annotations

import pytest

from greenwsgi.options.table.machine import Machine
from greenwsgi.shared.title import named


@pytest.mark.parametrize(
    ("options", "master", "worker"),
    [
        (Machine(), "greenwsgi master", "greenwsgi worker 1"),
        (Machine(procname="shop"), "shop", "shop"),
        (Machine(procname="shop", procname_master="head"), "head", "shop"),
        (Machine(procname_prefix="x-", procname_append="!"), "x-greenwsgi master!", "x-greenwsgi worker 1!"),
        (Machine(procname_prefix_spaced="shop"), "shop greenwsgi master", "shop greenwsgi worker 1"),
    ],
)
def test_names(options: Machine, master: str, worker: str) -> None:
    assert (named("master", options), named("worker 1", options)) == (master, worker)
