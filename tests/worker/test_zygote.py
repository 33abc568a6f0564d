"""What a zygote looks at before it loads anything."""

from __future__ import annotations

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.shared.messages import BootDocument
from greenwsgi.shared.scoreboard import LAYOUT
from greenwsgi.worker import zygote


def document(layout: str) -> BootDocument:
    return BootDocument(1, {}, (), 3, 4, 5, 6, 2, 4, 4, layout=layout)


def test_a_master_of_another_layout_is_not_served() -> None:
    zygote.agree(document(LAYOUT))
    for other in ("", LAYOUT + " more"):
        with pytest.raises(UsageError, match="reexec first"):
            zygote.agree(document(other))
