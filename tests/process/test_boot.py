"""What of the composition can be tested without a server."""

from __future__ import annotations

from pathlib import Path

from greenwsgi.process import boot


def test_rotations_within_a_second_lose_no_log(tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    moved = []
    for _ in range(3):
        Path(log).touch()
        moved.append(Path(log).rename(boot._aside(log, 1700000000)).name)
    assert moved == ["log.1700000000", "log.1700000001", "log.1700000002"]
