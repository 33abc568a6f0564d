"""What the protocols that carry CGI variables share: uwsgi, SCGI, FastCGI (RFC 3875).

A gateway (nginx, Apache, HAProxy) has parsed the HTTP already. It sends variables and a body of CONTENT_LENGTH bytes;
it gets an answer that looks like HTTP, ended by the end of the connection, and frames it again for the real client.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.wire import response_head
from greenwsgi.wire.body_framing import LengthBody
from greenwsgi.wire.protocol import END, Event, Headers, Reply, RequestHead, WireLimits
from greenwsgi.wire.reason_phrases import status_line
from greenwsgi.wire.receive_buffer import Buffer

MOST_DIGITS = 18

COMMANDS = frozenset(
    f"UWSGI_{name}"
    for name in [
        "FILE",
        "SCRIPT",
        "MODULE",
        "CALLABLE",
        "PYHOME",
        "HOME",
        "SETENV",
        "CHDIR",
        "APPID",
        "POSTFILE",
        "TOUCH_RELOAD",
        "CACHE_GET",
    ]
)
"""Variables by which a peer makes uWSGI load code or open files. Dropped: every peer of the socket could run code."""

NO_COMMANDS: frozenset[str] = frozenset()

SERVERS_OWN = ("wsgi.", "uwsgi.", "greenwsgi.")
"""Beginnings of the names that only the server may put into environ; a peer's are dropped."""

PATHS = frozenset({"PATH_INFO", "SCRIPT_NAME", "DOCUMENT_URI", "PATH_TRANSLATED", "SCRIPT_FILENAME"})
"""Variables that the gateway has percent-decoded: `%0A` in a URL puts a line feed there. Nowhere else may one be."""

SINGLETONS = frozenset({"CONTENT_LENGTH", "HTTP_HOST", "REQUEST_METHOD"})
"""Given twice with different values, the request is refused. Of any other variable the last wins, as in uWSGI."""


def body_length(text: str, limits: WireLimits) -> int:
    """A Content-Length or CONTENT_LENGTH: decimal digits or nothing (0). Raises PeerError: 400, or 413 if too large."""
    if not text:
        return 0
    if not text.isdecimal():  # in latin-1 only 0-9 are decimal; isdigit() takes superscripts
        raise PeerError("Content-Length is not a number")
    if len(text) > MOST_DIGITS:
        raise PeerError("absurd Content-Length", 413)
    length = int(text)
    if limits.body and length > limits.body:
        raise PeerError(f"body of more than {limits.body} bytes", 413)
    return length


def check_variable(name: str, value: str) -> None:
    """Refuse what could break a line, a log or a C string further on."""
    if not name:
        raise PeerError("variable without a name")
    if not name.isprintable() or "\0" in value:
        raise PeerError("control character in a variable")
    if ("\n" in value or "\r" in value) and name not in PATHS:
        raise PeerError(f"line break in {name}")


def take_variable(variables: dict[str, str], name: str, value: str, allowed: frozenset[str]) -> bool:
    """Check a variable and put it in, unless it is a command that is not allowed or a name of the server's own.

    True when anybody may send that name: a protocol may remember it and need not look at it again.
    """
    check_variable(name, value)
    if name in SINGLETONS and variables.get(name, value) != value:
        raise PeerError(f"more than one {name}")
    ordinary = name not in COMMANDS and not name.startswith(SERVERS_OWN)
    if ordinary or name in allowed:
        variables[name] = value
    return ordinary


def complete_path(variables: dict[str, str]) -> None:
    """Put in PATH_INFO, and SCRIPT_NAME without it, where a gateway is known to leave PATH_INFO out.

    nginx with its stock scgi_params or fastcgi_params says DOCUMENT_URI; SCRIPT_NAME is missing or the same. Apache's
    mod_proxy_scgi and mod_proxy_fcgi say the whole path in SCRIPT_NAME, and in SCRIPT_FILENAME `proxy:` and the URL
    they pass the request to, percent-encoded: its path is what lies below the mount of ProxyPass. From any other
    gateway a missing PATH_INFO is an empty one (RFC 3875 4.1.5), which PEP 3333 wants to be there.
    """
    if "PATH_INFO" in variables:
        return
    script = variables.get("SCRIPT_NAME", "")
    path = variables.get("DOCUMENT_URI")
    if path is not None:
        mount = script if path.startswith(script + "/") else ""
        path = path.removeprefix(mount)
    else:
        scheme, _, url = variables.get("SCRIPT_FILENAME", "").partition("://")
        path = unquote("/" + url.partition("?")[0].partition("/")[2], "latin-1")
        mount = script.removesuffix(path) if script.endswith(path) else ""
        if not scheme.startswith("proxy:") or (path == "/" and not script.endswith(path)):
            mount, path = script, ""  # not Apache, or the mount itself, without a slash
    variables["SCRIPT_NAME"], variables["PATH_INFO"] = mount, path


