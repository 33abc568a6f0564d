"""Real configurations of uWSGI's users, each started as a real server that answers on the sockets it names.

What they say beside that (effects of single options) other tests ask; here it is that a file from the wild starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from greenwsgi.errors import UsageError
from tests.live.mapped import Mapped, defines_a_server

SHARED = Path(__file__).resolve().parents[3] / "shared" / "configs"
FORMATS = (".ini", ".yaml", ".json", ".xml", ".env")

NO_ANSWER = {
    "111.ini": "emperor: its sites are in other files",
    "122.ini": "emperor: its sites are in other files",
}
"""The files that do not answer, and why."""

AT_ONCE = 3


def outcome(file: Path) -> str:
    """`answers`, `no server`, or why it did not answer."""
    with TemporaryDirectory(prefix="gw-") as folder:
        try:
            return answered(Mapped(file, Path(folder)))
        except UsageError as error:
            return str(error)


def answered(mapped: Mapped) -> str:
    if not defines_a_server(mapped.settings):
        return "no server"
    with mapped:
        for told in mapped.ask():
            if told.error:
                return f"{told.address.protocol} {told.address.text}: {told.error}\n{mapped.log[-2000:]}"
            if told.stub["environ"]["REQUEST_METHOD"] != "GET":
                return f"what is this answer? {told.stub}"
    return "answers"


def files() -> Iterator[Path]:
    return (file for file in sorted(SHARED.iterdir()) if file.suffix in FORMATS)


EACH = 5
"""`make test` takes every fifth file, `make soak` all of them."""


def tried(chosen: list[Path]) -> None:
    """Start each, and hold what came against NO_ANSWER."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = dict(zip((file.name for file in chosen), pool.map(outcome, chosen), strict=True))
    servers = {name: came for name, came in outcomes.items() if came != "no server"}
    silent = {name: came for name, came in servers.items() if came != "answers"}
    assert set(silent) == set(NO_ANSWER) & set(outcomes), "\n".join(f"{name}: {came}" for name, came in silent.items())
    assert len(servers) > 0.8 * len(chosen)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the collection of real configurations is not beside the project")
@pytest.mark.timeout(600)
def test_a_choice_of_them_answers_on_their_sockets() -> None:
    tried(list(files())[::EACH])


@pytest.mark.long
@pytest.mark.skipif(not SHARED.is_dir(), reason="the collection of real configurations is not beside the project")
@pytest.mark.timeout(1200)
def test_nearly_all_of_them_answer_on_their_sockets() -> None:
    tried(list(files()))
