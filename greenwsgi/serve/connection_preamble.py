"""What a connection receives before its protocol: a PROXY header, bytes that identify the protocol, a TLS handshake.

They are read in this order, in the connection's own greenlet, with one deadline for all. Only endpoints that use any of
them have a preamble, so the others have no cost.
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
"""The protocols, besides TLS, that an auto-socket detects by the first bytes."""


@dataclass(frozen=True, slots=True)
class Preamble:
    """The preamble of one endpoint, called with each of its connections."""

    timeout: float
    """Seconds for the whole preamble."""
    proxies: TrustList | None = None
    """The peers that may send PROXY headers. An empty list is all peers; None: the socket takes no PROXY headers."""
    optional: bool = False
    """A connection without a PROXY header is accepted."""
    tls: ServerTls | None = None
    """The TLS settings; None without TLS."""
    gateways: TrustList | None = None
    """The peers that may use a gateway's protocol where the first bytes decide; None for all."""
    admission: Admission | None = None
    """The admission to ask once a PROXY header has given the client's address; None if the acceptor has asked it."""

    def __call__(self, connection: Connection) -> bytes:
        """Read the preamble. Returns the received bytes that belong to the protocol.

        Raises PeerError, with status 0 where no answer is possible, or PeerGone.
        """
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
            name = opening.detect((*SPOKEN, "tls") if self.tls else SPOKEN)
            if name == "tls" and self.tls is not None:
                opening.secure(self.tls)
                name = opening.detect(SPOKEN)
            row = PROTOCOLS[name]
            if not row.scheme and self.gateways is not None and connection.peer not in self.gateways:
                raise PeerError(f"{name} from a peer that is not in uwsgi-allow", 0)
            connection.speak(row, connection.stream)
        elif self.tls is not None:
            opening.expect_tls()
            opening.secure(self.tls)
            connection.speak(row, connection.stream)
        if row.scheme:
            _add_tls_variables(header, connection)


class PreambleReader:
    """Reads the beginning of one connection. until: the deadline, in monotonic seconds."""

    def __init__(self, connection: Connection, until: float) -> None:
        self.connection = connection
        self.data = b""
        """Bytes that have been received and not been used."""
        self.begun = False
        """Whether any byte has been received."""
        self._until = until

    def _more(self) -> None:
        data = self.connection.stream.recv(self._until)
        if not data:
            raise PeerGone("the client left before its first request")
        self.begun = True
        self.data += data

    def proxy_header(self, senders: TrustList, *, optional: bool) -> ProxyHeader | None:
        """Read the PROXY header; None if there is none and none is required. An empty `senders` is all peers."""
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
        """Whether the connection begins with a PROXY header. Waits for as many bytes as that needs."""
        while len(self.data) < len(proxy_header.SIGNATURE) and protocol_sniffing.may_be_proxy(self.data):
            self._more()
        return protocol_sniffing.may_be_proxy(self.data)

    def detect(self, offered: tuple[str, ...]) -> str:
        """Detect which of the `offered` protocols is used. Raises PeerError if it is none of them, or ambiguous."""
        try:
            while not self.data or (name := protocol_sniffing.tell(self.data, offered)) is None:
                self._more()
        except PeerError as error:
            raise PeerError(error.text, 0) from None
        return name

    def expect_tls(self) -> None:
        """Raise PeerError unless the first bytes are TLS; plain HTTP on an HTTPS socket is answered 400."""
        while not self.data:
            self._more()
        if protocol_sniffing.may_be_tls(self.data):
            return
        if self.connection.scheme and protocol_sniffing.may_be_http(self.data[: protocol_sniffing.ENOUGH]):
            raise PeerError("plain HTTP was sent to an HTTPS port", 400)
        raise PeerError("no TLS on a socket that speaks it", 0)

    def secure(self, tls: ServerTls) -> None:
        """Do the TLS handshake. The connection's stream is a TlsStream afterwards."""
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
    """Set the client's address and the address that it connected to as the header gives them."""
    said = header.variables()
    if not said:
        return
    environ = connection.environ
    environ.pop("REMOTE_PORT", None)
    environ.update({name: said[name] for name in _PLACES if name in said})
    connection.peer = said["REMOTE_ADDR"]
    if header.destination is not None and header.destination[1] is not None:
        environ["SERVER_ADDR"] = header.destination[0]


def _add_tls_variables(header: ProxyHeader | None, connection: Connection) -> None:
    """Add the variables about the client's TLS: from our handshake, or else from the PROXY header.

    Not to be called for a gateway's protocol: the gateway supplies them.
    """
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
