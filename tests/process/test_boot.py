"""What of the composition can be tested without a server."""

from __future__ import annotations

import os
from pathlib import Path

from greenwsgi.process.lifecycle import boot


def test_rotations_within_a_second_lose_no_log(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    for _ in range(3):
        Path(log).touch()
        boot._move_aside(log, 1700000000)
    assert sorted(os.listdir(tmp_path)) == ["log.1700000000", "log.1700000001", "log.1700000002"]
