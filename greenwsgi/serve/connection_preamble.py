"""What a connection says before its protocol: a PROXY header, first bytes that tell the protocol, a TLS handshake.

In this order, in the connection's own greenlet, before one deadline for all of it. Only endpoints that have to do with
any of them have a preamble; the others pay nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.serve.admission import Admission
from greenwsgi.serve.deadlines import PeerStalled
from greenwsgi.serve.tls_contexts import ServerTls
from greenwsgi.serve.tls_stream import TlsStream
from greenwsgi.wire import protocol_sniffing, proxy_header
from greenwsgi.wire.proxy_header import ProxyHeader
from greenwsgi.wire.registry import AUTO, PROTOCOLS
from greenwsgi.wsgi.forwarded_headers import TrustList

if TYPE_CHECKING:
    from greenwsgi.serve.connection import Connection

_now = SystemClock.monotonic

SPOKEN = tuple(name for name in protocol_sniffing.SIGNS if name in PROTOCOLS)
"""What the first bytes of an auto-socket may be, besides TLS."""


@dataclass(frozen=True, slots=True)
class Preamble:
    """One endpoint's; called with each of its connections, it returns those first bytes that are the protocol's.

    timeout: seconds for all of it. proxies: who sends PROXY headers, None on a socket without them. optional: they need
    not. tls: None for none. gateways: who may speak as a web server where the first bytes decide, None for all.
    admission: the rule of the door where a PROXY header says who comes.
    """

    timeout: float
    proxies: TrustList | None = None
    optional: bool = False
    tls: ServerTls | None = None
    gateways: TrustList | None = None
    admission: Admission | None = None

    def __call__(self, connection: Connection) -> bytes:
        """Raises PeerError, with status 0 where nothing can be answered, or PeerGone."""
        opening = PreambleReader(connection, _now() + self.timeout)
        try:
            self._read(opening)
        except PeerStalled:
            if not opening.begun:
                raise
            raise PeerError("what comes before a request did not come in time (handshake-timeout)", 0) from None
        return opening.data

    def _read(self, opening: PreambleReader) -> None:
        connection = opening.connection
        row = connection.endpoint.row
        header = None
        if self.proxies is not None:
            header = opening.proxy_header(self.proxies, optional=self.optional)
        if header is not None:
            _believe(header, connection)
        if self.admission is not None and not connection.admit(self.admission):
            raise PeerGone("not admitted")
        if row is AUTO:
            name = opening.tell((*SPOKEN, "tls") if self.tls else SPOKEN)
            if name == "tls" and self.tls is not None:
                opening.secure(self.tls)
                name = opening.tell(SPOKEN)
            row = PROTOCOLS[name]
            if not row.scheme and self.gateways is not None and connection.peer not in self.gateways:
                raise PeerError(f"{name} from a peer that is not in uwsgi-allow", 0)
            connection.speak(row, connection.stream)
        elif self.tls is not None:
            opening.expect_tls()
            opening.secure(self.tls)
            connection.speak(row, connection.stream)
        if row.scheme:
            _tell(header, connection)


class PreambleReader:
    """The beginning of one connection. data: what has come and is not used. begun: whether anything has."""

    def __init__(self, connection: Connection, until: float) -> None:
        self.connection = connection
        self.data = b""
        self.begun = False
        self._until = until

    def _more(self) -> None:
        data = self.connection.stream.recv(self._until)
        if not data:
            raise PeerGone("the client left before its first request")
        self.begun = True
        self.data += data

    def proxy_header(self, senders: TrustList, *, optional: bool) -> ProxyHeader | None:
        """What the PROXY header says; None where there is none, and need not be. All are senders if none are named."""
        if senders and self.connection.peer not in senders:
            if self._begins_with_proxy():
                raise PeerError("a PROXY header from a peer that is not in proxy-protocol-from", 0)
            return None
        if optional and not self._begins_with_proxy():
            return None
        while True:
            if self.data and (header := _read_header(self.data)) is not None:
                self.data = self.data[header.consumed :]
                return header
            self._more()

    def _begins_with_proxy(self) -> bool:
        """Whether it is a PROXY header that comes; waits until that is clear."""
        while len(self.data) < len(proxy_header.SIGNATURE) and protocol_sniffing.may_be_proxy(self.data):
            self._more()
        return protocol_sniffing.may_be_proxy(self.data)

    def tell(self, offered: tuple[str, ...]) -> str:
        """Which of these is spoken. Raises PeerError when it is none, or may be several."""
        try:
            while not self.data or (name := protocol_sniffing.tell(self.data, offered)) is None:
                self._more()
        except PeerError as error:
            raise PeerError(error.text, 0) from None
        return name

    def expect_tls(self) -> None:
        """The first bytes are TLS, or else are answered where HTTP is spoken."""
        while not self.data:
            self._more()
        if protocol_sniffing.may_be_tls(self.data):
            return
        if self.connection.scheme and protocol_sniffing.may_be_http(self.data[: protocol_sniffing.ENOUGH]):
            raise PeerError("plain HTTP was sent to an HTTPS port", 400)
        raise PeerError("no TLS on a socket that speaks it", 0)

    def secure(self, tls: ServerTls) -> None:
        """Shake hands; from then on what comes is plain again."""
        connection = self.connection
        stream = TlsStream(connection.stream, tls, self.data)
        self.data = b""
        connection.stream = stream
        stream.handshake(self._until)


def _read_header(data: bytes) -> ProxyHeader | None:
    try:
        return proxy_header.read(data)
    except PeerError as error:
        raise PeerError(f"{error.text} (proxy-protocol)", 0) from None


_PLACES = ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_PORT")


def _believe(header: ProxyHeader, connection: Connection) -> None:
    """The client's address and the one it connected to are those the header tells."""
    said = header.variables()
    if not said:
        return
    environ = connection.environ
    environ.pop("REMOTE_PORT", None)
    environ.update({name: said[name] for name in _PLACES if name in said})
    connection.peer = said["REMOTE_ADDR"]
    if header.destination is not None and header.destination[1] is not None:
        environ["SERVER_ADDR"] = header.destination[0]


def _tell(header: ProxyHeader | None, connection: Connection) -> None:
    """What is known of the client's TLS: of ours if it came by TLS, else what the header says. Gateways know better."""
    stream = connection.stream
    if isinstance(stream, TlsStream):
        said = stream.variables()
    elif header is not None:
        said = {name: value for name, value in header.variables().items() if name not in _PLACES}
    else:
        return
    connection.environ.update(said)
    if "HTTPS" in said:
        connection.scheme = connection.environ["wsgi.url_scheme"] = "https"
