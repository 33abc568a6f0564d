"""uwsgi: headers, blocks of variables, modifiers, bodies."""

from __future__ import annotations

import struct

from tests.wire.cases import CLOSED, Case, closed, gone, refused, seen

Pair = tuple[str | bytes, str | bytes]


def u16(number: int) -> bytes:
    """Little endian, as all lengths of uwsgi."""
    return struct.pack("<H", number)


def text(value: str | bytes) -> bytes:
    """A string behind its length."""
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    return u16(len(raw)) + raw


def block(*pairs: Pair) -> bytes:
    """The variables of a packet."""
    return b"".join(text(name) + text(value) for name, value in pairs)


def packet(variables: bytes, body: bytes = b"", modifier1: int = 0, modifier2: int = 0) -> bytes:
    """Header, block, body."""
    return bytes([modifier1]) + u16(len(variables)) + bytes([modifier2]) + variables + body


GET: list[Pair] = [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/"), ("SERVER_PROTOCOL", "HTTP/1.1")]
NGINX: list[Pair] = [
    ("QUERY_STRING", "a=1"),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("REQUEST_URI", "/x%2Fy?a=1"),
    ("PATH_INFO", "/x/y"),
    ("DOCUMENT_ROOT", "/var/www"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "https"),
    ("HTTPS", "on"),
    ("REMOTE_ADDR", "192.0.2.7"),
    ("REMOTE_PORT", "52044"),
    ("SERVER_PORT", "443"),
    ("SERVER_NAME", "a.example"),
    ("HTTP_HOST", "a.example"),
    ("HTTP_COOKIE", "a=1; b=2"),
    ("X_CUSTOM", "from uwsgi_param"),
]


def get(*more: Pair, body: bytes = b"") -> bytes:
    """A GET with more variables, and perhaps a body."""
    return packet(block(*GET, *more), body)


def names(count: int) -> list[Pair]:
    """That many variables more."""
    return [(f"HTTP_X_{number}", "y") for number in range(count)]


SERVED = [
    closed("get", get(), seen({"REQUEST_METHOD": "GET", "PATH_INFO": "/"})),
    closed("nginx", packet(block(*NGINX)), seen({str(name): str(value) for name, value in NGINX})),
    closed("only-path-info", packet(block(("PATH_INFO", "/"))), seen({"PATH_INFO": "/"}, absent=("REQUEST_METHOD",))),
    closed("empty-value", get(("HTTP_X", "")), seen({"HTTP_X": ""})),
    closed("value-of-256", get(("HTTP_X", "a" * 256)), seen({"HTTP_X": "a" * 256})),
    closed("value-of-257", get(("HTTP_X", "a" * 257)), seen({"HTTP_X": "a" * 257})),
    closed("value-of-513", get(("HTTP_X", "a" * 513)), seen({"HTTP_X": "a" * 513})),
    closed("value-of-60000", get(("HTTP_X", "a" * 60000)), seen({"HTTP_X": "a" * 60000})),
    closed("name-of-300", get(("X" * 300, "a")), seen({"X" * 300: "a"})),
    closed(
        "block-of-65535",
        packet(block(*GET, ("HTTP_X", "a" * (65535 - len(block(*GET)) - 10)))),
        seen({"PATH_INFO": "/"}),
    ),
    closed("value-latin-1", get(("HTTP_X", b"\xe9\xff")), seen({"HTTP_X": "\xe9\xff"})),
    closed(
        "path-not-decoded-again",
        get(("PATH_INFO", "/a%2fb/%2e%2e/../c"), ("REQUEST_URI", "/a%252fb")),
        seen({"PATH_INFO": "/a%2fb/%2e%2e/../c", "REQUEST_URI": "/a%252fb"}),
    ),
    closed("path-utf-8", get(("PATH_INFO", b"/caf\xc3\xa9")), seen({"PATH_INFO": "/caf\xc3\xa9"})),
    closed("path-with-line-feed", get(("PATH_INFO", "/a\nb\r")), seen({"PATH_INFO": "/a\nb\r"})),  # nginx decoded %0A
    closed(
        "script-name-not-stripped", get(("SCRIPT_NAME", "/app"), ("PATH_INFO", "/app/x")), seen({"PATH_INFO": "/app/x"})
    ),
    closed(
        "any-name",
        get(("my.own-name", "1"), ("geoip country", "NL")),
        seen({"my.own-name": "1", "geoip country": "NL"}),
    ),
    closed("scheme-stays", get(("UWSGI_SCHEME", "https")), seen({"UWSGI_SCHEME": "https"})),
    closed(
        "proxy-stays-out-of-our-hands",
        get(("HTTP_X_FORWARDED_FOR", "1.2.3.4")),
        seen({"HTTP_X_FORWARDED_FOR": "1.2.3.4"}),
    ),
    closed(
        "http-content-length-is-only-a-variable",
        get(("HTTP_CONTENT_LENGTH", "-7")),
        seen({"HTTP_CONTENT_LENGTH": "-7"}),
    ),
    closed(
        "http-transfer-encoding-is-only-a-variable",
        get(("HTTP_TRANSFER_ENCODING", "chunked")),
        seen({"HTTP_TRANSFER_ENCODING": "chunked"}),
    ),
    closed("modifier2-ignored", packet(block(*GET), modifier2=7), seen({"PATH_INFO": "/"})),
    closed("variables-at-count", packet(block(*names(128))), seen({"HTTP_X_127": "y"})),
]

MODIFIERS = [
    closed(
        "modifier-30",
        packet(block(*GET, ("SCRIPT_NAME", "/app"), ("PATH_INFO", "/app/x")), modifier1=30),
        seen({"SCRIPT_NAME": "/app", "PATH_INFO": "/x"}),
    ),
    closed(
        "modifier-30-whole",
        packet(block(*GET, ("SCRIPT_NAME", "/app"), ("PATH_INFO", "/app")), modifier1=30),
        seen({"PATH_INFO": ""}),
    ),
    closed(
        "modifier-30-elsewhere",
        packet(block(*GET, ("SCRIPT_NAME", "/app"), ("PATH_INFO", "/x")), modifier1=30),
        seen({"PATH_INFO": "/x"}),
    ),
    closed(
        "modifier-30-half-a-segment",
        packet(block(*GET, ("SCRIPT_NAME", "/app"), ("PATH_INFO", "/application")), modifier1=30),
        seen({"SCRIPT_NAME": "/app", "PATH_INFO": "/application"}),
    ),
    closed("modifier-30-without-script-name", packet(block(*GET), modifier1=30), seen({"PATH_INFO": "/"})),
    Case("ping", b"\x64\x00\x00\x00", (), CLOSED, replies=b"\x64\x00\x00\x01"),
    Case("ping-with-a-block", packet(b"hello", modifier1=100), (), CLOSED, replies=b"\x64\x00\x00\x01"),
    *(
        refused(f"modifier-{number}", 501, packet(block(*GET), modifier1=number))
        for number in (
            1,
            2,
            5,
            6,
            7,
            9,
            14,
            15,
            17,
            18,
            22,
            23,
            31,
            48,
            98,
            99,
            101,
            109,
            110,
            111,
            173,
            200,
            224,
            250,
            255,
        )
    ),
    refused("http-on-uwsgi", 501, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    refused("tls-on-uwsgi", 501, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    refused("modifier-refused-by-its-first-byte", 501, b"\x05"),
]

COMMANDS = [
    closed(
        f"command-{name.lower()}",
        get((f"UWSGI_{name}", "exec://id"), ("HTTP_X", "y")),
        seen({"HTTP_X": "y"}, absent=(f"UWSGI_{name}",)),
    )
    for name in (
        [
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
]

LENGTHS = [
    refused("no-variables", 400, b"\x00\x00\x00\x00"),
    refused("null-name", 400, packet(text("") + text("x"))),
    refused("null-name-among-good-ones", 400, get(("", "x"))),
    refused("null-names-20000", 400, packet(b"\0\0\0\0" * 16000)),
    refused("name-past-the-block", 400, packet(block(*GET) + u16(50) + b"HTTP_X")),
    refused("name-past-the-block-huge", 400, packet(u16(65535) + b"HTTP_X")),
    refused("value-past-the-block", 400, packet(block(*GET) + text("HTTP_X") + u16(9) + b"short")),
    refused("value-past-the-block-by-one", 400, packet(block(*GET) + text("HTTP_X") + u16(6) + b"short")),
    refused("value-past-the-block-by-256", 400, packet(block(*GET) + text("HTTP_X") + u16(5 + 256) + b"short")),
    refused("name-length-cut", 400, packet(block(*GET) + b"\x05")),
    refused("name-alone", 400, packet(block(*GET) + text("HTTP_X"))),
    refused("value-length-cut", 400, packet(block(*GET) + text("HTTP_X") + b"\x05")),
    refused("trailing-zero", 400, packet(block(*GET) + b"\0")),
    refused("trailing-zeros", 400, packet(block(*GET) + b"\0\0")),
    refused("value-length-one-less", 400, packet(text("HTTP_X") + u16(4) + b"hello" + block(*GET))),
    refused("value-length-one-more", 400, packet(text("HTTP_X") + u16(6) + b"hello" + block(*GET))),
    refused("name-length-high-byte", 400, packet(b"\x06\x01HTTP_X" + text("y") + block(*GET))),
    refused("variables-over-count", 431, packet(block(*names(129)))),
    refused("variables-over-count-equal", 431, packet(block(*[("HTTP_X", "y")] * 129))),
    refused("variables-over-a-count-of-5", 431, get(*names(3)), headers=5),
    refused("block-over-limit", 431, packet(block(*GET, ("HTTP_X", "a" * 4000))), head=4000),
    refused("block-over-limit-by-its-header", 431, b"\x00\xff\xff\x00", head=4000),
    closed("block-at-limit", packet(block(*GET)), head=len(block(*GET))),
    refused("block-over-limit-by-one", 431, packet(block(*GET)), head=len(block(*GET)) - 1),
    gone("header-of-1", b"\x00"),
    gone("header-of-2", b"\x00\x10"),
    gone("header-of-3", b"\x00\x10\x00"),
    gone("header-alone", b"\x00\x10\x00\x00"),
    gone("block-short", b"\x00\xff\xff\x00" + b"0123456789"),
    gone("block-short-by-one", get()[:-1]),
    gone("ping-short", b"\x64\x05\x00\x00he"),
    Case("nothing", b"", (), "kept"),
]

VALUES = [
    refused("nul-in-value", 400, get(("HTTP_X", "a\0b"))),
    refused("nul-in-path", 400, get(("PATH_INFO", "/a\0b"))),
    refused("lf-in-value", 400, get(("HTTP_X", "a\nHTTP_Y: b"))),
    refused("cr-in-value", 400, get(("HTTP_X", "a\rb"))),
    refused("crlf-in-host", 400, get(("HTTP_HOST", "a\r\nX: y"))),
    refused("lf-in-request-uri", 400, get(("REQUEST_URI", "/a\nb"))),
    refused("nul-in-name", 400, get(("HTTP_\0X", "a"))),
    refused("lf-in-name", 400, get(("HTTP_\nX", "a"))),
    closed("duplicate-last-wins", get(("HTTP_X", "1"), ("HTTP_X", "2")), seen({"HTTP_X": "2"})),
    closed("duplicate-equal-host", get(("HTTP_HOST", "a"), ("HTTP_HOST", "a")), seen({"HTTP_HOST": "a"})),
    refused("duplicate-host", 400, get(("HTTP_HOST", "a"), ("HTTP_HOST", "b"))),
    refused("duplicate-content-length", 400, get(("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "6"), body=b"hello!")),
    refused("duplicate-content-length-empty", 400, get(("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", ""), body=b"hello")),
    refused("duplicate-request-method", 400, get(("REQUEST_METHOD", "POST"))),
    closed("duplicate-command", get(("UWSGI_FILE", "a"), ("UWSGI_FILE", "b")), seen(absent=("UWSGI_FILE",))),
]

BODIES = [
    closed("body", get(("CONTENT_LENGTH", "5"), body=b"hello"), seen({"CONTENT_LENGTH": "5"}, body=b"hello")),
    closed("body-0", get(("CONTENT_LENGTH", "0")), seen()),
    closed("body-empty-length", get(("CONTENT_LENGTH", "")), seen({"CONTENT_LENGTH": ""})),
    closed("body-binary", get(("CONTENT_LENGTH", "256"), body=bytes(range(256))), seen(body=bytes(range(256)))),
    closed("body-longer-than-said", get(("CONTENT_LENGTH", "5"), body=b"hello world"), seen(body=b"hello")),
    closed("second-packet-is-never-served", get() + get(), seen({"PATH_INFO": "/"})),
    closed(
        "second-packet-behind-a-body-is-never-served",
        get(("CONTENT_LENGTH", "5"), body=b"hello" + get()),
        seen(body=b"hello"),
    ),
    *(
        refused(f"body-length-{name}", 400, get(("CONTENT_LENGTH", value), body=b"hello"))
        for name, value in [
            ("minus", "-1"),
            ("plus", "+5"),
            ("exponent", "1e9"),
            ("prefix", "12x"),
            ("space", " 5"),
            ("hex", "0x5"),
            ("underscore", "1_0"),
            ("superscript", "\xb2"),
            ("list", "5, 5"),
            ("fraction", "5.0"),
        ]
    ),
    refused("body-length-absurd", 413, get(("CONTENT_LENGTH", "9" * 30))),
    refused("body-over-limit", 413, get(("CONTENT_LENGTH", "11"), body=b"hello world"), body=10),
    closed("body-at-limit", get(("CONTENT_LENGTH", "11"), body=b"hello world"), seen(body=b"hello world"), body=11),
    gone("body-short", get(("CONTENT_LENGTH", "1000"), body=b"ten bytes."), seen(body=None)),
    gone("body-not-sent", get(("CONTENT_LENGTH", "5")), seen(body=None)),
]

CASES: list[Case] = [*SERVED, *MODIFIERS, *COMMANDS, *LENGTHS, *VALUES, *BODIES]
