"""The PROXY protocol's header, versions 1 and 2: what a proxy says of the connection it passes on.

One line or one block in front of all else, once a connection (HAProxy's proxy-protocol.txt). Pure and stateless: `read`
is given all bytes of the connection so far, again and again, until it has an answer. Whether the peer may say such
things at all is for the caller to know.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

from greenwsgi.errors import PeerError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY "
V1_MOST = 107
"""The longest line of version 1, with its CRLF."""
V2_FIXED = 16
V2_MOST = 4096
"""The largest block of version 2 that is taken: HAProxy's own have some 300 bytes, with a certificate 2,000."""

_LOCAL, _PROXY = 0x20, 0x21
_INET, _INET6, _UNIX = 1, 2, 3
_FAMILIES = frozenset({0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32})
_SIZES = {_INET: 12, _INET6: 36, _UNIX: 216}

_ALPN, _AUTHORITY, _CRC32C, _UNIQUE_ID, _SSL = 0x01, 0x02, 0x03, 0x05, 0x20
_READ = frozenset({_ALPN, _AUTHORITY, _CRC32C, _UNIQUE_ID, _SSL})
_SSL_VERSION, _SSL_CN, _SSL_CIPHER, _SSL_CERTIFICATE = 0x21, 0x22, 0x23, 0x28
_IS_TLS, _CERTIFICATE_NOW, _CERTIFICATE_EARLIER = 1, 2, 4
_LONGEST_ID = 128

Peer = tuple[str, int | None]
"""An address and a port; of a unix socket its path ("" without a name, "@..." if abstract) and None."""


