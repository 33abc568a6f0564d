"""uWSGI's XML: <uwsgi><processes>4</processes><master/></uwsgi>, the section being the id of <uwsgi>.

A document type is refused, and with it every entity that could multiply or name another file.
"""

from __future__ import annotations

from typing import NoReturn
from xml.parsers import expat

from greenwsgi.config import section_tree
from greenwsgi.config.settings import Assignment, Warn, silent
from greenwsgi.errors import Origin, UsageError


def read(text: str, file: str, section: str = "uwsgi", warn: Warn = silent) -> list[Assignment]:
    """The assignments in <uwsgi>, or in <uwsgi id="section">; an empty element is "1", as in uWSGI.

    Raises UsageError. <app mountpoint="/x"><script>y</script></app> is `mount = /x=y`.
    """
    reader = _Reader(file, section, warn)
    try:
        reader.parser.Parse(text.encode("utf-8", "surrogateescape"), True)
    except expat.ExpatError as error:
        raise UsageError(f"this is not XML: {expat.ErrorString(error.code)}", Origin(file, error.lineno)) from None
    except (ValueError, LookupError) as error:  # an encoding that expat does not know
        raise UsageError(f"this is not XML: {error}", reader.origin) from None
    if not reader.sections & {"", section}:
        section_tree.say_missing(section, sorted(reader.sections), file, warn)
    return reader.found


class _Reader:
    """What expat calls while it reads."""

    def __init__(self, file: str, section: str, warn: Warn) -> None:
        self.found: list[Assignment] = []
        self.sections: set[str] = set()
        self._file, self._section, self._warn = file, section, warn
        self._open: list[str] = []
        self._top = -1  # how deep the <uwsgi> is whose options are wanted
        self._text: list[str] = []
        self._mount: str | None = None
        self._origin = Origin(file)
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append

    @property
    def origin(self) -> Origin:
        return Origin(self._file, self.parser.CurrentLineNumber)

    def _doctype(self, *ignored: object) -> NoReturn:
        raise UsageError("found <!DOCTYPE, wanted <uwsgi>: a document type could hold anything", self.origin)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) == section_tree.MAX_DEPTH:
            raise section_tree.too_deep(self.origin)
        depth = len(self._open)
        if self._top >= 0:
            self._option(name, attributes, depth - self._top)
        elif name == "uwsgi" and depth < 2:
            self._begin(attributes.get("id", ""), depth)
        self._open.append(name)
        self._text.clear()

    def _begin(self, section: str, depth: int) -> None:
        self.sections.add(section)
        if not section or section == self._section:
            self._top = depth

    def _option(self, name: str, attributes: dict[str, str], depth: int) -> None:
        stray = "".join(self._text).strip()
        if depth == 1:
            if stray:
                raise UsageError(f"found {stray[:60]!r}, wanted <name>value</name>", self.origin)
            self._origin = self.origin
            if name == "app":
                self._mount = attributes.pop("mountpoint", "") or ("/" if "domain" not in attributes else None)
        elif not (depth == 2 and name == "script" and self._open[-1] == "app"):
            raise UsageError(f"{self._open[-1]}: found <{name[:60]}>, wanted a text", self.origin)
        for attribute in attributes:
            self._warn(f"{self.origin}: <{name}>: the attribute {attribute} has no effect")

    def _end(self, name: str) -> None:
        self._open.pop()
        depth = len(self._open) - self._top
        text = "".join(self._text).strip()
        if self._top < 0:
            return
        if depth == 0:
            if text:
                raise UsageError(f"found {text[:60]!r}, wanted <name>value</name>", self.origin)
            self._top = -1
        elif self._mount is not None and text:
            self.found += section_tree.assignments("mount", f"{self._mount}={text}", self._origin)
            self._mount = None
        elif depth == 1 and name != "app":
            self.found += section_tree.assignments(name, text or "1", self._origin)
        self._text.clear()
