"""What a process holds open and passes on by descriptor: one typed list, with one serialisation.

The same list goes three ways: to a zygote at its start (in the boot document), to the next image of the master over a
re-exec (in the handover), and from the zygote to its workers by the fork. Each resource is a dataclass of its kind;
KINDS is the registry.

A receiver may be another version. It ignores kinds and fields that it does not know, and a field that is new to a kind
must have a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from greenwsgi.shared.descriptor_numbers import raised

LOG = "log"
"""The log, whatever it goes to."""
REPORT_READER = "report-reader"
REPORT_WRITER = "report-writer"
"""The ends of the report pipe, from all zygotes and workers to the master."""
LIFELINE = "lifeline"
"""Has an end of file when the master is gone."""
LIFELINE_HOLDER = "lifeline-holder"
"""Keeps the lifeline from its end; only the master has it."""
SCOREBOARD = "scoreboard"
FAILURE = "failure"
"""A file for the traceback of an application that cannot be loaded, which no message would hold."""
ZYGOTE_COMMANDS_READER = "zygote-commands-reader"
ZYGOTE_COMMANDS_WRITER = "zygote-commands-writer"
"""The ends of a zygote's command pipe."""
PIDFILE = "pidfile"
CONTROL_SOCKET = "control-socket"
MASTER_FIFO = "master-fifo"


READER, WRITER = "reader", "writer"


def worker_commands(seat: int, end: str) -> str:
    """The name of one end, READER or WRITER, of the command pipe of that seat."""
    return f"worker-commands-{seat}-{end}"


@dataclass(frozen=True, slots=True)
class OpenDescriptor:
    """What all kinds have in common."""

    kind: ClassVar[str]
    fd: int
    inherited: bool = field(default=True, kw_only=True)
    """Whether zygotes and workers get it; otherwise only the next image of the master does."""


@dataclass(frozen=True, slots=True)
class PipeEnd(OpenDescriptor):
    """One end of a pipe."""

    kind = "pipe"
    name: str


@dataclass(frozen=True, slots=True)
class SharedMemory(OpenDescriptor):
    """An anonymous file that several processes map or write to."""

    kind = "memory"
    name: str


@dataclass(frozen=True, slots=True)
class OpenFile(OpenDescriptor):
    """A file, fifo or socket that is none of the other kinds."""

    kind = "file"
    name: str
    file: tuple[int, int] | None = None
    """The device and inode by which its path is known again, if that is needed."""


@dataclass(frozen=True, slots=True)
class BoundListener(OpenDescriptor):
    """A listening socket."""

    kind = "listener"
    protocol: str
    """The name of its row in PROTOCOLS."""
    name: str
    """Its address for people: `127.0.0.1:8000`, `/run/app.sock`."""
    text: str = ""
    """Its address as it was configured, by which each generation finds its settings of it; "" if there is none."""
    tls: bool = False
    """Whether it speaks TLS."""
    file: tuple[int, int] | None = None
    """The device and inode of a unix socket's file that the server made, by which the file is known again."""
    own: bool = True
    """Whether the server bound it; a socket that was passed to it may go on in other hands."""

    @property
    def near(self) -> bool:
        """Whether all its clients are on this machine, so that none of their handshakes takes time."""
        return self.name.startswith(("/", "@", "127.", "[::1]:", "localhost:"))


Resource = PipeEnd | SharedMemory | OpenFile | BoundListener

KINDS: Mapping[str, type[Resource]] = {one.kind: one for one in (PipeEnd, SharedMemory, OpenFile, BoundListener)}


@dataclass(frozen=True, slots=True)
class Resources:
    """A list of resources. Listeners keep their order, all others have a name of their own."""

    items: tuple[Resource, ...] = ()

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.items)

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.items + other.items)

    def find(self, name: str) -> Resource | None:
        """The resource of that name, which is no listener."""
        named = (one for one in self.items if not isinstance(one, BoundListener))
        return next((one for one in named if one.name == name), None)

    def fd(self, name: str) -> int:
        """The descriptor of that name; -1 if there is none."""
        found = self.find(name)
        return -1 if found is None else found.fd

    @property
    def listeners(self) -> tuple[BoundListener, ...]:
        return tuple(one for one in self.items if isinstance(one, BoundListener))

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(one.fd for one in self.items)

    def split(self, *names: str) -> tuple[Resources, Resources]:
        """All but those of these names, and those."""
        wanted = frozenset(names)
        left = [one for one in self.items if not isinstance(one, BoundListener) and one.name in wanted]
        kept = [one for one in self.items if isinstance(one, BoundListener) or one.name not in wanted]
        return Resources(tuple(kept)), Resources(tuple(left))

    def inherited(self) -> Resources:
        """Those that zygotes and workers get."""
        return Resources(tuple(one for one in self.items if one.inherited))

    def raised(self) -> Resources:
        """The same with high numbers. The old ones are closed, the new ones are not inheritable."""
        return Resources(tuple(replace(one, fd=raised(one.fd)) for one in self.items))

    def plain(self) -> list[dict[str, Any]]:
        """The list as plain JSON data; `read` makes it again."""
        return [
            {"kind": one.kind, **{field.name: getattr(one, field.name) for field in fields(one)}} for one in self.items
        ]

    @classmethod
    def read(cls, data: Sequence[Mapping[str, Any]]) -> Resources:
        """From plain data. Raises KeyError, TypeError or AttributeError for what is no such list."""
        return cls(tuple(_read(KINDS[one["kind"]], one) for one in data if one["kind"] in KINDS))


def _read(kind: type[Resource], data: Mapping[str, Any]) -> Resource:
    known = {one.name: data[one.name] for one in fields(kind) if one.name in data}
    if not isinstance(known["fd"], int):
        raise TypeError(f"{known['fd']!r} is no descriptor")
    if known.get("file"):
        device, inode = known["file"]
        known["file"] = (device, inode)
    return kind(**known)
