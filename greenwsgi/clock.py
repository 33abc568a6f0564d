"""Time as an argument: code that decides by time takes a Clock, so that tests turn it by hand."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: `monotonic` for deadlines and ages, `wall` for what people read. Both in seconds."""

    def monotonic(self) -> float: ...
    def wall(self) -> float: ...


class SystemClock:
    """The machine's clocks. CLOCK_MONOTONIC is one for all processes, so deadlines may be shared between them."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
