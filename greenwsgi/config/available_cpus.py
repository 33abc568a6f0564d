"""How many processors the server may use: `processes = auto`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path


def usable(root: Path = Path("/")) -> int:
    """The processors of our affinity, fewer if our cgroup or one above it has a CPU limit (version 1 or 2); at least 1.

    A limit of one and a half processors counts as two: so none of it is wasted.
    """
    return max(1, min([_affinity(), *(ceil(limit) for limit in _limits(root))]))


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not everywhere
        return os.cpu_count() or 1


def _limits(root: Path) -> Iterator[float]:
    """Processors, as each cgroup on the way up says; a container may see its own cgroup as the root."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            for group in _upwards(root / "sys/fs/cgroup", path):
                yield from _quota(*[*_read(group / "cpu.max").split(), "", ""][:2])
        elif "cpu" in controllers.split(","):
            for mount in ("cpu", "cpu,cpuacct"):
                for group in _upwards(root / "sys/fs/cgroup" / mount, path):
                    yield from _quota(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    group = mount / path.strip("/")
    yield group
    while group != mount and group != group.parent:
        group = group.parent
        yield group


def _quota(quota: str, period: str) -> Iterator[float]:
    """`max` and -1 are no limit."""
    if quota.strip().isdecimal() and period.strip().isdecimal() and int(period):
        yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
