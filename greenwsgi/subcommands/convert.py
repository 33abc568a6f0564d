"""`greenwsgi convert FILE`: the configuration written anew, clean and short."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from greenwsgi.config.load import load
from greenwsgi.config.settings import Assignment, Settings
from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.kinds import FLAG, Kind
from greenwsgi.options.spec import Status
from greenwsgi.subcommands.arguments import Arguments


@dataclass(frozen=True, slots=True)
class Line:
    """One `name = value` in its section; `lost` says why it has no effect, and then it is only a comment."""

    section: str
    name: str
    texts: tuple[str, ...]
    kind: Kind[object] | None
    lost: str = ""


def run(arguments: Sequence[str]) -> int:
    """Print it. Raises UsageError for a configuration that greenwsgi would not start with."""
    parser = Arguments("convert", "What has no effect here is kept as a comment that says why.")
    parser.add_argument("file", metavar="FILE", help="a configuration of uWSGI's or ours, in any format")
    parser.add_argument("--to", choices=WRITERS, default="ini", help="the format to write (ini)")
    given = parser.parse_args(arguments)
    settings = load([given.file], os.environ).settings
    print("\n".join(WRITERS[given.to](list(lines(settings)))))
    return 0


def lines(settings: Settings) -> Iterator[Line]:
    """What was written and still counts: by section in the table's order, each option once, by its main name."""
    written: dict[str, list[Assignment]] = {}
    for one in settings.assignments:
        entry = OPTIONS.find(one.key)
        written.setdefault(entry.option.name if entry else one.key, []).append(one)
    found = [_line(name, assignments) for name, assignments in written.items()]
    order = [*OPTIONS.titles, ""]
    yield from sorted((line for line in found if line), key=lambda line: order.index(line.section))


def _line(name: str, assignments: list[Assignment]) -> Line | None:
    entry = OPTIONS.find(name)
    if entry is None:
        return Line("", name, tuple(one.text for one in assignments), None, "no option of that name")
    option, section = entry.option, entry.section
    if section == "config":
        return None  # where the text came from, which is all in here now
    counting = assignments if option.kind.many else assignments[-1:]
    texts = tuple(text for one in counting for text in option.kind.texts(option.read(one.text).value))
    verdict = option.verdict(counting[-1].text)
    lost = verdict.note if verdict.status in (Status.ACCEPTED, Status.LATER) else ""
    return Line(section, name, texts, option.kind, lost)


def _ini(converted: list[Line]) -> Iterator[str]:
    yield "[uwsgi]"
    for section, members in groupby(converted, key=lambda line: line.section):
        yield f"\n; {_title(section)}"
        for line in members:
            if line.lost:
                yield f"; {line.lost}"
            yield from (f"{'; ' if line.lost else ''}{line.name} = {text.replace('%', '%%')}" for text in line.texts)


def _toml(converted: list[Line]) -> Iterator[str]:
    yield "[uwsgi]"
    for section, members in groupby(converted, key=lambda line: line.section):
        yield f"\n# {_title(section)}"
        for line in members:
            values = [_toml_value(text, line.kind) for text in line.texts]
            value = values[0] if len(values) == 1 else f"[{', '.join(values)}]"
            if line.lost:
                yield f"# {line.lost}"
            yield f"{'# ' if line.lost else ''}{_toml_key(line.name)} = {value}"


def _toml_key(name: str) -> str:
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else _quoted(name)


def _toml_value(text: str, kind: Kind[object] | None) -> str:
    if kind is FLAG:
        return text
    if kind is not None and kind.measured and text.isdecimal():
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    escaped = "".join(
        "\\" + char if char in '"\\' else char if char.isprintable() else f"\\u{ord(char):04x}" for char in text
    )
    return f'"{escaped}"'


def _title(section: str) -> str:
    return OPTIONS.titles[section] if section else "Not an option of greenwsgi's, and not used by any other line"


WRITERS: dict[str, Callable[[list[Line]], Iterator[str]]] = {"ini": _ini, "toml": _toml}
