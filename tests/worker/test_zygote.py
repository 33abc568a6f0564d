"""What of the zygote needs no master."""

from __future__ import annotations

import subprocess

from greenwsgi.worker import zygote


def test_a_child_that_somebody_else_has_buried_is_dead() -> None:
    """C code that ignores SIGCHLD, or waits for any child; how it ended nobody knows."""
    child = subprocess.Popen(["false"])
    child.wait()
    assert zygote._death_of(child.pid) == 0
