"""How much memory a process has, as /proc tells (Linux)."""

from __future__ import annotations

import resource
from dataclasses import dataclass

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes: its address space, and what of it is resident."""

    space: int = 0
    resident: int = 0


def of(pid: int) -> Memory:
    """The memory of a process; nothing where the system does not tell, or when it is gone. Takes some 15 us."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            space, resident = file.read().split()[:2]
    except (OSError, ValueError):
        return Memory()
    page = resource.getpagesize()
    return Memory(int(space) * page, int(resident) * page)
