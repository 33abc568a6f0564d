"""How the rows of options without a value are written: blocks of lines, each block with its status.

    NAME ALIAS ... -x =: what it is for in uWSGI | a note of its own, which may stand on the next line

Meanings and notes become sentences with a capital: so they begin with a word, not with an option's or command's name.
`=` after the names: it takes a value; `[=]`: it may take one; neither: a flag. Words like `-x` are its short option.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from greenwsgi.options.option_spec import ChangeNeeds, Judge, Option, Reason, Status
from greenwsgi.options.value_kinds import FLAG, Argument, ParsedValue, ValueKind

ANYTHING: ValueKind[tuple[str, ...]] = ValueKind(
    "text", "TEXT", "a text", lambda text: ParsedValue((text,)), tuple, many=True, argument=Argument.REQUIRED
)
MAYBE = replace(ANYTHING, argument=Argument.OPTIONAL)

_KINDS: dict[str, ValueKind[Any]] = {"": FLAG, "=": ANYTHING, "[=]": MAYBE}
_LINE = re.compile(r"(?P<names>[\w -]+?) ?(?P<value>|=|\[=\]): (?P<meaning>[^|]+?)(?: \| (?P<note>.+))?")


def later(note: str, block: str, judge: Judge | None = None) -> Iterator[Option]:
    """Not there: one warning with the note, and the server starts. For what a site can do without for now."""
    return _rows(Status.LATER, note, block, judge=judge)


def refused(note: str, block: str, judge: Judge | None = None) -> Iterator[Option]:
    """Not there, and a server without it would be another one, or an open one; the note says what to use."""
    return _rows(Status.REFUSED, note, block, judge=judge)


def works(block: str) -> tuple[Option, ...]:
    """It does what it says, and needs no value for that."""
    return tuple(_rows(Status.WORKS, "", block))


def accepted(reason: Reason, block: str, judge: Judge | None = None) -> Iterator[Option]:
    """Nothing is lost without it, for one of the reasons; a note of its own may say more."""
    return _rows(Status.ACCEPTED, "", block, reason, judge)


def _rows(
    status: Status, note: str, block: str, reason: Reason | None = None, judge: Judge | None = None
) -> Iterator[Option]:
    for line in re.sub(r"\s*\n\s*\|", " |", block).strip().splitlines():
        found = _LINE.fullmatch(line.strip())
        if not found:
            raise ValueError(f"what is this row? {line}")
        words = found["names"].split()
        kind = _KINDS[found["value"]]
        own = _sentence(found["note"] or "")
        yield Option(
            names=tuple(word for word in words if not word.startswith("-")),
            short="".join(word[1:] for word in words if word.startswith("-")),
            kind=kind,
            metavar=kind.metavar,
            default=False if kind is FLAG else (),
            help=_sentence(found["meaning"]),
            status=status,
            note=" ".join(filter(None, (reason.value if reason else "", own or _sentence(note)))),
            reason=reason,
            judge=judge,
            reload=ChangeNeeds.RESTART,
        )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].removesuffix(".") + "." if text else ""
