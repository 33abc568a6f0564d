"""Kinds of value: how the text of an option becomes a value, and back. Few kinds carry many options.

They are as lenient as uWSGI, so that its files mean the same here, but they tell when they were.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_network
from typing import Any, Generic, NamedTuple, TypeVar

from greenwsgi.options.value_types import AUTO, Address, Certificate, NamedCertificate, WorkerMap

T = TypeVar("T")


class Argument(Enum):
    """What stands after the option's name on the command line; OPTIONAL only as `--name=value`, as getopt has it."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class ParsedValue(NamedTuple, Generic[T]):
    """A value read from text; `lenient` when the text was not a plain way to write it, which people want to know."""

    value: T
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class ValueKind(Generic[T]):
    """One kind of value.

    wanted: what a text must be, for error messages ("wanted a whole number").
    read: text to value; raises ValueError when the text cannot mean one.
    texts: value to the texts that give it, one for each time the option is written; the inverse of `read`.
    many: each text adds to the value, which is a tuple, instead of replacing it.
    measured: the value is a number, so the option's bounds apply.
    """

    name: str
    metavar: str
    wanted: str
    read: Callable[[str], ParsedValue[T]]
    texts: Callable[[Any], tuple[str, ...]] = lambda value: (str(value),) if value != "" else ()
    argument: Argument = Argument.REQUIRED
    many: bool = False
    measured: bool = False


# Numbers: uWSGI reads them with atoi, which takes the digits in front and forgets the rest (`60 ; seconds`).

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def _leading(pattern: str, text: str) -> tuple[str, str]:
    """The match of `pattern` at the start of the text, and what follows it."""
    found = re.match(pattern, text.strip())
    if not found:
        raise ValueError(text)
    return found[0], text.strip()[found.end() :]


def _number(pattern: str, text: str) -> tuple[str, str]:
    """The same for a number; a flag's word is 0, as to atoi (`cheaper = true`)."""
    return ("0", text) if text.strip().lower() in _WORDS else _leading(pattern, text)


def _integer(text: str) -> ParsedValue[int]:
    digits, rest = _number("-?[0-9]+", text)
    return ParsedValue(int(digits), bool(rest))


def _seconds(text: str) -> ParsedValue[float]:
    digits, rest = _number(r"-?[0-9]+(\.[0-9]+)?", text)
    return ParsedValue(float(digits) if "." in digits else int(digits), bool(rest))


def _size(text: str) -> ParsedValue[int]:
    digits, rest = _number("-?[0-9]+", text)
    unit, rest = _leading("([kmgKMG](i?[bB])?(?![a-zA-Z]))?", rest)
    return ParsedValue(int(digits) * _UNITS[unit[:1].lower()], bool(rest))


def _octal(text: str) -> ParsedValue[int | None]:
    digits, rest = _leading("[0-7]{1,4}(?![0-9])", text)
    return ParsedValue(int(digits, 8), bool(rest))


# Words

_FALSE = ("false", "off", "no", "0")
_TRUE = ("true", "on", "yes", "1", "")
_WORDS = ("true", "on", "yes", "false", "off", "no")


def _flag(text: str) -> ParsedValue[bool]:
    word = text.strip().lower()
    return ParsedValue(word not in _FALSE, word not in _FALSE + _TRUE)


def _text(text: str) -> ParsedValue[str]:
    return ParsedValue(text)


def _item(text: str) -> ParsedValue[tuple[str, ...]]:
    return ParsedValue((text,)) if text else ParsedValue((), lenient=True)


_ACTIONS = (
    *("exec", "safeexec", "print", "cd", "chdir", "mkdir", "unlink", "create", "touch"),
    *("write", "writen", "append", "appendn"),
)
"""Those of a hook; shared/hooks.py does them."""


def _action(text: str) -> ParsedValue[tuple[str, ...]]:
    name, colon, argument = text.partition(":")
    if name not in _ACTIONS or not colon or not argument:
        raise ValueError(text)
    return ParsedValue((text,))


def _variable(text: str) -> ParsedValue[tuple[str, ...]]:
    if not re.match(r"[^=\0]+=[^\0]*\Z", text):
        raise ValueError(text)
    return ParsedValue((text,))


def regex(text: str) -> re.Pattern[str]:
    """Raises ValueError for what is none, or one that is too much for Python: a count, or how deep it is nested."""
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _allowance(text: str) -> ParsedValue[tuple[tuple[str, float], ...]]:
    pattern, _, seconds = text.strip().rpartition(" ")
    regex(pattern)
    if not pattern:
        raise ValueError(text)
    reading = _seconds(seconds)
    return ParsedValue(((pattern.strip(), reading.value),), reading.lenient)


