"""Limits of the process: what there is, and what is had in place of more than there may be."""

from __future__ import annotations

import resource

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.options.table.machine import MachineOptions
from greenwsgi.shared import resource_limits

Limits = tuple[int, int]


class Kernel:
    """setrlimit as it is for somebody who is not root."""

    RLIMIT_AS, RLIMIT_NPROC, RLIMIT_NOFILE = resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE

    def __init__(self) -> None:
        self.limits: dict[int, Limits] = dict.fromkeys((self.RLIMIT_AS, self.RLIMIT_NPROC), (-1, -1))
        self.limits[self.RLIMIT_NOFILE] = (1024, 4096)

    def getrlimit(self, kind: int) -> Limits:
        return self.limits[kind]

    def setrlimit(self, kind: int, limits: Limits) -> None:
        if limits[1] > self.limits[kind][1] >= 0:
            raise ValueError("not allowed to raise maximum limit")
        self.limits[kind] = limits


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    found = Kernel()
    monkeypatch.setattr(resource_limits, "resource", found)
    return found


def test_fewer_descriptors(kernel: Kernel) -> None:
    resource_limits.limit(MachineOptions(max_fd=512), pytest.fail)
    assert kernel.limits[Kernel.RLIMIT_NOFILE] == (512, 512)


def test_more_descriptors_than_there_may_be(kernel: Kernel) -> None:
    warnings: list[str] = []
    resource_limits.limit(MachineOptions(max_fd=10_000), warnings.append)
    assert kernel.limits[Kernel.RLIMIT_NOFILE] == (4096, 4096)
    assert warnings == ["max-fd 10000: this is more than may be had; it is 4096"]


def test_other_limits_that_may_not_be_set(kernel: Kernel) -> None:
    kernel.limits[Kernel.RLIMIT_NPROC] = (100, 100)
    with pytest.raises(UsageError, match="limit-nproc: only root may have more than 100"):
        resource_limits.limit(MachineOptions(limit_nproc=101), pytest.fail)
