"""uWSGI's ini, which is not configparser's.

Only whole lines are comments; text after a value belongs to it, and so do quotes; a key alone is `key =`; a repeated
key is another assignment; nothing is interpolated, continued or lower-cased; other sections are not looked at.
"""

from __future__ import annotations

from greenwsgi.config.settings import Assignment, Warn, silent
from greenwsgi.errors import Origin, UsageError


def read(text: str, file: str, section: str = "uwsgi", warn: Warn = silent) -> list[Assignment]:
    """The assignments in one section of the text of `file`. Raises UsageError for a line that means nothing.

    A missing section is warned about, with those that are there.
    """
    found: list[Assignment] = []
    sections: dict[str, None] = {}
    current = ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and (line[-1] == "]" or raw[0] == "["):  # else a list that goes on, in another section
            current = _header(line, Origin(file, number))
            sections[current] = None
        elif current == section:
            found.append(_assignment(line, Origin(file, number)))
    if section not in sections:
        there = ", ".join(f"[{name}]" for name in list(sections)[:5]) or "no section at all"
        warn(f"{file}: there is no section [{section}]; the file has {there}")
    return found


def _header(line: str, origin: Origin) -> str:
    if not line.endswith("]"):
        raise UsageError(f"found {line[:60]!r}, wanted [section] and nothing after it", origin)
    return line[1:-1]


def _assignment(line: str, origin: Origin) -> Assignment:
    key, _, text = line.partition("=")
    if not key.strip():
        raise UsageError(f"found {line[:60]!r}, wanted a name before the =", origin)
    return Assignment(key.strip(), text.strip(), origin)
