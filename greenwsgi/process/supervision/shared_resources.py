"""What the master itself holds open as long as the server lives, beside what was open before it was made.

The lifeline, and the shared memory that SEGMENTS names. They are made once, or taken over after a re-exec.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from greenwsgi.errors import UsageError
from greenwsgi.process.supervision.master_setup import MasterSetup, Waiting
from greenwsgi.process.supervision.shared_segments import Segment
from greenwsgi.shared.resources import (
    LIFELINE,
    LIFELINE_HOLDER,
    REPORT_READER,
    REPORT_WRITER,
    PipeEnd,
    Resource,
    Resources,
    SharedMemory,
)
from greenwsgi.shared.scoreboard import anonymous_file


def take(setup: MasterSetup) -> Resources:
    """Those that were handed over, and those that are new. Raises UsageError if there is no memory for one."""
    before = setup.handed.resources if setup.handed else Resources()
    items: list[Resource] = [one for one in map(before.find, (LIFELINE, LIFELINE_HOLDER)) if one]
    with ExitStack() as made:
        if not items:
            reader, writer = os.pipe()
            items = [PipeEnd(reader, LIFELINE), PipeEnd(writer, LIFELINE_HOLDER, inherited=False)]
            made.callback(close, Resources(tuple(items)))
        for segment in setup.segments:
            kept = before.find(segment.name)
            if kept:
                items.append(kept)
            elif size := segment.size(setup.settings):
                items.append(_made(segment, size))
                made.callback(os.close, items[-1].fd)
        made.pop_all()
    close(Resources(tuple(one for one in before if isinstance(one, SharedMemory) and one not in items)))
    return Resources(tuple(items))


def _made(segment: Segment, size: int) -> SharedMemory:
    with ExitStack() as opened:
        try:
            fd = anonymous_file(f"greenwsgi-{segment.name}")
            opened.callback(os.close, fd)
            os.ftruncate(fd, size)
        except OSError as error:
            what = f"no shared memory of {size} bytes for {segment.name}"
            raise UsageError(f"{what}: {error.strerror}") from None
        opened.pop_all()
    return SharedMemory(fd, segment.name)


def report_pipe(inbox: Waiting) -> Resources:
    """The report pipe, which the inbox owns."""
    return Resources((PipeEnd(inbox.reader, REPORT_READER, inherited=False), PipeEnd(inbox.report, REPORT_WRITER)))


def close(resources: Resources) -> None:
    """Close their descriptors."""
    for fd in resources.descriptors:
        os.close(fd)
