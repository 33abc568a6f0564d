"""A format is compiled once, and nothing in it is ever code."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenwsgi.errors import UsageError
from greenwsgi.log.access_format import VARIABLES, compiled
from greenwsgi.log.request_record import Outcome, RequestRecord

RECORD = RequestRecord(
    addr="10.0.0.1", method="GET", uri="/a?b={c}", protocol="HTTP/1.1", user="bob", variables=20, packet=412,
    started=1795246614.25, duration=0.0129, status="499", sent=13, headers=2, head_size=79, switches=1, core=9,
    outcome=Outcome.ABORTED, request=7, total=31,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("%(method) %(uri) %(proto)", "GET /a?b={c} HTTP/1.1"),
        ("%(addr)%(user)", "10.0.0.1bob"),
        ("%(msecs) %(micros)", "12 12900"),
        ("%(rsize)+%(hsize)=%(size)", "13+79=92"),
        ("%(vars) %(pktsize) %(headers) %(switches) %(core)", "40 412 2 1 9"),
        ("%(status) %(outcome)", "499 aborted"),
        ("%(pid) %(request)/%(total)", "4242 7/31"),
        ("[%(ctime)]", f"[{time.ctime(1795246614)}]"),
        ("", ""),
        ("no variable, 100%, %%, %(", "no variable, 100%, %%, %("),
        ("{record.__class__} {{}} ''' \\ \" \n", "{record.__class__} {{}} ''' \\ \" \n"),
    ],
)
def test_lines(text: str, line: str) -> None:
    assert compiled(text, 4242)(RECORD) == line


def test_a_second_is_shown_as_it_was() -> None:
    make = compiled("%(ctime)", 1)
    later = replace(RECORD, started=RECORD.started + 1)
    assert [make(RECORD), make(later), make(RECORD)] == [
        time.ctime(one) for one in (1795246614, 1795246615, 1795246614)
    ]


def test_memory_is_that_of_the_process() -> None:
    vsz, rss, vsz_mb, rss_mb = map(int, compiled("%(vsz) %(rss) %(vszM) %(rssM)", os.getpid())(RECORD).split())
    assert vsz_mb == vsz >> 20
    assert rss_mb == rss >> 20
    assert rss > 1 << 20


def test_an_unknown_variable_is_the_operators_mistake() -> None:
    with pytest.raises(UsageError, match=r"%\(__import__\('os'\)\) is not|%\(__import__\('os'\) is not"):
        compiled("%(__import__('os'))", 1)


def test_every_variable_gives_a_text() -> None:
    for name in VARIABLES:
        assert compiled(f"%({name})", 1)(RECORD)


@given(st.text())
def test_any_other_text_stays_as_it_is(text: str) -> None:
    text = text.replace("%(", "")
    assert compiled(text, 1)(RECORD) == text
