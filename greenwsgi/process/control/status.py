"""The status of a server as a table for people, made from the document of a ServerView."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COLUMNS: tuple[str, ...] = (
    "generation",
    "worker",
    "pid",
    "stage",
    "age",
    "memory",
    "requests",
    "in flight",
    "exceptions",
    "harakiris",
)
_COUNTED: tuple[str, ...] = (
    *("worker", "respawns", "requests", "exceptions", "harakiris", "client gone", "refused", "overloaded"),
)


def table(status: Mapping[str, Any]) -> str:
    """Some lines about the server, a row for each zygote and worker, and what each worker number counted so far."""
    listeners = ", ".join(status["listeners"])
    lines = [
        f"greenwsgi {status['version']} {status['state']}: {listeners} (pid {status['pid']}, {_size(status['memory'])})"
    ]
    rows = [_COLUMNS]
    for generation in status["generations"]:
        rows.append(_zygote_row(generation))
        rows += [_worker_row(generation["generation"], worker) for worker in generation["workers"]]
    lines += _aligned(rows)
    for one in status.get("children", ()):  # an older server has none
        lines.append(f"{one['role']} {one['name']}: {one['stage']} (pid {one['pid'] or '-'})")
    lines += [f"generation {one['generation']}: {one['failure']}" for one in status["generations"] if one["failure"]]
    totals = [_COUNTED]
    totals += [tuple(str(one[name.replace(" ", "_")]) for name in _COUNTED) for one in status["totals"]]
    return "\n".join([*lines, "since the start:", *_aligned(totals)]) + "\n"


def _zygote_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    pid = str(one["zygote"] or "-")
    return (str(one["generation"]), "zygote", pid, one["stage"], _age(one["age"]), _size(one["memory"]), *[""] * 4)


def _worker_row(generation: int, one: Mapping[str, Any]) -> tuple[str, ...]:
    counts = (str(one[name]) for name in ("requests", "in_flight", "exceptions", "harakiris"))
    pid = str(one["pid"] or "-")
    return (str(generation), str(one["worker"]), pid, one["stage"], _age(one["age"]), _size(one["memory"]), *counts)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _age(seconds: float) -> str:
    """`12.3s`, `5m03s`, `2h05m`, `3d04h`."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 24 else f"{hours // 24}d{hours % 24:02}h"


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f}M" if size else "-"
