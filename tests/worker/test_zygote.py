"""What a zygote looks at before it loads anything."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.shared.messages import BootDocument, Reap, ReopenLog
from greenwsgi.shared.resources import ZYGOTE_COMMANDS_READER, PipeEnd, Resources
from greenwsgi.shared.scoreboard import LAYOUT
from greenwsgi.worker import zygote


def document(layout: str) -> BootDocument:
    return BootDocument(1, {}, Resources(), 4, 4, layout=layout)


def test_a_master_of_another_layout_is_not_served() -> None:
    zygote.agree(document(LAYOUT))
    for other in ("", LAYOUT + " more"):
        with pytest.raises(UsageError, match="reexec first"):
            zygote.agree(document(other))


def test_a_failure_is_logged_to_the_new_file_if_the_log_was_moved_meanwhile(tmp_path: Path) -> None:
    path, moved = tmp_path / "log", tmp_path / "moved"
    reader, writer = os.pipe()
    boot = replace(
        document(LAYOUT), resources=Resources((PipeEnd(reader, ZYGOTE_COMMANDS_READER),)), log_file=str(path)
    )
    with path.open("ab") as file:
        log = ServerLog(file.fileno())
        zygote.obey_reopen_log(boot, log)
        path.rename(moved)
        log.error("before")
        os.write(writer, Reap(1).encode() + ReopenLog(os.getpid()).encode())
        zygote.obey_reopen_log(boot, log)
        log.error("after")
    assert "before" in moved.read_text()
    assert "after" in path.read_text()
    assert "after" not in moved.read_text()
    os.close(writer)
    os.close(reader)


def test_where_the_log_goes_to_no_file_nothing_is_opened(tmp_path: Path) -> None:
    zygote.reopen("", ServerLog(-1))
