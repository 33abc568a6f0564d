"""What the machine itself does to the figures: how long a process that has next to nothing to do was not let run.

`python -m tests.soak.machine` sleeps a little, again and again, until its input ends; then it writes by how many
seconds the worst of these sleeps was too long.
"""

from __future__ import annotations

import select
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

SLEEP = 0.005


class Stalls:
    """Watches while its block runs; `longest`, in seconds, is there behind it."""

    longest = 0.0

    def __enter__(self) -> Self:
        self._watcher = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.machine"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.longest = float(self._watcher.communicate()[0])


def main() -> None:
    longest, over = 0.0, False
    while not over:
        began = time.monotonic()
        over = bool(select.select([sys.stdin], [], [], SLEEP)[0])
        if not over:
            longest = max(longest, time.monotonic() - began - SLEEP)
    print(longest)


if __name__ == "__main__":
    main()
