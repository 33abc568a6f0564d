"""Going to the background: the shell gets its prompt back when the server serves, or the reason why it does not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def detach(serve: Callable[[Callable[[], None]], int]) -> int:
    """Run `serve` in a process of a new session, without a terminal; returns in both processes.

    `serve` gets a function to call when all is well. In the old process the status is 0 then, else the one that the new
    process ended with; in the new one it is what `serve` returns. What it raises passes there alone.
    """
    heard, told = os.pipe()
    pid = os.fork()
    if pid:
        os.close(told)
        return _outcome(pid, heard)
    os.close(heard)
    os.setsid()
    with open(told, "wb", buffering=0) as pipe:  # closed if it raises, too: what is tried then may be long-lived

        def ready() -> None:
            pipe.write(b"+")
            pipe.close()

        return serve(ready)


def _outcome(pid: int, heard: int) -> int:
    """Wait for the word that all is well, or for its end; an interrupt is passed on, and so ends both."""
    try:
        with open(heard, "rb") as pipe:
            if pipe.read():
                return 0
        _, status = os.waitpid(pid, 0)
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGINT)
        _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
