"""The command line as assignments, read with getopt's habits."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from greenwsgi.config import external_sources
from greenwsgi.config.settings import Assignment
from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.option_spec import Option
from greenwsgi.options.value_kinds import Argument

ORIGIN = Origin("command line")

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d].*)?")
_FORMATS = ("ini", "yaml", "yml", "json", "js", "xml", "toml")


def read(arguments: Sequence[str], declared: Collection[str] = ()) -> Iterator[Assignment]:
    """The assignments in their order, each read when it is asked for.

    Raises UsageError for what is no option, file or module.

    declared: names that are options too; there may be more of them with each assignment that was dealt with.
    """
    words = iter(arguments)
    for word in words:
        if word == "--":
            for rest in words:
                yield from _positional(rest)
        elif word.startswith("--"):
            yield _long(word[2:], words, declared)
        elif word.startswith("-") and word != "-":
            yield from _cluster(word[1:], words)
        else:
            yield from _positional(word)


def _long(word: str, words: Iterator[str], declared: Collection[str]) -> Assignment:
    """--name=value, --name value, --flag; a name may be cut short where it stays unique."""
    written, equals, text = word.partition("=")
    if written in declared and not OPTIONS.find(written):
        return Assignment(written, text if equals else next(words, ""), ORIGIN)
    name, option = _complete(written)
    if not equals:
        text = _argument(f"--{name}", option, words)
    return Assignment(name, text, ORIGIN)


def _complete(written: str) -> tuple[str, Option]:
    exact = OPTIONS.find(written)
    if exact:
        return written, exact.option
    candidates = OPTIONS.begin_with(written) if written else {}
    if len(candidates) > 1:
        names = ", ".join([f"--{name}" for name in candidates][:4] + ["..."] * (len(candidates) > 4))
        raise UsageError(f"option --{written} is ambiguous: {names}", ORIGIN)
    for name, entry in candidates.items():
        return name, entry.option
    near = OPTIONS.near(written)
    raise UsageError(f"unknown option --{written}" + (f", did you mean --{near}?" if near else ""), ORIGIN)


def _cluster(letters: str, words: Iterator[str]) -> Iterator[Assignment]:
    """-M, -p4, -p 4, and flags together with them: -Mp4."""
    while letters:
        letter, letters = letters[0], letters[1:]
        entry = OPTIONS.find_short(letter)
        if entry is None:
            raise UsageError(f"unknown option -{letter}", ORIGIN)
        option, text = entry.option, ""
        if option.metavar and letters:
            text, letters = letters, ""
        elif option.metavar:
            text = _argument(f"-{letter}", option, words)
        yield Assignment(option.name, text, ORIGIN)


def _argument(name: str, option: Option, words: Iterator[str]) -> str:
    """The next word, for an option that must have a value and has none attached."""
    if option.kind.argument is Argument.OPTIONAL:
        return ""
    text = next(words, None)
    if text is None:
        raise UsageError(f"option {name} needs a value: {name} {option.metavar}", ORIGIN)
    return text


def _positional(word: str) -> Iterator[Assignment]:
    """FILE.ini, FILE.ini:SECTION, also .yaml, .json, .xml, .toml; APP.py, APP.py:NAME, PACKAGE.MODULE:NAME."""
    is_address = external_sources.is_address(word)
    at = word.rfind(":", word.rfind("/") if is_address else 0)
    path, colon, name = (word, "", "") if at < 0 else (word[:at], ":", word[at + 1 :])
    extension = path.rpartition(".")[2]
    if extension in _FORMATS:
        yield Assignment(extension, word, ORIGIN)
    elif is_address:
        raise UsageError(f"what is at {word!r}? its end tells no format; if it is an ini: --ini {word!r}", ORIGIN)
    elif path.endswith((".py", ".wsgi")):
        yield Assignment("wsgi-file", path, ORIGIN)
        if colon:
            yield Assignment("callable", name, ORIGIN)
    elif colon and _MODULE.fullmatch(word):
        yield Assignment("module", word, ORIGIN)
    else:
        raise UsageError(f"what is {word!r}? wanted FILE.ini, APP.py, PACKAGE.MODULE:NAME or an option", ORIGIN)
