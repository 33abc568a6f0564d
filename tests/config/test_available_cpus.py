"""`processes = auto`: affinity, and CPU limits of cgroups, from a made-up /proc and /sys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from greenwsgi.config import available_cpus
from greenwsgi.config.load import load

CGROUP = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n", f"{CGROUP}/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", f"{CGROUP}/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/a/b\n", f"{CGROUP}/a/b/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/a/b\n", f"{CGROUP}/a/cpu.max": "300000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/a\n", f"{CGROUP}/a/cpu.max": "1000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/a\n", f"{CGROUP}/a/cpu.max": "9900000 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/gone/../..\n", f"{CGROUP}/cpu.max": "nonsense\n"}, 8),
        (
            {
                "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/x\n",
                f"{CGROUP}/cpu/x/cpu.cfs_quota_us": "400000\n",
                f"{CGROUP}/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/docker/1\n",
                f"{CGROUP}/cpu/cpu.cfs_quota_us": "-1\n",
                f"{CGROUP}/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str], expected: int) -> None:
    monkeypatch.setattr(available_cpus, "_affinity", lambda: 8)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cpus.usable(tmp_path) == expected


def test_here() -> None:
    assert 1 <= available_cpus.usable() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("name", ["processes", "workers", "p"])
def test_processes_auto(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(available_cpus, "usable", lambda: 3)
    written = [f"-{name}", "auto"] if name == "p" else [f"--{name}=auto"]
    assert load(written, {}).settings.processes.processes == 3