def _owner(text: str) -> ParsedValue[str]:
    if text and not re.fullmatch("[^:]+(:[^:]+)?|:[^:]+", text):
        raise ValueError(text)
    return ParsedValue(text)


def _worker_map(text: str) -> ParsedValue[tuple[WorkerMap, ...]]:
    number, _, workers = text.partition(":")
    if int(number) < 0:
        raise ValueError(text)
    return ParsedValue((WorkerMap(int(number), tuple(map(int, workers.split(",")))),))


def _header(text: str) -> ParsedValue[tuple[str, ...]]:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:[\t -~\x80-\xff]*", text):
        raise ValueError(text)
    return ParsedValue((text,))


def _mount(text: str) -> ParsedValue[tuple[str, ...]]:
    if not re.match(r"(/[^=\0]*)?=[^\0]+\Z", text):
        raise ValueError(text)
    return ParsedValue((text,))


def _helpers(text: str) -> ParsedValue[tuple[tuple[str, str], ...]]:
    ending, _, command = text.partition("=")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(text) from error
    if not ending or not words:
        raise ValueError(text)
    return ParsedValue(((ending, command),))


def _networks(text: str) -> ParsedValue[tuple[str, ...]]:
    entries = tuple(entry for entry in re.split(r"[,\s]+", text) if entry)
    for entry in entries:
        if entry not in ("unix", "*"):
            ip_network(entry, strict=False)  # raises ValueError
    if not entries:
        raise ValueError(text)
    return ParsedValue(entries)


FLAG = ValueKind("flag", "", "true or false", _flag, lambda value: (str(value).lower(),), Argument.OPTIONAL)
INTEGER = ValueKind("number", "N", "a whole number", _integer, measured=True)
SECONDS = ValueKind("seconds", "SEC", "a number of seconds", _seconds, measured=True)
SIZE = ValueKind("size", "BYTES", "a number of bytes (also 64k, 8m, 1g)", _size, measured=True)
OCTAL = ValueKind(
    name="mode",
    metavar="MODE",
    wanted="an octal mode such as 660",
    read=lambda text: _octal("666" if text.strip() in ("", "1") else text),  # 1: as <chmod-socket/> and true are read
    texts=lambda value: () if value is None else (f"{value:03o}",),
    argument=Argument.OPTIONAL,
)
MASK = ValueKind(
    "mask", "MASK", "an octal mask such as 022", _octal, lambda value: () if value is None else (f"{value:03o}",)
)
OWNER = ValueKind("owner", "USER[:GROUP]", "user, user:group or :group", _owner)
HELPERS = ValueKind(
    name="helpers",
    metavar="ENDING=COMMAND",
    wanted="an ending and a command, such as .py=python3",
    read=_helpers,
    texts=lambda value: tuple(f"{ending}={command}" for ending, command in value),
    many=True,
)
WORKER_MAP = ValueKind(
    name="worker map",
    metavar="N:WORKERS",
    wanted="a socket's number and workers' numbers, such as 0:1,2",
    read=_worker_map,
    texts=lambda value: tuple(f"{one.socket}:{','.join(map(str, one.workers))}" for one in value),
    many=True,
)
TEXT = ValueKind("text", "TEXT", "a text", _text)
PATH = ValueKind("path", "PATH", "a path", _text)
NAMES = ValueKind("names", "NAME", "a name", _item, tuple, many=True)
PATHS = ValueKind("paths", "PATH", "a path", _item, tuple, many=True)
PLACES = ValueKind("places", "ADDRESS", "an address as the socket has it, or all", _item, tuple, many=True)
NETWORKS = ValueKind(
    "networks", "NETWORK", "an address, a network such as 10.0.0.0/8, unix or *", _networks, tuple, many=True
)
ALLOWANCES = ValueKind(
    name="allowances",
    metavar="REGEX SEC",
    wanted="a regular expression, a blank, and a number of seconds",
    read=_allowance,
    texts=lambda value: tuple(f"{pattern} {seconds:g}" for pattern, seconds in value),
    many=True,
)
COMMANDS = ValueKind("commands", "COMMAND", "a command", _item, tuple, many=True)
ACTIONS = ValueKind(
    "actions", "ACTION:ARGUMENT", f"ACTION:ARGUMENT, ACTION one of {', '.join(_ACTIONS)}", _action, tuple, many=True
)
HEADERS = ValueKind("headers", "HEADER", "NAME: VALUE", _header, tuple, many=True)
MOUNTS = ValueKind("mounts", "PATH=APP", "/PATH=FILE or /PATH=MODULE:NAME", _mount, tuple, many=True)
VARIABLES = ValueKind("variables", "NAME=VALUE", "NAME=VALUE", _variable, tuple, many=True)


