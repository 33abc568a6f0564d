"""A traceback in the log begins in the application."""

from __future__ import annotations

import pytest

from greenwsgi.log.tracebacks import of_application
from greenwsgi.wsgi.response import Response
from greenwsgi.wsgi.run_application import run


def fail(environ: object, start_response: object) -> list[bytes]:
    raise ValueError("mine")


def test_frames_of_the_server_are_left_out() -> None:
    response = Response(None, None, None, False)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mine") as caught:
        run(fail, {}, response)
    inner = caught.value.__traceback__
    assert inner is not None
    text = of_application(caught.value.with_traceback(inner.tb_next))  # without the frame of this test
    assert "runner.py" not in text
    assert "test_tracebacks.py" in text
    assert text.endswith("ValueError: mine\n")


def fail_twice() -> None:
    try:
        fail({}, None)
    except ValueError as error:
        raise KeyError("second") from error


def test_the_causes_stay() -> None:
    with pytest.raises(KeyError) as caught:
        fail_twice()
    assert "ValueError: mine" in of_application(caught.value)


def test_a_syntax_error_needs_no_frames() -> None:
    with pytest.raises(SyntaxError) as caught:
        compile("def (:", "app.py", "exec")
    assert 'File "app.py", line 1' in of_application(caught.value)
