"""Which request was running whenever a worker died."""

from __future__ import annotations

from greenwsgi.process.supervision.crash_suspects import MOST_NAMED, CrashSuspects
from greenwsgi.shared.scoreboard import RunningRequest


def requests(*uris: str, method: str = "GET") -> list[RunningRequest]:
    return [RunningRequest(core, 1.0, 2.0, "192.0.2.1", method, uri, "HTTP/1.1") for core, uri in enumerate(uris)]


def test_a_path_is_named_at_the_third_death_in_a_row() -> None:
    suspects = CrashSuspects()
    assert suspects.died("worker 1 ended with status 4", requests("/crash?a=1", "/one")) == []
    assert suspects.died("worker 2 died by signal 11 (SIGSEGV)", requests("/two", "/crash")) == []
    (line,) = suspects.died("worker 1 ended with status 4", requests("/crash?b", "/two"))
    assert line == (
        "GET /crash was running at each of the last 3 deaths of workers, at last: worker 1 ended with status 4,"
        " worker 2 died by signal 11 (SIGSEGV), worker 1 ended with status 4"
    )


def test_a_death_without_it_begins_the_count_again() -> None:
    suspects = CrashSuspects()
    for _ in range(3):
        assert suspects.died("x", requests("/crash")) == []
        assert suspects.died("x", requests("/crash")) == []
        assert suspects.died("x", []) == []


def test_a_method_is_part_of_it_and_two_clients_of_one_path_count_once() -> None:
    suspects = CrashSuspects()
    assert suspects.died("x", requests("/a", "/a", "/a")) == []
    assert suspects.died("x", requests("/a", method="POST")) == []
    assert suspects.died("x", requests("/a")) == []


def test_a_crash_without_end_is_named_less_and_less() -> None:
    suspects = CrashSuspects()
    named = [death for death in range(1, 100) if suspects.died("x", requests("/crash"))]
    assert named == [3, 6, 12, 24, 48, 96]


def test_of_many_paths_some_are_named() -> None:
    suspects = CrashSuspects()
    for _ in range(3):
        said = suspects.died("x", requests(*[f"/{number}" for number in range(20)]))
    assert len(said) == MOST_NAMED + 1
    assert said[-1] == "and so were 15 other paths"
