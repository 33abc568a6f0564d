"""Log sinks: what they get, what they cost when there are none, and one that fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.config.settings import Settings
from greenwsgi.errors import UsageError
from greenwsgi.log.access_log import AccessLog
from greenwsgi.log.request_record import Outcome, RequestRecord
from greenwsgi.log.server_log import ServerLog
from greenwsgi.options.table.logging import LoggingOptions
from greenwsgi.worker import log_sinks
from greenwsgi.worker.log_sinks import LogSink, make_access_log

PLUGINS = Path(__file__).parent.parent / "plugins"

RECORD = RequestRecord("::1", "GET", "/a", "HTTP/1.1", "", 9, 80, 0.0, 0.25, "200", 5, 2, 60, 1, 0, Outcome.OK, 1, 1)
QUIET = Settings(logging=LoggingOptions(disable_logging=True))


def sink(name: str, seen: list[str], *, wanted: bool = True) -> LogSink:
    def open_sink(_settings: Settings) -> Callable[[RequestRecord], object]:
        return lambda record: seen.append(f"{name} {record.method} {record.uri} {record.outcome.value}")

    return LogSink(name, lambda _settings: wanted, open_sink)


@pytest.fixture
def log(tmp_path: Path) -> Any:
    """A log, and what was written to it."""
    fd = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield ServerLog(fd), lambda: (tmp_path / "log").read_text()
    os.close(fd)


def test_without_a_wanted_sink_the_access_log_is_as_it_was(log: Any) -> None:
    assert type(make_access_log(Settings(), 1, log[0], log_sinks.rows())) is AccessLog
    assert type(make_access_log(Settings(), 1, log[0], [sink("absent", [], wanted=False)])) is AccessLog
    assert make_access_log(QUIET, 1, log[0], []) is None


def test_each_sink_gets_each_record_beside_the_line(log: Any) -> None:
    seen: list[str] = []
    access = make_access_log(Settings(), 1, log[0], [sink("one", seen), sink("two", seen)])
    assert access is not None
    access.write(RECORD)
    assert seen == ["one GET /a ok", "two GET /a ok"]
    assert "GET /a => generated 5 bytes" in log[1]()


def test_records_without_lines(log: Any) -> None:
    seen: list[str] = []
    access = make_access_log(QUIET, 1, log[0], [sink("one", seen)])
    assert access is not None
    access.write(RECORD)
    assert (seen, log[1]()) == (["one GET /a ok"], "")


def test_one_that_fails_is_logged_once_and_the_others_go_on(log: Any) -> None:
    seen: list[str] = []

    def fail(_record: RequestRecord) -> None:
        raise OSError("the collector is gone")

    broken = LogSink("broken", lambda _settings: True, lambda _settings: fail)
    access = make_access_log(QUIET, 1, log[0], [broken, sink("two", seen)])
    assert access is not None
    access.write(RECORD)
    access.write(replace(RECORD, uri="/b"))
    assert seen == ["two GET /a ok", "two GET /b ok"]
    assert log[1]().count("the log sink broken fails, and gets no more records in this worker") == 1
    assert log[1]().count("OSError: the collector is gone") == 1


def test_a_lost_log_is_not_written_to_but_sinks_go_on(log: Any) -> None:
    seen: list[str] = []
    access = make_access_log(Settings(), 1, log[0], [sink("one", seen)])
    assert access is not None
    access.lose()
    access.write(RECORD)
    assert (seen, log[1]()) == (["one GET /a ok"], "")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a folder of tests/plugins on sys.path: `plugins("example")`."""
    log_sinks.rows.cache_clear()
    yield lambda name: monkeypatch.syspath_prepend(PLUGINS / name)
    monkeypatch.undo()
    log_sinks.rows.cache_clear()


def test_sinks_of_other_distributions(plugins: Any) -> None:
    plugins("example")
    assert [one.name for one in log_sinks.rows()] == ["counter"]


def test_one_of_the_wrong_type_is_named_with_its_distribution(plugins: Any) -> None:
    plugins("broken")
    with pytest.raises(UsageError, match=r"plugin 'no-sink' .* of the distribution greenwsgi-broken is a int, wanted"):
        log_sinks.rows()
