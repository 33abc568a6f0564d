"""The pipeline: its order, what it costs when nothing is wanted, and rows of other distributions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenwsgi.config.settings import Settings
from greenwsgi.errors import UsageError
from greenwsgi.options.table.proxies import ProxiesOptions
from greenwsgi.options.table.tls import TlsOptions
from greenwsgi.worker import pipeline
from greenwsgi.worker.pipeline import GROUP, PipelineContext, PipelineRow
from greenwsgi.wsgi.https_redirect import Https
from greenwsgi.wsgi.types import Application

PLUGINS = Path(__file__).parent.parent / "plugins"
CONTEXT: Any = None


def application(environ: Any, start_response: Any) -> list[bytes]:
    return [b"application"]


def context(settings: Settings) -> PipelineContext:
    return PipelineContext(settings, CONTEXT, CONTEXT, CONTEXT, CONTEXT)


def row(name: str, order: int, *, wanted: bool = True) -> PipelineRow:
    def wrap(application: Application, _context: PipelineContext) -> Application:
        return lambda environ, start_response: [name.encode(), *application(environ, start_response)]

    return PipelineRow(name, order, lambda _settings: wanted, wrap)


def test_without_a_wanted_row_the_application_itself_is_called() -> None:
    assert pipeline.build(application, context(Settings()), pipeline.rows()) is application


def test_a_request_passes_the_rows_in_their_order() -> None:
    table = [row("first", 1), row("absent", 2, wanted=False), row("last", 3)]
    built = pipeline.build(application, context(Settings()), table)
    assert [*built({}, lambda *_: lambda _: None)] == [b"first", b"last", b"application"]


def test_https_is_the_outermost_built_in_row() -> None:
    built = pipeline.build(
        application,
        context(Settings(tls=TlsOptions(hsts=60), proxies=ProxiesOptions(dynamic_apps=True))),
        pipeline.PIPELINE,
    )
    assert isinstance(built, Https)


def test_the_table_is_in_order_and_names_are_unique() -> None:
    orders = [one.order for one in pipeline.PIPELINE]
    assert orders == sorted(set(orders))
    assert len({one.name for one in pipeline.PIPELINE}) == len(pipeline.PIPELINE)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a folder of tests/plugins on sys.path: `plugins("example")`."""
    pipeline.rows.cache_clear()
    yield lambda name: monkeypatch.syspath_prepend(PLUGINS / name)
    monkeypatch.undo()
    pipeline.rows.cache_clear()


def test_rows_of_other_distributions(plugins: Any) -> None:
    plugins("example")
    assert [one.name for one in pipeline.rows()] == ["maintenance", *(one.name for one in pipeline.PIPELINE)]


def test_one_that_cannot_be_loaded_is_named_with_its_distribution(plugins: Any) -> None:
    plugins("broken")
    with pytest.raises(
        UsageError, match=r"plugin 'missing' \(greenwsgi.pipeline\) of the distribution greenwsgi-broken"
    ):
        pipeline.rows()
    assert GROUP == "greenwsgi.pipeline"
