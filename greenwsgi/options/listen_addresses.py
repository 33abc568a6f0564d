"""The forms in which operators write where to listen, read into what they mean. Pure: nothing is looked up here.

    :3031  127.0.0.1:3031  [::1]:3031  name:3031  127.0.0.1:0     TCP; port 0 lets the system choose
    192.168.*:3031                                                TCP, on the first interface whose address begins so
    /run/app.sock  app.sock                                       a unix socket
    @app                                                          a unix socket in the abstract namespace (Linux)
    fd://3                                                        a listening socket that the parent process left open

The form `=0`, one of the sockets that `shared-socket` names, is another way to write one of these; Settings resolve it.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOPBACK = ("127.", "localhost:", "[::1]:")


@dataclass(frozen=True, slots=True)
class Tcp:
    """host: a name or an address without brackets, "" for every IPv4 address; it may end in `*`."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Unix:
    """A file."""

    path: str


@dataclass(frozen=True, slots=True)
class Abstract:
    """A name in the abstract namespace, without the NUL in front of it."""

    name: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A socket that is there already."""

    fd: int


Place = Tcp | Unix | Abstract | Descriptor


def read_place(text: str, *, abstract: bool = False) -> Place:
    """What an address means; abstract: a path is a name in the abstract namespace. Raises ValueError with the reason.

    As under uWSGI, what has no colon is the path of a unix socket.
    """
    if text.startswith("fd://"):
        return Descriptor(_number(text[5:], "descriptor; write fd://3"))
    if text.startswith("@"):
        return Abstract(_name(text[1:]))
    if text.startswith(("/", ".")) or ":" not in text:
        return Abstract(_name(text)) if abstract else Unix(text)
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address needs brackets: [{host}]:{port}")
    number = _number(port, "port; write host:port, or a path with a slash for a unix socket")
    if number > 65535:
        raise ValueError(f"{port!r} is no port; the highest is 65535")
    return Tcp(host, number)


def is_public(text: str) -> bool:
    """Is it a TCP address that other machines may reach? False for what cannot be told."""
    try:
        place = read_place(text)
    except ValueError:
        return False
    return isinstance(place, Tcp) and not text.startswith(LOOPBACK)


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError(f"{text!r} is no {what}")
    return int(text)


def _name(name: str) -> str:
    if not name:
        raise ValueError("an abstract socket needs a name: @name")
    return name