def status_prefix(nph: bool, protocol: str = "") -> str:
    """What stands before the status, for a client that speaks this protocol: HTTP/1.1 for any later version."""
    if not nph:
        return "Status: "
    return "HTTP/1.1 " if protocol > "HTTP/1.0" and protocol.startswith("HTTP/") else "HTTP/1.0 "


class CgiConnection(Buffer):
    """One request, then the connection ends. A protocol adds `read_head`, which finds and parses its head.

    nph: answers begin with a status line as in HTTP, else with a `Status` header (RFC 3875 6.3.3 and 5).
    """

    __slots__ = ("_answered", "_body", "_ended", "_fault", "_first", "_head_done", "body_done", "limits")

    nph = True
    reusable = False
    plain_body = True

    def __init__(self, limits: WireLimits) -> None:
        super().__init__()
        self.limits = limits
        self._body: LengthBody | None = None
        self._fault: PeerError | PeerGone | None = None
        self._first = status_prefix(self.nph)
        self._head_done = self._answered = self._ended = self.body_done = False

    @property
    def idle(self) -> bool:
        """No byte of a request has come."""
        return not self._head_done and self.pos >= len(self.data)

    def read_head(self) -> RequestHead | Reply | None:
        """The request head, or a reply to give at once, or None for more bytes. Raises PeerError."""
        raise NotImplementedError

    def next_event(self) -> Event | None:
        """The next event, or None when more bytes are needed. Raises PeerError, or PeerGone on an early end."""
        if self._fault is not None:
            raise self._fault
        if self.body_done:
            return END
        try:
            event = self._read_body() if self._head_done else self.read_head()
        except PeerError as error:
            self._fault = error
            self.drop_all()
            raise
        if event is None and self.at_eof and not self.idle:
            raise PeerGone("the gateway left before its request was whole")
        return event

    def begin(self, variables: dict[str, str], size: int) -> RequestHead:
        """Make the request head of variables that were checked, and get ready for its body."""
        text = variables.get("CONTENT_LENGTH")
        length = body_length(text, self.limits) if text else 0
        self._head_done = True
        if length:
            self._body = LengthBody(length)
        else:
            self.body_done = True
        if self.nph:
            self._first = status_prefix(True, variables.get("SERVER_PROTOCOL", ""))
        return RequestHead(variables, length, size)

    def _read_body(self) -> Event | None:
        body = self._body
        assert body is not None
        piece = body.read(self)
        self.body_done = body.done
        return piece

    def next_request(self) -> int:
        """There is never a next one."""
        return 0

    def interim(self) -> bytes:
        """The gateway has answered `Expect` itself."""
        return b""

    def head(self, status: str, headers: Headers, length: int, date: bytes, keep_alive: bool) -> bytes:
        """Status and headers as the application gave them, as in uWSGI: framing, Date and Server are the gateway's."""
        self._answered = True
        return response_head.plain(self._first + status, headers)

    def chunk(self, data: bytes) -> bytes:
        """The body is not framed: the connection's end is its end."""
        return data

    def pieces(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        """The same, as the one piece that it is."""
        return [data]

    def end(self) -> bytes:
        """Nothing closes the answer but the connection."""
        self._ended = True
        return b""

    def refuse(self, status: int, text: str, date: bytes, extra: Iterable[tuple[str, str]] = ()) -> bytes:
        """A whole answer, so that the gateway passes the status on instead of making a 502 of a bare close."""
        if self._answered:
            return b""
        self._answered = True
        return response_head.refusal(self._first + status_line(status), text, extra)
