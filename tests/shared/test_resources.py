"""The list of what a process has open: there and back, what another version knows, and who gets what."""

from __future__ import annotations

import json
import os
from dataclasses import fields

import pytest

from greenwsgi.shared.descriptor_numbers import FIRST_HIGH
from greenwsgi.shared.resources import (
    KINDS,
    BoundListener,
    OpenFile,
    PipeEnd,
    Resources,
    SharedMemory,
)

ALL = Resources(
    (
        BoundListener(7, "http", "127.0.0.1:80", ":80", tls=True),
        PipeEnd(8, "report-reader", inherited=False),
        SharedMemory(9, "scoreboard"),
        OpenFile(10, "control-socket", (2049, 77), inherited=False),
        BoundListener(11, "uwsgi", "/tmp/é.sock", "é.sock", file=(2049, 78), own=False),
    )
)


def test_the_list_comes_back_as_it_was() -> None:
    assert Resources.read(json.loads(json.dumps(ALL.plain()))) == ALL
    assert {type(one) for one in ALL} == set(KINDS.values()), "a kind is missing in this test"


def test_another_version_may_know_more_or_less() -> None:
    said = ALL.plain()
    said[2]["pages"] = "huge"
    for name in ("tls", "file", "own", "inherited", "text"):
        del said[0][name]
    assert Resources.read([*said, {"kind": "telescope", "fd": 99}]).items == (
        BoundListener(7, "http", "127.0.0.1:80"),
        *ALL.items[1:],
    )


@pytest.mark.parametrize("wrong", [{"fd": 3}, {"kind": "pipe", "fd": 3}, {"kind": "pipe", "name": "x"}])
def test_what_is_no_list_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        Resources.read([wrong])
    with pytest.raises(TypeError, match="no descriptor"):
        Resources.read([{"kind": "memory", "name": "x", "fd": "3"}])


def test_finding() -> None:
    assert ALL.fd("scoreboard") == 9
    assert ALL.fd("no such") == ALL.fd("127.0.0.1:80") == -1, "a listener's address is no name"
    assert [one.fd for one in ALL.listeners] == [7, 11]
    assert ALL.descriptors == (7, 8, 9, 10, 11)


def test_what_zygotes_and_workers_get() -> None:
    assert ALL.inherited().descriptors == (7, 9, 11)


def test_some_are_split_off() -> None:
    kept, left = ALL.split("scoreboard", "no such", "127.0.0.1:80")
    assert (kept.descriptors, left.descriptors) == ((7, 8, 10, 11), (9,))


def test_numbers_are_raised() -> None:
    reader, writer = os.pipe()
    before = Resources((PipeEnd(reader, "a"), PipeEnd(writer, "b", inherited=False)))
    after = before.raised()
    try:
        assert min(after.descriptors) >= FIRST_HIGH
        assert [(one.kind, one.inherited) for one in after] == [("pipe", True), ("pipe", False)]
        assert not any(os.path.exists(f"/dev/fd/{fd}") for fd in (reader, writer))
    finally:
        for fd in after.descriptors:
            os.close(fd)


def test_each_kind_has_a_name_and_defaults_for_what_may_be_new() -> None:
    for kind in KINDS.values():
        assert {"fd", "name", "inherited"} <= {one.name for one in fields(kind)}
