"""Every option that works has a test of what it does, and says which: tests/options/behaviour.py."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.help import working
from tests.options.behaviour import BEHAVIOUR

TESTS = Path(__file__).resolve().parent.parent


@cache
def functions(file: str) -> set[str]:
    """The test functions of a file."""
    path = TESTS / file
    if not path.exists():
        return set()
    return {one.name for one in ast.parse(path.read_text("utf-8")).body if isinstance(one, ast.FunctionDef)}


def test_every_option_that_works_has_a_test() -> None:
    """If not: name a test of what the option does in tests/options/behaviour.py."""
    wanted = {entry.option.name for entry in OPTIONS if working(entry)}
    assert sorted(wanted - BEHAVIOUR.keys()) == []
    assert sorted(BEHAVIOUR.keys() - wanted) == []


@pytest.mark.parametrize("name", BEHAVIOUR)
def test_it_is_there(name: str) -> None:
    file, _, function = BEHAVIOUR[name].partition("::")
    assert function in functions(file)
    assert function.startswith("test_")
