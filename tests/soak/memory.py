"""The master over many reloads: its resident memory and everybody's descriptors."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.live.ps import resident
from tests.live.server import HELLO, Server

SETTLED = 20
"""Reloads until allocators and caches have what they want."""


@dataclass(frozen=True)
class Growth:
    """Bytes of the master, and descriptors, after the first reloads and after the last."""

    reloads: int
    rss: tuple[int, int]
    master: tuple[int, int]
    zygote: tuple[int, int]
    worker: tuple[int, int]

    def __str__(self) -> str:
        return (
            f"{self.reloads} reloads: the master's memory {self.rss[0] / 1e6:.1f} MB, then {self.rss[1] / 1e6:.1f} MB;"
            f" descriptors of master {self.master}, zygote {self.zygote}, worker {self.worker}"
        )


def growth(reloads: int) -> Growth:
    """Reload so often, and look at the processes at the beginning and at the end."""
    with Server("--processes", "2", "--async", "100", "--disable-logging", app=HELLO) as server:
        for generation in range(2, SETTLED + 2):
            server.reload(generation)
        before = _look(server)
        for generation in range(SETTLED + 2, SETTLED + reloads + 2):
            server.reload(generation)
        after = _look(server)
    rss, master, zygote, worker = (tuple(pair) for pair in zip(before, after, strict=True))
    return Growth(reloads, rss, master, zygote, worker)  # type: ignore[arg-type]


def _look(server: Server) -> tuple[int, int, int, int]:
    (zygote,) = server.zygotes()
    worker = server.workers()[0]
    return resident(server.pid), _descriptors(server.pid), _descriptors(zygote), _descriptors(worker)


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
