"""Plain, standard English: words that are archaic, or that say what a plain word says, stay out of the project.

The table names each with its replacement. Text is read as it is, in code, comments, documents and messages.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".py", ".md", ".cfg", ".toml"}

NOT_YET = ("tests/", "greenwsgi/process/")
"""Folders that have not been rewritten yet. It only ever gets shorter."""

EXEMPT = ("tests/test_language.py", "tests/config/fixtures/")
"""This table itself, and configurations that others wrote."""

WORDS = {
    r"anew": "again",
    r"whoever|whomever|whosoever": "any client that, the process that",
    r"nobody(?! *[:=]| user|'s group|/)": "no one, no client",
    r"shall": "must, will",
    r"lest": "so that ... not",
    r"hence|thence|whence": "so, from there",
    r"thereof|therein|heretofore|herewith|forthwith": "of it, in it",
    r"mend(?:s|ed|ing|ings)?": "fix, repair",
    r"bur(?:y|ies|ied|ial|ying)": "reap",
    r"naught|whilst|aforesaid|amid|amidst|betwixt": "nothing, while, between",
    r"is no more|are no more": "has ended",
    r"carriers?": "pooled greenlet",
}
"""A regular expression for whole words, in any case: what to write instead."""

_ALLOWED_NOBODY = re.compile(r"""nogroup|["'`]nobody["'`]|\bnobody:|user nobody|uid ?= ?nobody|=nobody|pwd\.getpwnam""")
"""The Unix user of that name."""


def sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = (
        listed.split("\n") if listed else [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]
    )
    wanted = [name for name in names if Path(name).suffix in SUFFIXES or name == "Makefile"]
    return [ROOT / name for name in wanted if not name.startswith((*NOT_YET, *EXEMPT, ".")) and (ROOT / name).exists()]


def findings(name: str, text: str) -> list[str]:
    """`file:line: word: write this instead`, for each word of the table."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        for pattern, instead in WORDS.items():
            for match in re.finditer(rf"(?<![\w-])(?:{pattern})(?![\w-])", line, re.IGNORECASE):
                if match[0].lower() == "nobody" and _ALLOWED_NOBODY.search(line):
                    continue
                found.append(f"{name}:{number}: {match[0]}: write {instead}")
    return found


def test_no_archaic_words() -> None:
    found = [
        finding for path in sources() for finding in findings(str(path.relative_to(ROOT)), path.read_text("utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("the log is opened anew", 1),
        ("Nobody reads it, and whoever does shall know", 3),
        ("uid = nobody", 0),
        ('chown("nobody")', 0),
        ("hence buried", 2),
        ("a client that sends again", 0),
        ("lestat, henceforth_x, shallow, amendment", 0),
    ],
)
def test_what_is_found(line: str, count: int) -> None:
    assert len(findings("x", line)) == count


def test_the_exempt_folders_exist() -> None:
    assert [name for name in (*NOT_YET, *EXEMPT) if not (ROOT / name).exists()] == []