def choice(*words: str) -> ValueKind[str]:
    """One of a few words."""

    def read(text: str) -> ParsedValue[str]:
        if text not in words:
            raise ValueError(text)
        return ParsedValue(text)

    return ValueKind("choice", "|".join(words), f"one of {', '.join(words)}", read)


def choices(*words: str) -> ValueKind[tuple[str, ...]]:
    """Some of a few words, with commas or blanks between."""

    def read(text: str) -> ParsedValue[tuple[str, ...]]:
        found = tuple(word for word in re.split(r"[,\s]+", text) if word)
        if not set(found) <= set(words):
            raise ValueError(text)
        return ParsedValue(found)

    return ValueKind("choices", "WORDS", f"some of {', '.join(words)}", read, lambda value: (",".join(value),))


_ADDRESS = "HOST:PORT, :PORT, the path of a socket, @NAME, fd://N or =N"


def address(protocol: str, *, router: bool = False) -> ValueKind[tuple[Address, ...]]:
    """Places to listen on with that wire protocol ("" for the one that the option `protocol` names)."""

    def read(text: str) -> ParsedValue[tuple[Address, ...]]:
        if not text:
            raise ValueError(text)
        place = _without_remark(text)
        return ParsedValue((Address(protocol, place, router=router),), place != text)

    def texts(value: tuple[Address, ...]) -> tuple[str, ...]:
        return tuple(one.text for one in value)

    return ValueKind(
        "addresses",
        "ADDRESS",
        f"an address: {_ADDRESS}",
        read,
        texts,
        many=True,
    )


def _without_remark(text: str) -> str:
    """The address without what stands behind a port (`:8080 # public`), which is a number as well."""
    found = re.match(r"(.*:[0-9]+)\s+[#;]", text)
    return found[1] if found else text


def tls_address(protocol: str, *, router: bool = False) -> ValueKind[tuple[Address, ...]]:
    """Places to listen on with that wire protocol over TLS; under AUTO, TLS may be left out."""

    def read(text: str) -> ParsedValue[tuple[Address, ...]]:
        place, *words = text.split(",")
        if not place:
            raise ValueError(text)
        if protocol == AUTO and not words:
            return address(protocol).read(text)
        return ParsedValue((Address(protocol, place, certificate=Certificate.read(words), router=router),))

    def texts(value: tuple[Address, ...]) -> tuple[str, ...]:
        return tuple(one.text + (f",{one.certificate.text()}" if one.certificate else "") for one in value)

    tls = "CERTIFICATE,KEY[,CIPHERS[,CA]]"
    form = f"ADDRESS[,{tls}]" if protocol == AUTO else f"ADDRESS,{tls}"
    return ValueKind("TLS addresses", form, f"{form}, the address as {_ADDRESS}", read, texts, many=True)


def _redirect(text: str) -> ParsedValue[tuple[Address, ...]]:
    place, comma, port = text.partition(",")
    target = int(port) if comma else 443
    if not place or not 0 < target < 65536:
        raise ValueError(text)
    return ParsedValue((Address("http", place, redirect=target, router=True),))


REDIRECTS = ValueKind(
    name="redirects",
    metavar="ADDRESS[,PORT]",
    wanted=f"ADDRESS or ADDRESS,PORT, the address as {_ADDRESS}, and the port of HTTPS",
    read=_redirect,
    texts=lambda value: tuple(f"{one.text},{one.redirect}" for one in value),
    many=True,
)


def _named_certificate(text: str) -> ParsedValue[tuple[NamedCertificate, ...]]:
    host, files = text.split()
    return ParsedValue((NamedCertificate(host.lower(), Certificate.read(files.split(","))),))


NAMED_CERTIFICATES = ValueKind(
    name="certificates",
    metavar="HOST CERTIFICATE,KEY[,CIPHERS]",
    wanted="a host, a blank, and CERTIFICATE,KEY[,CIPHERS]",
    read=_named_certificate,
    texts=lambda value: tuple(f"{one.host} {one.certificate.text()}" for one in value),
    many=True,
)