@dataclass(frozen=True, slots=True)
class ProxyTls:
    """The client came by TLS, which the proxy ended (PP2_TYPE_SSL).

    version: "TLSv1.3". cipher: as OpenSSL names it. client_cn: the CN of its certificate. All "" if not said.
    certificate: one was presented, now or in the session that was resumed. verify: 0 when it was found good, else
    OpenSSL's number for what is wrong; without a certificate it says nothing. der: the certificate, b"" if not sent.
    """

    version: str = ""
    cipher: str = ""
    certificate: bool = False
    verify: int = 0
    client_cn: str = ""
    der: bytes = b""

    @property
    def verified(self) -> str:
        """As Apache's and nginx's SSL_CLIENT_VERIFY: NONE, SUCCESS or FAILED:number."""
        if not self.certificate:
            return "NONE"
        return f"FAILED:{self.verify}" if self.verify else "SUCCESS"


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header says. All texts are latin-1 as in environ, without control characters.

    consumed: its length; the bytes behind it are the protocol's (or those of TLS).
    source: the client; None when the proxy speaks for itself or does not know (LOCAL, UNKNOWN, UNSPEC): then the
    socket's own addresses hold, and nothing else is said. destination: what the client connected to.
    tls: None when the client came without. authority: the server name it asked for (SNI). alpn: what was agreed upon.
    """

    consumed: int
    source: Peer | None = None
    destination: Peer | None = None
    tls: ProxyTls | None = None
    authority: str = ""
    alpn: str = ""
    unique_id: bytes = b""

    def variables(self) -> dict[str, str]:
        """The same as CGI variables: REMOTE_*, SERVER_PORT, HTTPS, and SSL_* with the names of mod_ssl.

        Empty when nothing is said. Of a unix client REMOTE_ADDR is "", as it is of one that comes to us directly.
        """
        if self.source is None or self.destination is None:
            return {}
        address, port = self.source
        found = {"REMOTE_ADDR": "" if port is None else address}
        if port is not None:
            found |= {"REMOTE_PORT": str(port), "SERVER_PORT": str(self.destination[1])}
        if self.tls is not None:
            tls = self.tls
            found |= {"HTTPS": "on", "SSL_CLIENT_VERIFY": tls.verified}
            said = {
                "SSL_PROTOCOL": tls.version,
                "SSL_CIPHER": tls.cipher,
                "SSL_CLIENT_S_DN_CN": tls.client_cn if tls.certificate else "",
                "SSL_TLS_SNI": self.authority,
            }
            found |= {name: value for name, value in said.items() if value}
        return found


def read(data: bytes | bytearray, most: int = V2_MOST) -> ProxyHeader | None:
    """The header at the beginning of `data`, or None when more bytes are needed.

    data: everything received since the connection began. most: the largest version 2 header, in bytes. Raises PeerError
    as soon as it can no longer become a header; a caller that reads on only after None holds `most` bytes at most.
    """
    if data.startswith(SIGNATURE):
        return _read_v2(data, most)
    if data.startswith(V1):
        return _read_v1(data)
    if SIGNATURE.startswith(data) or V1.startswith(data):
        return None
    raise PeerError("no PROXY header")


# Version 1


def _read_v1(data: bytes | bytearray) -> ProxyHeader | None:
    end = data.find(b"\n", 0, V1_MOST)
    if end < 0:
        if len(data) >= V1_MOST:
            raise PeerError(f"PROXY line of more than {V1_MOST} bytes")
        return None
    line = bytes(data[:end]).decode("latin-1")
    if line[-1] != "\r":
        raise PeerError("PROXY line that ends without CR")
    words = line[:-1].split(" ")
    if words[1] == "UNKNOWN":  # whatever follows it is to be ignored
        return ProxyHeader(end + 1)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise PeerError("malformed PROXY line")
    address = _ipv4 if words[1] == "TCP4" else _ipv6
    source = address(words[2]), _port(words[4])
    return ProxyHeader(end + 1, source, (address(words[3]), _port(words[5])))


_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")


def _ipv4(text: str) -> str:
    if _IPV4.fullmatch(text) is None:
        raise PeerError("PROXY line with an IPv4 address that is none")
    return text


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        address = None
    if address is None or address.scope_id is not None:
        raise PeerError("PROXY line with an IPv6 address that is none")
    return str(address)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or str(int(text)) != text or int(text) > 65535:
        raise PeerError("PROXY line with a port that is none")
    return int(text)


# Version 2


def _read_v2(data: bytes | bytearray, most: int) -> ProxyHeader | None:
    here = len(data)
    if here > 12 and data[12] not in (_LOCAL, _PROXY):
        raise PeerError("PROXY header of an unknown version or command")
    if here > 13 and data[12] == _PROXY and data[13] not in _FAMILIES:
        raise PeerError("PROXY header of an unknown address family or transport")
    if here < V2_FIXED:
        return None
    size = V2_FIXED + (data[14] << 8 | data[15])
    if size > most:
        raise PeerError(f"PROXY header of {size} bytes, the limit is {most}")
    family = data[13] >> 4
    if data[12] == _PROXY and size - V2_FIXED < _SIZES.get(family, 0):
        raise PeerError("PROXY header too short for its addresses")
    if here < size:
        return None
    if data[12] == _LOCAL or not family:
        return ProxyHeader(size)
    return _addressed(bytes(data[:size]), family)


def _addressed(header: bytes, family: int) -> ProxyHeader:
    """What a whole header with addresses says."""
    first = V2_FIXED + _SIZES[family]
    block = header[V2_FIXED:first]
    found: dict[int, bytes] = {}
    for kind, at, value in _entries(header, first):
        if kind in found:
            raise PeerError("PROXY header that says a thing twice")
        if kind in _READ:
            found[kind] = value
        if kind == _CRC32C:
            _check_crc(header, at, value)
    unique_id = found.get(_UNIQUE_ID, b"")
    if len(unique_id) > _LONGEST_ID:
        raise PeerError(f"PROXY header with an id of more than {_LONGEST_ID} bytes")
    source, destination = _endpoints(block, family)
    return ProxyHeader(
        len(header),
        source,
        destination,
        _tls(found[_SSL]) if _SSL in found else None,
        _text(found.get(_AUTHORITY, b"")),
        _text(found.get(_ALPN, b"")),
        unique_id,
    )


def _endpoints(block: bytes, family: int) -> tuple[Peer, Peer]:
    if family == _UNIX:
        return (_path(block[:108]), None), (_path(block[108:]), None)
    if family == _INET:
        source, destination, source_port, destination_port = struct.unpack("!4s4sHH", block)
        return (_dotted(source), source_port), (_dotted(destination), destination_port)
    source, destination, source_port, destination_port = struct.unpack("!16s16sHH", block)
    return (str(IPv6Address(source)), source_port), (str(IPv6Address(destination)), destination_port)


def _dotted(address: bytes) -> str:
    return ".".join(map(str, address))


def _path(field: bytes) -> str:
    abstract = field[:1] == b"\0" and field.strip(b"\0")
    return "@" + _text(field.strip(b"\0")) if abstract else _text(field.partition(b"\0")[0])


def _entries(data: bytes, at: int) -> Iterator[tuple[int, int, bytes]]:
    """Type, position and value of each type-length-value vector, up to the end."""
    while at < len(data):
        start = at + 3
        end = start + int.from_bytes(data[at + 1 : start], "big")
        if start > len(data) or end > len(data):
            raise PeerError("PROXY header whose entries do not fit")
        yield data[at], start, data[start:end]
        at = end


def _tls(data: bytes) -> ProxyTls | None:
    if len(data) < 5:
        raise PeerError("PROXY header with TLS facts cut short")
    found = {kind: value for kind, _, value in _entries(data, 5)}
    if not data[0] & _IS_TLS:
        return None
    return ProxyTls(
        _text(found.get(_SSL_VERSION, b"")),
        _text(found.get(_SSL_CIPHER, b"")),
        bool(data[0] & (_CERTIFICATE_NOW | _CERTIFICATE_EARLIER)),
        int.from_bytes(data[1:5], "big"),
        _text(found.get(_SSL_CN, b"")),
        found.get(_SSL_CERTIFICATE, b""),
    )


def _text(data: bytes) -> str:
    text = data.decode("latin-1")
    if any(char < " " or char == "\x7f" for char in text):
        raise PeerError("PROXY header with a control character in a text")
    return text


# CRC32C, which zlib has not (RFC 3720 12.1: polynomial 0x1EDC6F41, here reflected)


def _crc_row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE = tuple(map(_crc_row, range(256)))


def crc32c(data: bytes) -> int:
    """The checksum of a few hundred bytes; 0.1 us a byte."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _check_crc(header: bytes, at: int, value: bytes) -> None:
    """The checksum is that of the whole header with zeros in its own place."""
    if len(value) != 4 or crc32c(header[:at] + bytes(4) + header[at + 4 :]) != int.from_bytes(value, "big"):
        raise PeerError("PROXY header with a wrong checksum")
