"""Every case of the tables, fed in every way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wire.cases import CLOSED, GONE, KEPT, REFUSED, Case, fastcgi_records, scgi_requests, uwsgi_packets
from tests.wire.cases.paths import PATHS, as_markdown
from tests.wire.driving import ANSWERED, TABLES, Outcome, drive, forget, make, splits

TAILS = {
    "http": b"GET /tail HTTP/1.1\r\nHost: tail\r\n\r\n",
    "uwsgi": uwsgi_packets.get(("PATH_INFO", "/tail")),
    "fastcgi": fastcgi_records.get(("PATH_INFO", "/tail")),
    "fastcgi-nph": fastcgi_records.get(("PATH_INFO", "/tail")),
    "scgi": scgi_requests.get(("PATH_INFO", "/tail")),
    "scgi-nph": scgi_requests.get(("PATH_INFO", "/tail")),
}

ALL = [pytest.param(protocol, case, id=f"{protocol}:{case.id}") for protocol, cases in TABLES.items() for case in cases]

WHOLE = [
    pytest.param(protocol, case, id=f"{protocol}:{case.id}")
    for protocol, cases in TABLES.items()
    for case in cases
    if case.ending != GONE and case.data  # else the tail would be part of the case
]


def check(case: Case, outcome: Outcome, way: str) -> None:
    """The outcome is the right answer."""
    assert (outcome.ending, outcome.status) == (case.ending, case.status), way
    assert len(outcome.requests) == len(case.requests), way
    for (variables, body), expected in zip(outcome.requests, case.requests, strict=True):
        assert body == expected.body, way
        assert {name: variables.get(name) for name in expected.vars} == expected.vars, way
        assert not [name for name in expected.absent if name in variables], way
        assert "" not in variables, way
    assert outcome.replies == case.replies, way
    if case.ending == REFUSED:
        answers = [200 for _, body in outcome.requests if body is not None] + [case.status] * case.answered
        assert [int(status) for status in ANSWERED.findall(outcome.sent) if status != b"100"] == answers, way


@pytest.mark.parametrize(("protocol", "case"), ALL)
def test_case(protocol: str, case: Case) -> None:
    """Whole, byte by byte, at every CRLF, in halves; with nothing remembered and with all of it."""
    for way, pieces in splits(case.data).items():
        forget()
        check(case, drive(make(protocol, **case.limits), pieces), way)
        check(case, drive(make(protocol, **case.limits), pieces), f"{way}, once more")


@pytest.mark.parametrize(("protocol", "case"), WHOLE)
def test_case_with_a_pipelined_tail(protocol: str, case: Case) -> None:
    """A request behind it is served when the connection is kept, and never otherwise."""
    outcome = drive(make(protocol, **case.limits), [case.data + TAILS[protocol]])
    tails = [variables for variables, _ in outcome.requests if variables.get("PATH_INFO") == "/tail"]
    if case.ending == KEPT and not (case.limits.keys() & {"head", "request_line"}):
        assert (outcome.ending, len(tails)) == (KEPT, 1)
    elif case.ending in (CLOSED, REFUSED):
        assert not tails
        check(case, outcome, "with a tail")


def test_the_tables_are_large_and_their_names_unique() -> None:
    """At least 250 cases, each with a name of its own."""
    assert sum(map(len, TABLES.values())) >= 250
    for cases in TABLES.values():
        names = [case.id for case in cases]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(("target", "theirs", "ours", "remark"), PATHS, ids=[row[0] for row in PATHS])
def test_path(target: str, theirs: str, ours: str | int, remark: str) -> None:
    """The table of docs/paths.md, our column."""
    outcome = drive(make("http"), [b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: x\r\n\r\n"])
    if isinstance(ours, int):
        assert (outcome.ending, outcome.status) == (REFUSED, ours)
        return
    ((variables, _),) = outcome.requests
    origin = target.removeprefix("http://h") if target.startswith("http") else target
    assert variables["PATH_INFO"] == ours
    assert variables["REQUEST_URI"] == (origin if origin.startswith("/") else "/" + origin)
    assert variables["QUERY_STRING"] == target.partition("?")[2]
    assert variables["SCRIPT_NAME"] == ""


def test_the_docs_have_the_same_table() -> None:
    """docs/paths.md."""
    assert as_markdown() in (Path(__file__).parents[2] / "docs" / "paths.md").read_text()
