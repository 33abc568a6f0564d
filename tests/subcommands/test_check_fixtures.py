"""Every fixture of tests/config is reported whole: all formats, every directive, no traceback, no name left out.

The names are found a second time here, by a reader that knows next to nothing of the formats.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from greenwsgi.cli import main
from greenwsgi.options.option_spec import Status

FOLDER = Path(__file__).resolve().parent.parent / "config" / "fixtures"
STATUSES = {*(status.value for status in Status), "placeholder", "unknown"}

NAMES = {
    ".ini": re.compile(r"^[ \t]*([A-Za-z][\w-]*)[ \t]*(?:=|\r?$)", re.MULTILINE),
    ".yaml": re.compile(r"^  ([a-z][\w-]*):", re.MULTILINE),
    ".json": re.compile(r'"([a-z][\w-]*)":(?! \{)'),
    ".xml": re.compile(r"<([a-z][\w-]*)>|<([a-z][\w-]*)/>"),
    ".toml": re.compile(r"^([a-z][\w-]*) =", re.MULTILINE),
    ".env": re.compile(r"(?:GREENWSGI|UWSGI)_([A-Z][A-Z_]*)="),
}
ELSEWHERE = {
    "sections.ini": {"nobody-reads-this"},
    "no_section.ini": {"http-socket", "wsgi-file"},
    "pyproject.toml": {"name"},
    "nested.xml": {"uwsgi"},
    "common.xml": {"uwsgi"},
}
"""Names in a part of the file that is not read."""

REFUSED = {
    "strict_typo.ini": r"strict_typo\.ini:3: .*did you mean processes",
    "loop_of_files.ini": r"loop_of_files_back\.ini:2: .*loop",
    "loop_of_files_back.ini": r"loop_of_files\.ini:2: .*loop",
    "missing_include.ini": r"missing_include\.ini:3: .*nowhere\.ini",
    "unclosed_if.ini": r"unclosed_if\.ini:3: ",
    "unclosed_for.ini": r"unclosed_for\.ini:2: ",
    "data_value.ini": r"data_value\.ini:2: ",
    "http_value.ini": r"http_value\.ini:2: ",
    "values_of_no_kind.ini": r"values_of_no_kind\.ini:2: processes",
    "unsafe.ini": r"unsafe\.ini:\d: .* is refused",
    "bomb.yaml": r"bomb\.yaml",
    "broken.yaml": r"broken\.yaml:\d",
    "broken.json": r"broken\.json:1",
    "bomb.xml": r"bomb\.xml:1",
    "broken.xml": r"broken\.xml:3",
    "broken.toml": r"broken\.toml:2",
}
"""Those that do not start, and what must be said of them; those without an application are told by their names."""

FIXTURES = sorted(path.name for path in FOLDER.iterdir() if path.suffix in NAMES)


@pytest.mark.parametrize("name", FIXTURES)
def test_it_is_reported_whole(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"PORT": "8000", "FOLDER": str(FOLDER), "PROCESSES": "2"}.items():
        monkeypatch.setenv(f"FIXTURE_{variable}", value)
    monkeypatch.delenv("FIXTURE_UNSET", raising=False)
    file = FOLDER / name
    status = main(["check", "--json", str(file)])
    captured = capsys.readouterr()
    assert captured.err == ""
    said = json.loads(captured.out)
    assert {one["status"] for one in said["options"]} <= STATUSES
    assert (status == 2) == said["verdict"].startswith("does not start: ")
    if name in REFUSED:
        assert status == 2
        assert re.search(REFUSED[name], said["verdict"]), said["verdict"]
    if name.startswith(("broken", "bomb")):
        return  # what is in there, nobody can say
    told = {one["option"] for one in said["options"] if name.endswith(".env") or one["file"] == str(file)}
    assert names(file) <= told, f"{said['verdict']}: {sorted(names(file) - told)} are not told of"


def names(file: Path) -> set[str]:
    found = {next(filter(None, match)) if isinstance(match, tuple) else match for match in _matches(file)}
    if file.suffix == ".env":
        found = {one.lower().replace("_", "-") for one in found}
    return found - ELSEWHERE.get(file.name, set())


def _matches(file: Path) -> list[str] | list[tuple[str, ...]]:
    text = file.read_text("utf-8", "surrogateescape").removeprefix("\ufeff")
    if file.name == "sections.ini":
        text = text.partition("[other]")[0]
    if file.name == "pyproject.toml":
        text = text.partition("[tool.greenwsgi]")[2]
    return NAMES[file.suffix].findall(text)


def test_there_are_enough_of_them_and_of_every_format() -> None:
    assert len(FIXTURES) >= 60
    assert {Path(name).suffix for name in FIXTURES} == set(NAMES)


@pytest.mark.parametrize("name", FIXTURES)
def test_a_person_can_read_it_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", str(FOLDER / name)])
    assert re.search(r"^Verdict: it (starts|does not start)", capsys.readouterr().out, re.MULTILINE)
