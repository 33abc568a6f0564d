"""README.md and docs/*.md: what they show can be copied, and their links lead somewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from greenwsgi.subcommands.configuration_report import StartOutcome, report
from tests.live.server import ROOT
from tests.test_migrating import OF_SEARXNG

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]
}
PROSE = {page: re.sub(r"```.*?```", "", text, flags=re.DOTALL) for page, text in PAGES.items()}
LINKS = sorted({(page, link) for page, text in PROSE.items() for link in re.findall(r"\]\(([^)#:]+)[)#]", text)})
INIS = [(page, text) for page, whole in PAGES.items() for text in re.findall(r"```ini\n(.*?)```", whole, re.DOTALL)]


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_links_lead_somewhere(page: str, link: str) -> None:
    assert (ROOT / page).parent.joinpath(link).exists()


@pytest.mark.parametrize(("page", "text"), INIS)
def test_configurations_start_as_they_are(page: str, text: str, tmp_path: Path) -> None:
    """With an application, where a piece of a configuration names none."""
    (tmp_path / "shown.ini").write_text(text, "utf-8")
    environ = {key: value for key, value in os.environ.items() if "WSGI" not in key} | OF_SEARXNG
    named = [] if re.search(r"^(module|wsgi-file)\b", text, re.MULTILINE) else ["--wsgi-file", "app.py"]
    found = report([f"{tmp_path}/shown.ini", *named], environ)
    assert found.outcome is not StartOutcome.DOES_NOT_START, found.verdict
