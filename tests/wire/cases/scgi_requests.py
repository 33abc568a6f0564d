"""SCGI: netstrings, variables, bodies."""

from __future__ import annotations

from tests.wire.cases import Case, closed, gone, refused, seen
from tests.wire.cases.uwsgi_packets import COMMANDS as UWSGI_COMMANDS
from tests.wire.cases.uwsgi_packets import NGINX, Pair, names


def headers(*pairs: Pair) -> bytes:
    """The variables of a netstring."""
    return b"".join(
        (item if isinstance(item, bytes) else item.encode("latin-1")) + b"\0" for pair in pairs for item in pair
    )


def netstring(data: bytes) -> bytes:
    """Its size, a colon, the data, a comma."""
    return b"%d:%b," % (len(data), data)


def request(*more: Pair, body: bytes = b"", length: str | None = None, mark: str = "1") -> bytes:
    """A request with what must be in front, and a body of the right length if none is said."""
    first = str(len(body)) if length is None else length
    return netstring(headers(("CONTENT_LENGTH", first), ("SCGI", mark), *more)) + body


GET: list[Pair] = [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/"), ("SERVER_PROTOCOL", "HTTP/1.1")]
POST: list[Pair] = [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/"), ("SERVER_PROTOCOL", "HTTP/1.1")]
BARE = headers(("CONTENT_LENGTH", "0"), ("SCGI", "1"))
SPEC = (
    b"70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,What is the answer to life?"
)
"""The example of the specification."""


def get(*more: Pair) -> bytes:
    """A GET with more variables."""
    return request(*GET, *more)


SIZE = len(headers(("CONTENT_LENGTH", "0"), ("SCGI", "1"), *GET))

PROXY = "proxy:scgi://127.0.0.1:4000"
PATHS: list[tuple[str, str, str, *tuple[Pair, ...]]] = [
    ("of-nginx", "", "/a b", ("DOCUMENT_URI", "/a b")),
    ("of-nginx-with-fastcgi-params", "", "/a b", ("DOCUMENT_URI", "/a b"), ("SCRIPT_NAME", "/a b")),
    ("of-nginx-below-a-mount", "/app", "/x", ("DOCUMENT_URI", "/app/x"), ("SCRIPT_NAME", "/app")),
    (
        "of-nginx-with-a-mount-of-half-a-segment",
        "",
        "/application",
        ("DOCUMENT_URI", "/application"),
        ("SCRIPT_NAME", "/app"),
    ),
    ("of-nginx-at-the-mount", "", "/app", ("DOCUMENT_URI", "/app"), ("SCRIPT_NAME", "/app")),
    ("of-nginx-with-another-mount", "", "/x", ("DOCUMENT_URI", "/x"), ("SCRIPT_NAME", "/app")),
    ("of-apache", "", "/x/y z", ("SCRIPT_NAME", "/x/y z"), ("SCRIPT_FILENAME", f"{PROXY}/x/y%20z")),
    ("of-apache-root", "", "/", ("SCRIPT_NAME", "/"), ("SCRIPT_FILENAME", f"{PROXY}/")),
    ("of-apache-below-a-mount", "/a", "/a/x", ("SCRIPT_NAME", "/a/a/x"), ("SCRIPT_FILENAME", f"{PROXY}/a/x")),
    ("of-apache-mount", "/app", "", ("SCRIPT_NAME", "/app"), ("SCRIPT_FILENAME", PROXY)),
    ("of-apache-mount-and-slash", "/app", "/", ("SCRIPT_NAME", "/app/"), ("SCRIPT_FILENAME", f"{PROXY}/")),
    ("of-apache-renamed", "", "/new/x", ("SCRIPT_NAME", "/old/x"), ("SCRIPT_FILENAME", f"{PROXY}/new/x")),
    ("of-apache-with-query", "", "/x", ("SCRIPT_NAME", "/x"), ("SCRIPT_FILENAME", f"{PROXY}/x?a=/b")),
    (
        "of-apache-utf-8",
        "",
        "/caf\xc3\xa9",
        ("SCRIPT_NAME", b"/caf\xc3\xa9"),
        ("SCRIPT_FILENAME", f"{PROXY}/caf%C3%A9"),
    ),
    ("of-apache-balancer", "", "/x", ("SCRIPT_NAME", "/x"), ("SCRIPT_FILENAME", "proxy:balancer://pool/x")),
    ("of-nobody-we-know", "/app", "", ("SCRIPT_NAME", "/app"), ("SCRIPT_FILENAME", "/srv/app.py")),
    ("of-nobody-at-all", "/app", "", ("SCRIPT_NAME", "/app")),
]
"""What gateways say in place of PATH_INFO: name, SCRIPT_NAME and PATH_INFO that come of it, variables."""

SERVED = [
    closed(
        "spec",
        SPEC,
        seen(
            {"CONTENT_LENGTH": "27", "SCGI": "1", "REQUEST_METHOD": "POST", "REQUEST_URI": "/deepthought"},
            body=b"What is the answer to life?",
        ),
    ),
    closed("get", get(), seen({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "CONTENT_LENGTH": "0", "SCGI": "1"})),
    closed(
        "nginx",
        request(*(pair for pair in NGINX if pair[0] != "CONTENT_LENGTH")),
        seen({str(name): str(value) for name, value in NGINX if name != "CONTENT_LENGTH"}),
    ),
    closed(
        "nothing-but-what-must-be", netstring(BARE), seen({"SCGI": "1", "PATH_INFO": ""}, absent=("REQUEST_METHOD",))
    ),
    closed("mark-last", netstring(headers(("CONTENT_LENGTH", "0"), *GET, ("SCGI", "1"))), seen({"PATH_INFO": "/"})),
    closed("empty-value", get(("HTTP_X", "")), seen({"HTTP_X": ""})),
    closed("empty-values", get(("HTTP_X", ""), ("HTTP_Y", ""), ("HTTP_Z", "z")), seen({"HTTP_Y": "", "HTTP_Z": "z"})),
    closed("empty-value-last", get(("HTTP_Z", "z"), ("HTTP_X", "")), seen({"HTTP_X": ""})),
    closed("value-like-a-name", get(("HTTP_X", "CONTENT_LENGTH"), ("HTTP_Y", "9")), seen({"CONTENT_LENGTH": "0"})),
    closed("value-like-a-netstring", get(("HTTP_X", "5:hello,")), seen({"HTTP_X": "5:hello,"})),
    closed("value-of-60000", get(("HTTP_X", "a" * 60000)), seen({"HTTP_X": "a" * 60000})),
    closed("value-of-100000", get(("HTTP_X", "a" * 100000)), seen({"HTTP_X": "a" * 100000}), head=200000),
    closed("name-of-300", get(("X" * 300, "a")), seen({"X" * 300: "a"})),
    closed("value-latin-1", get(("HTTP_X", b"\xe9\xff")), seen({"HTTP_X": "\xe9\xff"})),
    closed("path-utf-8", get(("PATH_INFO", b"/caf\xc3\xa9")), seen({"PATH_INFO": "/caf\xc3\xa9"})),
    closed(
        "path-not-decoded-again",
        get(("PATH_INFO", "/a%2fb/%2e%2e/../c"), ("REQUEST_URI", "/a%252fb")),
        seen({"PATH_INFO": "/a%2fb/%2e%2e/../c", "REQUEST_URI": "/a%252fb"}),
    ),
    closed("path-with-line-feed", get(("PATH_INFO", "/a\nb\r")), seen({"PATH_INFO": "/a\nb\r"})),
    closed("any-name", get(("my.own-name", "1"), ("geoip country", "NL")), seen({"geoip country": "NL"})),
    closed("http-content-length-is-only-a-variable", get(("HTTP_CONTENT_LENGTH", "-7")), seen({"SCGI": "1"})),
    *(
        closed(
            f"path-{name}",
            request(*pairs),
            seen({"SCRIPT_NAME": script, "PATH_INFO": path}),
        )
        for name, script, path, *pairs in PATHS
    ),
    closed("path-info-wins", request(("DOCUMENT_URI", "/a"), ("PATH_INFO", "")), seen({"PATH_INFO": ""})),
    closed("variables-at-count", request(*names(126)), seen({"HTTP_X_125": "y"})),
    closed("headers-at-limit", get(), seen({"PATH_INFO": "/"}), head=SIZE),
]

COMMANDS = [
    closed(case.id, get((case.requests[0].absent[0], "exec://id"), ("HTTP_X", "y")), *case.requests)
    for case in UWSGI_COMMANDS
]

NETSTRINGS = [
    refused("empty-netstring", 400, b"0:,"),
    refused("no-size", 400, b":" + BARE + b","),
    refused("size-with-0-in-front", 400, b"0" + netstring(BARE)),
    refused("size-00", 400, b"00:,"),
    refused("size-minus", 400, b"-1:,"),
    refused("size-plus", 400, b"+" + netstring(BARE)),
    refused("size-space-in-front", 400, b" " + netstring(BARE)),
    refused("size-space-behind", 400, b"24 :" + BARE + b","),
    refused("size-hex", 400, b"0x18:" + BARE + b","),
    refused("size-exponent", 400, b"2e1:" + BARE + b","),
    refused("size-underscore", 400, b"2_4:" + BARE + b","),
    refused("size-superscript", 400, b"\xb2:" + BARE + b","),
    refused("size-of-9-digits", 431, b"999999999:"),
    refused("size-of-10-digits", 431, b"9999999999"),
    refused("size-of-11-digits", 431, b"99999999999:" + BARE + b","),
    refused("size-of-digits-without-end", 431, b"1" * 5000),
    refused("size-over-limit", 431, b"70000:"),
    refused("size-over-limit-by-one", 431, get(), head=SIZE - 1),
    refused("size-one-less", 400, b"%d:" % (len(BARE) - 1) + BARE + b","),
    refused("size-one-more", 400, b"%d:" % (len(BARE) + 1) + BARE + b",,"),
    refused("comma-missing", 400, netstring(BARE)[:-1] + b"hello"),
    refused("semicolon-for-a-comma", 400, netstring(BARE)[:-1] + b";"),
    refused("nul-for-a-comma", 400, netstring(BARE)[:-1] + b"\0"),
    refused("line-feed-in-front", 400, b"\n" + netstring(BARE)),
    refused("http-on-scgi", 400, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    refused("tls-on-scgi", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    refused("uwsgi-on-scgi", 400, b"\0\x05\0\0hello"),
    refused("fastcgi-on-scgi", 400, b"\x01\x01\x00\x01\x00\x08\x00\x00"),
    refused("refused-by-its-first-byte", 400, b"x"),
    gone("size-cut", b"12"),
    gone("size-alone", b"24:"),
    gone("headers-cut", netstring(BARE)[:12]),
    gone("comma-not-sent", netstring(BARE)[:-1]),
    Case("nothing", b"", (), "kept"),
]

VARIABLES = [
    refused("no-mark", 400, netstring(headers(("CONTENT_LENGTH", "0"), *GET))),
    refused("mark-2", 400, request(*GET, mark="2")),
    refused("mark-empty", 400, request(*GET, mark="")),
    refused("length-not-first", 400, netstring(headers(("SCGI", "1"), ("CONTENT_LENGTH", "0"), *GET))),
    refused("length-missing", 400, netstring(headers(("SCGI", "1"), *GET))),
    refused("length-in-lower-case", 400, netstring(headers(("content_length", "0"), ("SCGI", "1")))),
    refused("name-alone", 400, netstring(BARE + b"HTTP_X\0")),
    refused("name-without-nul", 400, netstring(BARE + b"HTTP_X")),
    refused("value-without-nul", 400, netstring(BARE + b"HTTP_X\0y")),
    refused("one-nul", 400, netstring(b"\0")),
    refused("nuls", 431, netstring(b"\0" * 30000)),
    refused("null-name", 400, get(("", "x"))),
    refused("null-pair", 400, get(("", ""))),
    refused("nul-in-value", 400, get(("HTTP_X", "a\0b"))),
    refused("lf-in-value", 400, get(("HTTP_X", "a\nHTTP_Y: b"))),
    refused("cr-in-value", 400, get(("HTTP_X", "a\rb"))),
    refused("lf-in-request-uri", 400, get(("REQUEST_URI", "/a\nb"))),
    refused("lf-in-name", 400, get(("HTTP_\nX", "a"))),
    refused("variables-over-count", 431, request(*names(127))),
    refused("variables-over-count-equal", 431, request(*[("HTTP_X", "y")] * 127)),
    refused("variables-over-a-count-of-5", 431, get(*names(1)), headers=5),
    closed("duplicate-last-wins", get(("HTTP_X", "1"), ("HTTP_X", "2")), seen({"HTTP_X": "2"})),
    closed("duplicate-equal-host", get(("HTTP_HOST", "a"), ("HTTP_HOST", "a")), seen({"HTTP_HOST": "a"})),
    refused("duplicate-host", 400, get(("HTTP_HOST", "a"), ("HTTP_HOST", "b"))),
    refused("duplicate-content-length", 400, get(("CONTENT_LENGTH", "5"))),
    refused("duplicate-request-method", 400, get(("REQUEST_METHOD", "POST"))),
    refused("duplicate-mark-of-another-value", 400, get(("SCGI", "2"))),
    closed(
        "the-server-s-own-names",
        get(("wsgi.input", "x"), ("uwsgi.version", "x"), ("greenwsgi.x", "x"), ("wsgi", "y")),
        seen({"wsgi": "y"}),
    ),
]

BODIES = [
    closed("body", request(*POST, body=b"hello"), seen({"CONTENT_LENGTH": "5"}, body=b"hello")),
    closed("body-binary", request(*POST, body=bytes(range(256))), seen(body=bytes(range(256)))),
    closed("body-of-100000", request(*POST, body=b"x" * 100000), seen(body=b"x" * 100000)),
    closed("body-longer-than-said", request(*POST, body=b"hello", length="5") + b" world", seen(body=b"hello")),
    closed("body-length-with-0-in-front", request(*POST, body=b"hello", length="005"), seen(body=b"hello")),
    closed("second-request-is-never-served", get() + get(), seen({"PATH_INFO": "/"})),
    closed("second-request-behind-a-body-is-never-served", request(*POST, body=b"hello") + get(), seen(body=b"hello")),
    *(
        refused(f"body-length-{name}", 400, request(*POST, body=b"hello", length=value))
        for name, value in [
            ("empty", ""),
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
    refused("body-length-absurd", 413, request(*POST, length="9" * 30)),
    refused("body-over-limit", 413, request(*POST, body=b"hello world"), body=10),
    closed("body-at-limit", request(*POST, body=b"hello world"), seen(body=b"hello world"), body=11),
    gone("body-short", request(*POST, body=b"ten bytes.", length="1000"), seen(body=None)),
    gone("body-not-sent", request(*POST, length="5"), seen(body=None)),
]

CASES: list[Case] = [*SERVED, *COMMANDS, *NETSTRINGS, *VARIABLES, *BODIES]

NPH: list[Case] = [SERVED[0], *NETSTRINGS[:8], *VARIABLES[:8], *BODIES[:8], *NETSTRINGS[-5:]]
"""The same machine with another first line: a few of each."""
