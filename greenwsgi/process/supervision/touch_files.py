"""Files that are touched to ask for a reload: touch-reload, touch-workers-reload, touch-chain-reload.

They are checked once a second, without inotify.
Touched means: changed in any way that its modification time, size or inode shows, replaced by another file, or there
again after it was missing. A file that does not exist yet is waited for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from greenwsgi.config.settings import Settings
from greenwsgi.process.supervision.fleet import ReloadKind

Watched = tuple[str, str, ReloadKind]
"""The option's name, the file, and what is asked for with it."""


def watched(settings: Settings) -> list[Watched]:
    """What the settings name. A relative path means the same file as for the application, which is in `chdir`."""
    processes = settings.processes
    named = (
        ("touch-reload", processes.touch_reload, ReloadKind.WHOLE),
        ("touch-workers-reload", processes.touch_workers_reload, ReloadKind.WORKERS),
        ("touch-chain-reload", processes.touch_chain_reload, ReloadKind.CHAIN),
    )
    folder = settings.python.chdir
    return [(option, os.path.join(folder, path), kind) for option, paths, kind in named for path in paths]


class TouchFiles:
    """Remembers what each file looked like."""

    def __init__(self) -> None:
        self._seen: dict[Watched, tuple[int, ...] | None] = {}

    def look(self, files: Iterable[Watched]) -> list[Watched]:
        """Those of the files that were touched since the last look, or since they were first named."""
        now = {file: _looks(file[1]) for file in files}
        touched = [file for file in now if now[file] and file in self._seen and now[file] != self._seen[file]]
        self._seen = now
        return touched

    def missing(self, file: Watched) -> bool:
        """Was it not there at the last look?"""
        return self._seen.get(file) is None


def _looks(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
