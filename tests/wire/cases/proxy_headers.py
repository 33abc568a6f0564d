"""PROXY: lines of version 1, blocks of version 2."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from greenwsgi.wire.proxy_header import SIGNATURE, ProxyHeader, ProxyTls, crc32c

MORE = "more"
"""The header is not whole yet."""

REST = b"GET / HTTP/1.1\r\n"
"""What stands behind a header; none of it is used up."""


@dataclass(frozen=True)
class ProxyCase:
    """data: a header, without what follows it. result: what it says; MORE; or "" when it is refused."""

    id: str
    data: bytes
    result: ProxyHeader | str = ""
    variables: dict[str, str] | None = None
    limits: dict[str, Any] = field(default_factory=dict)


def entry(kind: int, value: bytes) -> bytes:
    """A type-length-value vector."""
    return struct.pack("!BH", kind, len(value)) + value


def header(addresses: bytes, *entries: bytes, family: int = 0x11, command: int = 0x21) -> bytes:
    """A header of version 2."""
    block = addresses + b"".join(entries)
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def with_crc(addresses: bytes, *entries: bytes, wrong: int = 0, family: int = 0x11) -> bytes:
    """The same with its checksum among the entries: first, or behind those given."""
    data = header(addresses, *entries, entry(3, bytes(4)), family=family)
    return data[:-4] + struct.pack("!I", crc32c(data) ^ wrong)


def v1(text: str) -> bytes:
    """A line of version 1."""
    return f"PROXY {text}\r\n".encode("latin-1")


INET = struct.pack("!4s4sHH", bytes((192, 0, 2, 7)), bytes((10, 0, 0, 1)), 52044, 443)
INET6 = struct.pack("!16s16sHH", b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07", bytes(15) + b"\x01", 52044, 443)
UNIX = b"/run/a.sock".ljust(108, b"\0") + b"\0abstract".ljust(108, b"\0")
TO = ("192.0.2.7", 52044), ("10.0.0.1", 443)
SAID = {"REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "52044", "SERVER_PORT": "443"}

SSL = b"\x07\0\0\0\0" + entry(0x21, b"TLSv1.3") + entry(0x22, b"ann") + entry(0x23, b"TLS_AES_128_GCM_SHA256")
TLS = ProxyTls("TLSv1.3", "TLS_AES_128_GCM_SHA256", True, 0, "ann")


def good(id: str, data: bytes, *more: Any, variables: dict[str, str] | None = None, **facts: Any) -> ProxyCase:
    """A header that is taken whole."""
    return ProxyCase(id, data, ProxyHeader(len(data), *(more or TO), **facts), variables)


LINES = [
    good("tcp4", v1("TCP4 192.0.2.7 10.0.0.1 52044 443"), variables=SAID),
    good(
        "tcp6",
        v1("TCP6 2001:db8::7 ::1 52044 443"),
        ("2001:db8::7", 52044),
        ("::1", 443),
        variables={"REMOTE_ADDR": "2001:db8::7", "REMOTE_PORT": "52044", "SERVER_PORT": "443"},
    ),
    good(
        "tcp6-longest",
        v1("TCP6 " + "ffff:" * 7 + "ffff " + "ffff:" * 7 + "ffff 65535 65535"),
        ("ffff:" * 7 + "ffff", 65535),
        ("ffff:" * 7 + "ffff", 65535),
    ),
    good("tcp6-is-made-canonical", v1("TCP6 2001:DB8:0:0::7 ::1 1 2"), ("2001:db8::7", 1), ("::1", 2)),
    good(
        "port-0",
        v1("TCP4 192.0.2.7 10.0.0.1 0 0"),
        ("192.0.2.7", 0),
        ("10.0.0.1", 0),
        variables={"REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "0", "SERVER_PORT": "0"},
    ),
    good("unknown", v1("UNKNOWN"), None, variables={}),
    good("unknown-with-addresses", v1("UNKNOWN ffff::1 ffff::2 65535 65535"), None),
    good("unknown-with-anything", v1("UNKNOWN \0 \xff  x"), None),
    good("unknown-longest", v1("UNKNOWN " + "x" * 91), None),
    ProxyCase("unknown-too-long", v1("UNKNOWN " + "x" * 92)),
    ProxyCase("line-without-end", b"PROXY TCP4 " + b"1" * 96),
    ProxyCase("unknown-in-lower-case", v1("unknown")),
    ProxyCase("unknown-with-a-tail", v1("UNKNOWNS")),
    ProxyCase("lf-alone", b"PROXY TCP4 192.0.2.7 10.0.0.1 52044 443\n"),
    ProxyCase("lf-at-once", b"PROXY \n"),
    ProxyCase("cr-in-the-line", v1("TCP4 192.0.2.7 10.0.0.1 52044 443\r")),
    ProxyCase("two-spaces", v1("TCP4  192.0.2.7 10.0.0.1 52044 443")),
    ProxyCase("space-at-the-end", v1("TCP4 192.0.2.7 10.0.0.1 52044 443 ")),
    ProxyCase("tab", v1("TCP4\t192.0.2.7 10.0.0.1 52044 443")),
    ProxyCase("empty-line", v1("")),
    ProxyCase("udp4", v1("UDP4 192.0.2.7 10.0.0.1 52044 443")),
    ProxyCase("tcp-of-no-family", v1("TCP 192.0.2.7 10.0.0.1 52044 443")),
    ProxyCase("too-few-words", v1("TCP4 192.0.2.7 10.0.0.1 52044")),
    ProxyCase("too-many-words", v1("TCP4 192.0.2.7 10.0.0.1 52044 443 x")),
    *(
        ProxyCase(f"address-{name}", v1(f"TCP4 {text} 10.0.0.1 1 2"))
        for name, text in [
            ("of-tcp6", "::1"),
            ("empty", ""),
            ("octal", "192.0.02.7"),
            ("too-large", "192.0.2.256"),
            ("of-three-parts", "192.0.2"),
            ("hex", "0xc0000207"),
            ("a-name", "localhost"),
            ("not-ascii", "192.0.2.\xb2"),
            ("with-a-mask", "192.0.2.7/32"),
        ]
    ),
    ProxyCase("address-6-of-tcp4", v1("TCP6 192.0.2.7 10.0.0.1 1 2")),
    ProxyCase("address-6-scoped", v1("TCP6 fe80::1%eth0 ::1 1 2")),
    ProxyCase("address-6-in-brackets", v1("TCP6 [::1] ::1 1 2")),
    ProxyCase("destination-wrong", v1("TCP4 192.0.2.7 x 1 2")),
    *(
        ProxyCase(f"port-{name}", v1(f"TCP4 192.0.2.7 10.0.0.1 {text} 443"))
        for name, text in [
            ("65536", "65536"),
            ("with-0-in-front", "0443"),
            ("minus", "-1"),
            ("plus", "+1"),
            ("empty", ""),
            ("a-word", "http"),
            ("superscript", "\xb2"),
            ("long", "9" * 30),
        ]
    ),
    ProxyCase("destination-port-wrong", v1("TCP4 192.0.2.7 10.0.0.1 1 65536")),
    ProxyCase("half", b"PROXY TCP4 192", MORE),
    ProxyCase("without-lf", b"PROXY TCP4 192.0.2.7 10.0.0.1 52044 443\r", MORE),
    ProxyCase("a-word", b"PROX", MORE),
    ProxyCase("nothing", b"", MORE),
    ProxyCase("another-word", b"PROXIES "),
    ProxyCase("lower-case", b"proxy TCP4 192.0.2.7 10.0.0.1 52044 443\r\n"),
    ProxyCase("http", b"GET / HTTP/1.1\r\n"),
    ProxyCase("http-begins-like-it", b"PROPFIND / HTTP/1.1\r\n"),
    ProxyCase("http-by-a-method-of-that-name", b"PROXY / HTTP/1.1\r\n"),
    ProxyCase("uwsgi", b"\0\x05\0\0"),
]

SHORT = SIGNATURE + b"\x21\x11\0\x0c"

BLOCKS = [
    good("v2-inet", header(INET), variables=SAID),
    good("v2-inet-datagrams", header(INET, family=0x12)),
    good("v2-inet6", header(INET6, family=0x21), ("2001:db8::7", 52044), ("::1", 443)),
    good(
        "v2-unix",
        header(UNIX, family=0x31),
        ("/run/a.sock", None),
        ("@abstract", None),
        variables={"REMOTE_ADDR": ""},
    ),
    good("v2-unix-without-names", header(bytes(216), family=0x31), ("", None), ("", None)),
    good("v2-local", header(b"", command=0x20, family=0), None, variables={}),
    good("v2-local-with-addresses", header(INET, command=0x20), None),
    good("v2-local-of-no-family-we-know", header(b"xyz", command=0x20, family=0x99), None),
    good("v2-unspec", header(b"", family=0), None),
    good("v2-unspec-with-a-block", header(b"whatever", family=0), None),
    good("v2-noop", header(INET, entry(4, bytes(9)))),
    good("v2-noops", header(INET, entry(4, b""), entry(4, b"x"))),
    good("v2-unknown-entries", header(INET, entry(0xEA, b"vpce-1"), entry(0xEE, b"\0"), entry(0xF0, b""))),
    good("v2-namespace", header(INET, entry(0x30, b"blue"))),
    good("v2-alpn", header(INET, entry(1, b"http/1.1")), *TO, alpn="http/1.1"),
    good("v2-authority", header(INET, entry(2, b"a.example")), *TO, authority="a.example", variables=SAID),
    good("v2-authority-utf-8", header(INET, entry(2, b"caf\xc3\xa9")), *TO, authority="caf\xc3\xa9"),
    good("v2-id", header(INET, entry(5, b"\0\xff" * 64)), *TO, unique_id=b"\0\xff" * 64),
    good("v2-crc", with_crc(INET)),
    good("v2-crc-behind-others", with_crc(INET, entry(2, b"a"), entry(4, b"xyz")), *TO, authority="a"),
    good("v2-crc-inet6", with_crc(INET6, family=0x21), ("2001:db8::7", 52044), ("::1", 443)),
    good(
        "v2-tls",
        header(INET, entry(0x20, SSL), entry(2, b"a.example")),
        *TO,
        tls=TLS,
        authority="a.example",
        variables=SAID
        | {
            "HTTPS": "on",
            "SSL_CLIENT_VERIFY": "SUCCESS",
            "SSL_PROTOCOL": "TLSv1.3",
            "SSL_CIPHER": "TLS_AES_128_GCM_SHA256",
            "SSL_CLIENT_S_DN_CN": "ann",
            "SSL_TLS_SNI": "a.example",
        },
    ),
    good(
        "v2-tls-without-certificate",
        header(INET, entry(0x20, b"\x01\0\0\0\x01" + entry(0x21, b"TLSv1.2"))),
        *TO,
        tls=ProxyTls("TLSv1.2", verify=1),
        variables=SAID | {"HTTPS": "on", "SSL_CLIENT_VERIFY": "NONE", "SSL_PROTOCOL": "TLSv1.2"},
    ),
    good(
        "v2-tls-certificate-not-verified",
        header(INET, entry(0x20, b"\x03\0\0\0\x12" + entry(0x22, b"eve"))),
        *TO,
        tls=ProxyTls(certificate=True, verify=18, client_cn="eve"),
        variables=SAID | {"HTTPS": "on", "SSL_CLIENT_VERIFY": "FAILED:18", "SSL_CLIENT_S_DN_CN": "eve"},
    ),
    good(
        "v2-tls-session-resumed",
        header(INET, entry(0x20, b"\x05\0\0\0\0")),
        *TO,
        tls=ProxyTls(certificate=True),
    ),
    good(
        "v2-tls-certificate-itself",
        header(INET, entry(0x20, b"\x03\0\0\0\0" + entry(0x28, b"0\x82" * 700))),
        *TO,
        tls=ProxyTls(certificate=True, der=b"0\x82" * 700),
    ),
    good("v2-tls-not-used", header(INET, entry(0x20, b"\0\0\0\0\0")), variables=SAID),
    good(
        "v2-tls-algorithms", header(INET, entry(0x20, SSL + entry(0x24, b"SHA256") + entry(0x26, b"x"))), *TO, tls=TLS
    ),
    good("v2-at-limit", header(INET, entry(4, bytes(4096 - 16 - 12 - 3)))),
    ProxyCase("v2-over-limit", header(INET, entry(4, bytes(4096 - 16 - 12 - 2)))),
    ProxyCase("v2-over-limit-by-its-length", SIGNATURE + b"\x21\x11\xff\xff"),
    ProxyCase("v2-over-a-limit-of-28", header(INET, entry(4, b"")), limits={"most": 28}),
    ProxyCase("v2-version-1", header(INET, command=0x11)),
    ProxyCase("v2-version-3", header(INET, command=0x31)),
    ProxyCase("v2-command-2", header(INET, command=0x22)),
    ProxyCase("v2-refused-by-its-version", SIGNATURE + b"\x11"),
    *(
        ProxyCase(f"v2-family-{family:02x}", header(INET, family=family))
        for family in (0x01, 0x02, 0x10, 0x13, 0x20, 0x30, 0x41, 0xF1)
    ),
    ProxyCase("v2-addresses-cut", header(INET[:-1])),
    ProxyCase("v2-addresses-of-nothing", header(b"")),
    ProxyCase("v2-inet6-with-those-of-inet", header(INET, family=0x21)),
    ProxyCase("v2-unix-cut", header(UNIX[:-1], family=0x31)),
    ProxyCase("v2-entry-of-1", header(INET, b"\x04")),
    ProxyCase("v2-entry-of-2", header(INET, b"\x04\0")),
    ProxyCase("v2-entry-past-the-end", header(INET, b"\x04\0\x02x")),
    ProxyCase("v2-entry-past-the-end-huge", header(INET, b"\x02\xff\xffx")),
    ProxyCase("v2-authority-twice", header(INET, entry(2, b"a"), entry(2, b"b"))),
    ProxyCase("v2-tls-twice", header(INET, entry(0x20, SSL), entry(0x20, SSL))),
    ProxyCase("v2-authority-with-nul", header(INET, entry(2, b"a\0b"))),
    ProxyCase("v2-authority-with-line-feed", header(INET, entry(2, b"a\nb"))),
    ProxyCase("v2-alpn-with-escape", header(INET, entry(1, b"\x1b"))),
    ProxyCase("v2-id-too-long", header(INET, entry(5, bytes(129)))),
    ProxyCase("v2-path-with-line-feed", header(b"/a\nb".ljust(108, b"\0") + bytes(108), family=0x31)),
    ProxyCase("v2-path-abstract-with-nul", header(b"\0a\0b".ljust(108, b"\0") + bytes(108), family=0x31)),
    ProxyCase("v2-crc-wrong", with_crc(INET, wrong=1)),
    ProxyCase("v2-crc-zero", header(INET, entry(3, bytes(4)))),
    ProxyCase("v2-crc-of-3", header(INET, entry(3, bytes(3)))),
    ProxyCase("v2-crc-of-nothing", header(INET, entry(3, b""))),
    ProxyCase("v2-tls-cut", header(INET, entry(0x20, b"\x01\0\0\0"))),
    ProxyCase("v2-tls-entry-past-the-end", header(INET, entry(0x20, b"\x01\0\0\0\0" + b"\x21\0\x08TLSv1.3"))),
    ProxyCase("v2-tls-name-with-line-feed", header(INET, entry(0x20, b"\x03\0\0\0\0" + entry(0x22, b"a\nb")))),
    ProxyCase("v2-signature-cut", SIGNATURE[:7], MORE),
    ProxyCase("v2-signature-alone", SIGNATURE, MORE),
    ProxyCase("v2-without-length", SHORT[:-1], MORE),
    ProxyCase("v2-without-addresses", SHORT, MORE),
    ProxyCase("v2-short-by-one", header(INET)[:-1], MORE),
    ProxyCase("v2-local-short-by-one", header(b"xyz", command=0x20)[:-1], MORE),
    ProxyCase("v2-signature-wrong", SIGNATURE[:-1] + b"\r"),
    ProxyCase("v2-empty-lines", b"\r\n\r\nGET / HTTP/1.1"),
]

HERE = "127.0.0.1"
AES256 = "TLS_AES_256_GCM_SHA384"
HAPROXY = [
    good(
        "haproxy-with-id-and-checksum",
        bytes.fromhex(
            "0d0a0d0a000d0a515549540a211100237f0000017f000001855c4d5a03000439ef411b05000d37463030303030313a38353543"
        ),
        (HERE, 34140),
        (HERE, 19802),
        unique_id=b"7F000001:855C",
    ),
    good(
        "haproxy-by-tls",
        bytes.fromhex(
            "0d0a0d0a000d0a515549540a211100607f0000017f00000194204d5b030004615c4821010008687474702f312e3120003f01000000"
            "00210007544c5376312e332500075253413230343824000a5253412d534841323536230016544c535f4145535f3235365f47434d5f"
            "534841333834"
        ),
        (HERE, 37920),
        (HERE, 19803),
        tls=ProxyTls("TLSv1.3", AES256),
        alpn="http/1.1",
    ),
    good(
        "haproxy-by-tls-with-a-certificate",
        bytes.fromhex(
            "0d0a0d0a000d0a515549540a211100727f0000017f00000194304d5b030004b7ddf373010008687474702f312e31020009612e6578"
            "616d706c652000450700000000210007544c5376312e33220003616e6e2500075253413230343824000a5253412d53484132353623"
            "0016544c535f4145535f3235365f47434d5f534841333834"
        ),
        (HERE, 37936),
        (HERE, 19803),
        tls=ProxyTls("TLSv1.3", AES256, True, 0, "ann"),
        alpn="http/1.1",
        authority="a.example",
    ),
]
"""As HAProxy 2.6 sent them, the second and third with proxy-v2-options crc32c,ssl,cert-cn,cert-key,authority."""

CASES = [*LINES, *BLOCKS, *HAPROXY]
