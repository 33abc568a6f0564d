"""What `greenwsgi check` says of each name, and what it makes of the whole."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.cli import main
from greenwsgi.options.option_spec import Status

STATUSES = {*(status.value for status in Status), "placeholder", "unknown"}

CONFIGURATION = """[uwsgi]
base = /srv
master = true
processes = 4 ; four
harakari = 30
harakiri = 30
harakiri = 60
static-map = /static=%(base)/static
my-own-thing = 7
http = :8080
wsgi-file = app.py
"""


def checked(path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    path.write_text(text)
    status = main(["check", "--json", str(path)])
    return status, json.loads(capsys.readouterr().out)


def test_each_name_has_its_place_and_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.ini"
    status, said = checked(file, CONFIGURATION, capsys)
    assert status == 1
    assert said["verdict"] == "starts; 1 of its options has no effect yet and 2 of its names are no option"
    assert set(said) == {"options", "verdict"}
    found = {(one["option"], one["value"]): one for one in said["options"]}
    assert [one["line"] for one in said["options"]] == list(range(2, 12))
    assert {one["file"] for one in said["options"]} == {str(file)}
    assert {one["status"] for one in said["options"]} <= STATUSES
    assert all(set(one) == {"option", "value", "status", "file", "line", "note"} for one in said["options"])
    expected = {
        ("base", "/srv"): ("placeholder", ""),
        ("master", "true"): ("accepted", "It always is so here."),
        ("processes", "4 ; four"): ("works", "Taken as 4."),
        ("harakari", "30"): ("unknown", "did you mean harakiri?"),
        ("harakiri", "30"): ("partial", f"Replaced at {file}:7."),
        ("static-map", "/static=/srv/static"): ("later", ""),
        ("my-own-thing", "7"): ("unknown", "no line uses it"),
        ("wsgi-file", "app.py"): ("works", ""),
    }
    for key, (judged, note) in expected.items():
        assert found[key]["status"] == judged, key
        assert note in found[key]["note"]


def test_what_a_person_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.ini").write_text(CONFIGURATION)
    assert main(["check", str(tmp_path / "x.ini")]) == 1
    text = capsys.readouterr().out
    assert re.search(r"works +\S+x\.ini:4 +processes = 4 ; four\n +Taken as 4\.", text)
    assert "A worker runs many requests at the same time (async 1000)" in text
    assert "SIGTERM stops the server" in text
    assert "no router process" in text
    assert text.endswith("\nVerdict: it starts; 1 of its options has no effect yet and 2 of its names are no option.\n")


def test_one_that_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "[uwsgi]\ngevent = 100\ndie-on-term = true\nlazy-apps = true\nmodule = app:app\nsocket = 127.0.0.1:3031\n"
    (tmp_path / "x.ini").write_text(text)
    assert main(["check", str(tmp_path / "x.ini")]) == 0
    said = capsys.readouterr().out
    assert "What gevent changes" not in said
    assert said.endswith("Verdict: it starts.\n")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("[uwsgi]\nprocesses = many\nwsgi-file = a.py\n", r"does not start: .*x\.ini:2: processes: found 'many'"),
        ("[uwsgi]\nprocesses = 4\n", "does not start: there is nothing to serve"),
        ("[uwsgi]\nmodule = a\nsocket = ::1:3031\n", r"does not start: .*x\.ini:3: ::1:3031: an IPv6 address needs"),
        ("[uwsgi]\nchroot = /srv\nwsgi-file = a.py\n", r"does not start: .*x\.ini:2: chroot is refused"),
        ("[uwsgi]\n[unclosed\n", r"does not start: .*x\.ini:2"),
        ("[uwsgi]\nini = nowhere.ini\n", r"does not start: .*nowhere\.ini"),
        (
            "[uwsgi]\nstrict = 1\nprocesess = 4\nwsgi-file = a.py\n",
            r"does not start: .*x\.ini:3: .*did you mean processes",
        ),
        ("[uwsgi]\n\0", "does not start: .*it is not a text file"),
    ],
)
def test_one_that_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, verdict: str) -> None:
    status, said = checked(tmp_path / "x.ini", text, capsys)
    assert status == 2
    assert re.match(verdict, said["verdict"])


def test_a_wrong_value_is_told_where_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said = checked(tmp_path / "x.ini", "[uwsgi]\nprocesses = many\nlisten =\n", capsys)
    assert [(one["status"], one["note"].partition(", wanted")[0]) for one in said["options"]] == [
        ("refused", "Found 'many'"),
        ("refused", "Found nothing"),
    ]


def test_several_files_and_the_worst_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.ini", tmp_path / "bad.ini"
    good.write_text("[uwsgi]\nmodule = app\n")
    bad.write_text("[uwsgi]\nprocesses = x\n")
    assert main(["check", "--json", str(good), str(bad)]) == 2
    assert [one["verdict"].split(":")[0] for one in json.loads(capsys.readouterr().out)] == ["starts", "does not start"]
    assert main(["check", str(good), str(bad)]) == 2
    assert capsys.readouterr().out.count("Verdict: ") == 2


def test_a_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--", "--http", ":80", "--harakiri", "60", "-w", "app:app"]) == 0
    text = capsys.readouterr().out
    assert "command line  harakiri = 60" in text
    assert text.startswith("--http :80 ")
    assert main(["check", "--", "--procesess", "4"]) == 2
    assert "did you mean --processes?" in capsys.readouterr().out


def test_nothing_to_check_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2
    assert "the following arguments are required: FILE" in capsys.readouterr().err


SHARED = Path(__file__).resolve().parents[3] / "shared" / "configs"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the collection of real configurations is not beside the project")
def test_every_real_configuration_is_reported_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, a status for every name, and every line that assigns something has its item."""
    for file in sorted(SHARED.iterdir()):
        if file.suffix not in (".ini", ".yaml", ".json", ".xml", ".env"):
            continue
        main(["check", "--json", str(file)])
        captured = capsys.readouterr()
        said = json.loads(captured.out)
        assert captured.err == ""
        assert {one["status"] for one in said["options"]} <= STATUSES
        assert said["verdict"].startswith(("starts", "does not start: "))
        if file.suffix == ".ini":
            told = {one["line"] for one in said["options"] if one["file"] == str(file)}
            assert _assigning(file) <= told, f"{file}: lines {sorted(_assigning(file) - told)} are not told of"


def _assigning(file: Path) -> set[int]:
    """The lines of the section [uwsgi], of which every collection's file has one, that assign something."""
    found, inside = set(), False
    for number, line in enumerate(file.read_text("utf-8", "surrogateescape").splitlines(), 1):
        text = line.strip()
        if text.startswith("["):
            inside = text.startswith("[uwsgi]")
        elif inside and text and text[0] not in ";#":
            found.add(number)
    return found


@pytest.mark.skipif(not SHARED.is_dir(), reason="the collection of real configurations is not beside the project")
def test_every_real_command_line_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that start uWSGI directly; a shell would have to read the others."""
    tried = 0
    for line in (SHARED / "commandlines.txt").read_text().splitlines():
        found = re.fullmatch(r"(?:command\s*=\s*|CMD |exec )?(?:\S*/)?uwsgi ([^|&;`]*)", line.strip())
        if not found:
            continue
        tried += 1
        main(["check", "--json", "--", *shlex.split(found[1])])
        captured = capsys.readouterr()
        assert json.loads(captured.out)["verdict"].startswith(("starts", "does not start: "))
        assert captured.err == ""
    assert tried > 10
