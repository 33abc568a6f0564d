"""SEGMENTS: shared memory of the server as a whole, one row each.

A segment is made before the first generation and stays until the server ends: over each reload and each re-exec.
Zygotes and workers find it by its name in their resources.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from greenwsgi.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of shared memory, filled with zeros when it is made."""

    name: str
    """Its name among the resources, unlike any other there."""
    size: Callable[[Settings], int]
    """Its bytes, by the settings that the server started with; 0 for none."""


SEGMENTS: tuple[Segment, ...] = ()
