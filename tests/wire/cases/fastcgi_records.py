"""FastCGI: records, streams, pairs, roles, management, aborts, ids, bodies."""

from __future__ import annotations

import struct
from dataclasses import replace

from tests.wire.cases import Case, Seen, closed, gone, kept, refused, seen

Pair = tuple[str | bytes, str | bytes]

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES, RESULT, UNKNOWN = range(1, 12)


def rec(kind: int, content: bytes = b"", *, id: int = 1, padding: int = 0, version: int = 1) -> bytes:
    """One record; its padding is 0xff."""
    return struct.pack(">BBHHBB", version, kind, id, len(content), padding, 0) + content + b"\xff" * padding


def begin(id: int = 1, role: int = 1, flags: int = 1) -> bytes:
    """BEGIN_REQUEST, which asks for the connection to be kept unless flags say otherwise."""
    return rec(BEGIN, struct.pack(">HB5x", role, flags), id=id)


def length(number: int, wide: bool = False) -> bytes:
    """One byte for up to 127, else four; or four in any case."""
    return struct.pack(">I", number | 1 << 31) if wide or number > 127 else bytes([number])


def pair(name: str | bytes, value: str | bytes, wide: bool = False) -> bytes:
    """A name-value pair."""
    one, other = (text if isinstance(text, bytes) else text.encode("latin-1") for text in (name, value))
    return length(len(one), wide) + length(len(other), wide) + one + other


def pairs(*found: Pair) -> bytes:
    """The content of a PARAMS stream."""
    return b"".join(pair(name, value) for name, value in found)


def params(content: bytes, step: int = 65535, id: int = 1, padding: int = 0) -> bytes:
    """A whole PARAMS stream, in records of at most so many bytes."""
    cut = [content[start : start + step] for start in range(0, len(content), step)]
    return b"".join(rec(PARAMS, piece, id=id, padding=padding) for piece in [*cut, b""])


def stdin(body: bytes = b"", step: int = 65535, id: int = 1, padding: int = 0) -> bytes:
    """A whole STDIN stream."""
    cut = [body[start : start + step] for start in range(0, len(body), step)]
    return b"".join(rec(STDIN, piece, id=id, padding=padding) for piece in [*cut, b""])


GET: list[Pair] = [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/"), ("SERVER_PROTOCOL", "HTTP/1.1")]
POST: list[Pair] = [("REQUEST_METHOD", "POST"), *GET[1:]]
NGINX: list[Pair] = [
    ("QUERY_STRING", "a=1"),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("SCRIPT_NAME", "/x/y"),
    ("REQUEST_URI", "/x%2Fy?a=1"),
    ("DOCUMENT_URI", "/x/y"),
    ("DOCUMENT_ROOT", "/var/www"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "https"),
    ("HTTPS", "on"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/1.29.3"),
    ("REMOTE_ADDR", "192.0.2.7"),
    ("REMOTE_PORT", "52044"),
    ("SERVER_ADDR", "192.0.2.1"),
    ("SERVER_PORT", "443"),
    ("SERVER_NAME", "a.example"),
    ("REDIRECT_STATUS", "200"),
    ("HTTP_HOST", "a.example"),
    ("HTTP_COOKIE", "a=1; b=2"),
]


def get(*more: Pair, id: int = 1, flags: int = 1) -> bytes:
    """A GET with more variables."""
    return begin(id, flags=flags) + params(pairs(*GET, *more), id=id) + stdin(id=id)


def post(body: bytes, *, said: str | None = None, step: int = 65535, padding: int = 0, flags: int = 1) -> bytes:
    """A POST whose CONTENT_LENGTH is the body's length, or what is said."""
    more: Pair = ("CONTENT_LENGTH", str(len(body)) if said is None else said)
    return begin(flags=flags) + params(pairs(*POST, more)) + stdin(body, step, padding=padding)


def raw(content: bytes) -> bytes:
    """A request whose PARAMS stream is these bytes."""
    return begin() + params(content) + stdin()


def names(count: int) -> list[Pair]:
    """That many variables more."""
    return [(f"HTTP_X_{number}", "y") for number in range(count)]


def end_record(id: int, status: int, protocol_status: int) -> bytes:
    """END_REQUEST as we send it."""
    return rec(END, struct.pack(">IB3x", status, protocol_status), id=id)


def unknown(kind: int) -> bytes:
    """UNKNOWN_TYPE as we send it."""
    return rec(UNKNOWN, bytes([kind]) + bytes(7), id=0)


def streams(answer: bytes, id: int = 1) -> dict[int, bytes]:
    """The contents of an answer's records by their type; all are of that request."""
    found: dict[int, bytes] = {}
    while answer:
        version, kind, number, size, padding, _ = struct.unpack(">BBHHBB", answer[:8])
        assert (version, number) == (1, id)
        found[kind] = found.get(kind, b"") + answer[8 : 8 + size]
        assert len(answer) >= 8 + size + padding
        answer = answer[8 + size + padding :]
    return found


ABORTED = rec(STDOUT) + end_record(1, 1, 0)


def replied(case: Case, *replies: bytes) -> Case:
    """The same case, in which we answer so by ourselves."""
    return replace(case, replies=b"".join(replies))


def mute(id: str, data: bytes, *requests: Seen, status: int = 400, **limits: int) -> Case:
    """Closed without a word: there is no request to which anything could be said."""
    return replace(refused(id, status, data, *requests, **limits), answered=False)


SERVED = [
    kept("get", get(), seen({"REQUEST_METHOD": "GET", "PATH_INFO": "/"})),
    closed("get-without-keep", get(flags=0), seen({"REQUEST_METHOD": "GET", "PATH_INFO": "/"})),
    kept("flags-beyond-keep", get(flags=0xFF)),
    closed("flags-without-keep", get(flags=0xFE)),
    kept("nginx", begin() + params(pairs(*NGINX), padding=3) + stdin(), seen({"PATH_INFO": "/x/y", "SCRIPT_NAME": ""})),
    kept("id-65535", get(id=65535)),
    kept("id-256", get(id=256)),
    kept("two", get(("A", "1")) + get(("A", "2")), seen({"A": "1"}), seen({"A": "2"})),
    kept(
        "two-ids-one-after-the-other",
        get(("A", "1"), id=7) + get(("A", "2"), id=9),
        seen({"A": "1"}),
        seen({"A": "2"}),
    ),
    closed("two-but-the-first-closes", get(("A", "1"), flags=0) + get(("A", "2")), seen({"A": "1"})),
    kept("three-alike", get() * 3, seen(), seen(), seen()),
    kept("params-in-two-records", begin() + params(pairs(*GET), 20) + stdin(), seen({"PATH_INFO": "/"})),
    kept("params-byte-by-byte", begin() + params(pairs(*GET), 1) + stdin(), seen({"PATH_INFO": "/"})),
    kept("params-in-padded-records", begin() + params(pairs(*GET), 9, padding=7) + stdin(), seen({"PATH_INFO": "/"})),
    kept("padding-255", begin() + params(pairs(*GET), padding=255) + stdin(padding=255), seen({"PATH_INFO": "/"})),
    kept("begin-padded", rec(BEGIN, b"\0\1\1\0\0\0\0\0", padding=200) + params(pairs(*GET)) + stdin()),
    kept("begin-reserved-bytes-set", rec(BEGIN, b"\0\1\1\xff\xff\xff\xff\xff") + params(pairs(*GET)) + stdin()),
    kept("reserved-byte-set", get()[:7] + b"\xff" + get()[8:]),
    kept("empty-value", get(("HTTP_X", "")), seen({"HTTP_X": ""})),
    kept("value-of-127", get(("HTTP_X", "a" * 127)), seen({"HTTP_X": "a" * 127})),
    kept("value-of-128", get(("HTTP_X", "a" * 128)), seen({"HTTP_X": "a" * 128})),
    kept("value-of-300", get(("HTTP_X", "a" * 300)), seen({"HTTP_X": "a" * 300})),
    kept("value-of-60000", get(("HTTP_X", "a" * 60000)), seen({"HTTP_X": "a" * 60000})),
    kept("value-over-two-records", get(("HTTP_X", "a" * 90000)), seen({"HTTP_X": "a" * 90000}), head=200000),
    kept("name-of-127", get(("X" * 127, "a")), seen({"X" * 127: "a"})),
    kept("name-of-128", get(("X" * 128, "a")), seen({"X" * 128: "a"})),
    kept("name-and-value-of-200", get(("X" * 200, "a" * 200)), seen({"X" * 200: "a" * 200})),
    kept(
        "short-lengths-in-four-bytes",
        raw(pairs(*GET) + pair("HTTP_X", "wide", wide=True)),
        seen({"HTTP_X": "wide", "PATH_INFO": "/"}),
    ),
    kept("value-latin-1", get(("HTTP_X", b"\xe9\xff")), seen({"HTTP_X": "\xe9\xff"})),
    kept("path-not-decoded-again", get(("PATH_INFO", "/a%2fb/../c")), seen({"PATH_INFO": "/a%2fb/../c"})),
    kept("path-with-line-feed", get(("PATH_INFO", "/a\nb\r")), seen({"PATH_INFO": "/a\nb\r"})),
    kept("any-name", get(("my.own-name", "1"), ("geoip country", "NL")), seen({"my.own-name": "1"})),
    kept("variables-at-count", raw(pairs(*names(128))), seen({"HTTP_X_127": "y"})),
    kept("data-first-byte-alone", get()[:1] + get()[1:]),
    *(
        kept(
            f"command-{name.lower()}",
            get((f"UWSGI_{name}", "x"), ("A", "y")),
            seen({"A": "y"}, absent=[f"UWSGI_{name}"]),
        )
        for name in ("FILE", "SCRIPT", "MODULE", "PYHOME", "SETENV", "CHDIR")
    ),
    kept(
        "the-server-s-own-names",
        get(("wsgi.input", "x"), ("uwsgi.version", "x"), ("greenwsgi.x", "x"), ("wsgi", "y")),
        seen({"wsgi": "y"}, absent=()),
    ),
]

PATHS = [
    kept(
        "no-path-info-nor-anything",
        raw(pairs(("REQUEST_METHOD", "GET"))),
        seen({"PATH_INFO": "", "SCRIPT_NAME": ""}),
    ),
    kept(
        "path-info-missing-is-empty",
        raw(pairs(("SCRIPT_NAME", "/a/b"))),
        seen({"PATH_INFO": "", "SCRIPT_NAME": "/a/b"}),
    ),
    kept(
        "path-from-document-uri",
        raw(pairs(("DOCUMENT_URI", "/app/b"), ("SCRIPT_NAME", "/app"))),
        seen({"PATH_INFO": "/b", "SCRIPT_NAME": "/app"}),
    ),
    kept(
        "path-info-wins",
        raw(pairs(("DOCUMENT_URI", "/x"), ("SCRIPT_NAME", "/x"), ("PATH_INFO", ""))),
        seen({"PATH_INFO": "", "SCRIPT_NAME": "/x"}),
    ),
]

RECORDS = [
    mute("http-on-fastcgi", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    mute("tls-on-fastcgi", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    mute("uwsgi-on-fastcgi", b"\0\x05\0\0hello"),
    mute("scgi-on-fastcgi", b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,"),
    mute("version-0", rec(BEGIN, bytes(8), version=0)),
    mute("version-2", rec(BEGIN, bytes(8), version=2)),
    mute("version-refused-by-its-first-byte", b"\x02"),
    refused("version-2-in-a-request", 400, begin() + rec(PARAMS, pairs(*GET), version=2)),
    refused("version-0-behind-params", 400, begin() + params(pairs(*GET)) + b"\0"),
    mute("version-2-behind-a-request", get() + b"\2", seen()),
    mute("begin-of-7-bytes", rec(BEGIN, b"\0\1\1\0\0\0\0")),
    mute("begin-of-9-bytes", rec(BEGIN, b"\0\1\1\0\0\0\0\0\0")),
    mute("begin-of-0-bytes", rec(BEGIN)),
    mute("begin-with-id-0", begin(id=0)),
    mute("params-with-id-0", rec(PARAMS, b"x", id=0)),
    mute("stdin-with-id-0", rec(STDIN, b"", id=0)),
    mute("abort-with-id-0", rec(ABORT, id=0)),
    refused("abort-with-id-0-in-a-request", 400, begin() + rec(ABORT, id=0)),
    refused("begin-twice", 400, begin() + begin()),
    refused("begin-twice-behind-params", 400, begin() + rec(PARAMS, pairs(*GET)) + begin()),
    refused("stdin-before-params", 400, begin() + rec(STDIN, b"hello")),
    refused("stdin-within-params", 400, begin() + rec(PARAMS, pairs(*GET)) + rec(STDIN, b"hello")),
    refused("stdin-end-within-params", 400, begin() + rec(PARAMS, pairs(*GET)) + rec(STDIN)),
    refused("params-behind-their-end", 400, begin() + params(pairs(*GET)) + rec(PARAMS, pairs(*GET))),
    refused("params-ended-twice", 400, begin() + params(pairs(*GET)) + rec(PARAMS)),
    refused("no-params", 400, begin() + rec(PARAMS)),
    refused("data", 400, begin() + rec(DATA, b"x")),
    refused("data-behind-params", 400, begin() + params(pairs(*GET)) + rec(DATA, b"x")),
    *(
        refused(f"type-{kind}-from-a-gateway", 400, begin() + rec(kind, b"x"))
        for kind in (END, STDOUT, STDERR, GET_VALUES, RESULT, UNKNOWN)
    ),
    *(mute(f"type-{kind}-with-id-0", rec(kind, b"x", id=0)) for kind in (END, STDOUT, STDERR, DATA, RESULT, UNKNOWN)),
    gone("header-of-1", b"\1"),
    gone("header-of-7", begin()[:7]),
    gone("begin-without-content", begin()[:8]),
    gone("begin-cut", begin()[:15]),
    gone("begin-alone", begin()),
    gone("params-cut", begin() + params(pairs(*GET))[:20]),
    gone("params-without-end", begin() + rec(PARAMS, pairs(*GET))),
    gone("params-end-cut", begin() + params(pairs(*GET))[:-1]),
    gone("stdin-not-sent", begin() + params(pairs(*GET))),
    gone("stdin-cut", get()[:-1]),
    Case("nothing", b"", (), "kept"),
]

PAIRS = [
    refused("null-name", 400, raw(pair("", "x"))),
    refused("null-pair", 400, raw(b"\0\0")),
    refused("null-pairs-10000", 400, raw(b"\0\0" * 10000)),
    refused("null-name-among-good-ones", 400, get(("", "x"))),
    refused("one-byte", 400, raw(b"\5")),
    refused("name-length-cut", 400, raw(pairs(*GET) + b"\x80\0\0")),
    refused("value-length-missing", 400, raw(pairs(*GET) + b"\5")),
    refused("value-length-cut", 400, raw(pairs(*GET) + b"\1\x80\0\0")),
    refused("name-cut", 400, raw(pairs(*GET) + b"\7\0HTTP_X")),
    refused("value-cut", 400, raw(pairs(*GET) + b"\6\5HTTP_Xshor")),
    refused("value-missing", 400, raw(pairs(*GET) + b"\6\1HTTP_X")),
    refused("name-of-2-gigabytes", 400, raw(b"\xff\xff\xff\xff\0HTTP_X")),
    refused("value-of-2-gigabytes", 400, raw(b"\6\xff\xff\xff\xffHTTP_X")),
    refused("lengths-alone", 400, raw(pairs(*GET) + b"\6\1")),
    refused("nul-in-value", 400, get(("HTTP_X", "a\0b"))),
    refused("nul-in-path", 400, get(("PATH_INFO", "/a\0b"))),
    refused("lf-in-value", 400, get(("HTTP_X", "a\nHTTP_Y: b"))),
    refused("cr-in-value", 400, get(("HTTP_X", "a\rb"))),
    refused("lf-in-name", 400, get(("HTTP_\nX", "a"))),
    kept("duplicate-last-wins", get(("HTTP_X", "1"), ("HTTP_X", "2")), seen({"HTTP_X": "2"})),
    refused("duplicate-host", 400, get(("HTTP_HOST", "a"), ("HTTP_HOST", "b"))),
    refused("duplicate-content-length", 400, get(("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "6"))),
    refused("duplicate-request-method", 400, get(("REQUEST_METHOD", "POST"))),
    refused("variables-over-count", 431, raw(pairs(*names(129)))),
    refused("variables-over-a-count-of-5", 431, get(*names(3)), headers=5),
    refused("head-over-limit", 431, get(("HTTP_X", "a" * 4000)), head=4000),
    refused("head-over-limit-by-its-header", 431, begin() + b"\1\4\0\1\xff\xff\0\0", head=4000),
    refused("head-over-limit-in-tiny-records", 431, begin() + rec(PARAMS, b"x") * 500, head=4000),
    refused("head-over-limit-by-padding", 431, begin() + rec(PARAMS, b"x", padding=255) * 16, head=4000),
    kept("head-at-limit", get(), head=len(get()) - 8),
    refused("head-over-limit-by-one", 431, get(), head=len(get()) - 9),
    refused("params-never-ended", 431, begin() + rec(PARAMS, pair("HTTP_X", "a" * 30000)) * 4),
]

ROLES = [
    *(
        replied(
            Case(f"role-{role}", begin(role=role, flags=0) + params(pairs(*GET)) + stdin(), (), "closed"),
            end_record(1, 1, 3),
        )
        for role in (0, 2, 3, 4, 65535)
    ),
    replied(
        kept("authorizer-then-a-responder", begin(5, 2) + params(pairs(*GET), id=5) + stdin(id=5) + get()),
        end_record(5, 1, 3),
    ),
    replied(
        kept("a-role-that-we-do-not-play-then-the-same-id", begin(1, 3) + params(b"\0\0") + get()), end_record(1, 1, 3)
    ),
]

MANAGEMENT = [
    replied(
        Case(
            "get-values",
            rec(GET_VALUES, pairs(("FCGI_MAX_CONNS", ""), ("FCGI_MAX_REQS", ""), ("FCGI_MPXS_CONNS", "")), id=0),
        ),
        rec(RESULT, pairs(("FCGI_MAX_CONNS", "1"), ("FCGI_MAX_REQS", "1"), ("FCGI_MPXS_CONNS", "0")), id=0),
    ),
    replied(
        Case(
            "get-values-of-one",
            rec(GET_VALUES, pairs(("FCGI_MAX_REQS", "")), id=0, padding=5),
            limits={"requests": 500},
        ),
        rec(RESULT, pairs(("FCGI_MAX_REQS", "500")), id=0),
    ),
    replied(
        Case("get-values-that-we-do-not-know", rec(GET_VALUES, pairs(("X", ""), ("FCGI_X", "y")), id=0)),
        rec(RESULT, id=0),
    ),
    replied(Case("get-values-of-nothing", rec(GET_VALUES, id=0)), rec(RESULT, id=0)),
    replied(
        Case("get-values-twice-the-same", rec(GET_VALUES, pairs(("FCGI_MPXS_CONNS", "")) * 2, id=0)),
        rec(RESULT, pairs(("FCGI_MPXS_CONNS", "0")), id=0),
    ),
    replied(kept("get-values-then-a-request", rec(GET_VALUES, id=0) + get()), rec(RESULT, id=0)),
    replied(
        kept(
            "get-values-within-params",
            begin() + rec(PARAMS, pairs(*GET)) + rec(GET_VALUES, id=0) + rec(PARAMS) + stdin(),
        ),
        rec(RESULT, id=0),
    ),
    replied(
        kept(
            "get-values-within-a-body",
            post(b"", said="10")[:-8] + rec(STDIN, b"hello") + rec(GET_VALUES, id=0) + stdin(b"world"),
            seen(body=b"helloworld"),
        ),
        rec(RESULT, id=0),
    ),
    replied(kept("get-values-behind-a-request", get() + rec(GET_VALUES, id=0)), rec(RESULT, id=0)),
    mute("get-values-broken", rec(GET_VALUES, b"\5", id=0)),
    mute("get-values-over-limit", rec(GET_VALUES, bytes(300), id=0), status=431, head=200),
    gone("get-values-cut", rec(GET_VALUES, pairs(("FCGI_MAX_REQS", "")), id=0)[:-1]),
    replied(Case("unknown-type-12", rec(12, b"hello", id=0)), unknown(12)),
    replied(Case("unknown-type-255", rec(255, b"x" * 5000, id=0, padding=9)), unknown(255)),
    replied(Case("unknown-type-0", rec(0, id=0)), unknown(0)),
    replied(Case("unknown-type-with-an-id", rec(99, b"x", id=3)), unknown(99)),
    replied(kept("unknown-type-then-a-request", rec(77, b"x", id=0) + get()), unknown(77)),
    replied(
        kept("unknown-types-within-params", begin() + rec(13) + rec(14) + params(pairs(*GET)) + stdin()),
        unknown(13),
        unknown(14),
    ),
]

ABORTS = [
    replied(Case("abort-behind-begin", begin() + rec(ABORT)), ABORTED),
    replied(Case("abort-behind-begin-without-keep", begin(flags=0) + rec(ABORT), (), "closed"), ABORTED),
    replied(kept("abort-within-params-then-another", begin() + rec(PARAMS, pairs(*GET)) + rec(ABORT) + get()), ABORTED),
    replied(Case("abort-before-stdin", begin() + params(pairs(*GET)) + rec(ABORT)), ABORTED),
    gone("abort-within-a-body", post(b"", said="10")[:-8] + rec(STDIN, b"hello") + rec(ABORT), seen(body=None)),
    gone("abort-of-a-body-not-begun", post(b"", said="10")[:-8] + rec(ABORT), seen(body=None)),
    kept("abort-behind-the-request", get() + rec(ABORT)),
    kept("abort-of-another", begin() + rec(ABORT, id=2) + params(pairs(*GET)) + stdin()),
    kept("abort-of-nothing", rec(ABORT) + get()),
    replied(kept("abort-padded", begin() + rec(ABORT, padding=8) + get()), ABORTED),
    kept("abort-behind-the-request-then-another", get() + rec(ABORT) + get(id=2), seen(), seen()),
]

IDS = [
    replied(
        kept(
            "second-within-params", begin() + rec(PARAMS, pairs(*GET)) + get(("A", "2"), id=2) + rec(PARAMS) + stdin()
        ),
        end_record(2, 1, 1),
    ),
    replied(
        kept(
            "second-within-a-body",
            post(b"", said="10")[:-8] + rec(STDIN, b"hello") + get(id=2) + stdin(b"world"),
            seen(body=b"helloworld"),
        ),
        end_record(2, 1, 1),
    ),
    replied(
        kept("third-and-second", begin() + begin(3) + begin(2) + params(pairs(*GET)) + stdin()),
        end_record(3, 1, 1),
        end_record(2, 1, 1),
    ),
    replied(
        kept("second-of-another-role", begin() + begin(2, role=2) + params(pairs(*GET)) + stdin()), end_record(2, 1, 1)
    ),
    refused("second-begin-of-0-bytes", 400, begin() + rec(BEGIN, id=2)),
    kept("params-of-nobody", params(pairs(*GET), id=9) + get()),
    kept("stdin-of-nobody", stdin(b"x" * 3000, id=9) + get()),
    kept(
        "stdin-of-nobody-within-params", begin() + stdin(b"x" * 3000, id=9, padding=7) + params(pairs(*GET)) + stdin()
    ),
    kept("data-of-nobody", rec(DATA, b"x", id=9) + get()),
    kept("stdin-behind-the-request", get() + rec(STDIN, b"late") + get(), seen(), seen()),
    Case("records-of-nobody-only", params(pairs(*GET), id=9) + stdin(id=9), (), "kept"),
    kept(
        "a-record-of-nobody-between-the-pieces-of-a-body",
        post(b"", said="10")[:-8] + rec(STDIN, b"hello") + stdin(b"foreign", id=2) + stdin(b"world"),
        seen(body=b"helloworld"),
    ),
]

IN_PLACE_OF_STDIN = [("version-2", b"\2"), ("begin-again", begin()), ("params", rec(PARAMS)), ("data", rec(DATA))]

BODIES = [
    kept("body", post(b"hello"), seen({"CONTENT_LENGTH": "5"}, body=b"hello")),
    closed("body-without-keep", post(b"hello", flags=0), seen(body=b"hello")),
    kept("body-in-records-of-1", post(b"hello", step=1), seen(body=b"hello")),
    kept("body-in-padded-records", post(b"hello world", step=4, padding=4), seen(body=b"hello world")),
    kept("body-binary", post(bytes(range(256))), seen(body=bytes(range(256)))),
    kept("body-that-looks-like-records", post(get() * 3), seen(body=get() * 3)),
    kept("body-of-200000", post(b"x" * 200000), seen(body=b"x" * 200000)),
    kept("body-0", post(b""), seen({"CONTENT_LENGTH": "0"})),
    kept("body-then-another", post(b"hello") + get(), seen(body=b"hello"), seen()),
    kept("body-without-length", begin() + params(pairs(*POST)) + stdin(b"hello"), seen(body=b"hello")),
    kept("body-with-an-empty-length", post(b"hello world", said="", step=3), seen(body=b"hello world")),
    kept("no-body-with-an-empty-length", post(b"", said="")),
    refused("body-longer-than-said", 400, post(b"hello world", said="5"), seen(body=None)),
    mute("body-longer-than-said-by-a-record", post(b"hello!", said="5", step=5), seen(body=b"hello")),
    refused("body-shorter-than-said", 400, post(b"hell", said="5"), seen(body=None)),
    refused("body-said-and-none", 400, post(b"", said="5"), seen(body=None)),
    refused("body-where-0-was-said", 400, post(b"hello", said="0")),
    *(
        refused(f"body-length-{name}", 400, post(b"hello", said=value))
        for name, value in [
            ("minus", "-1"),
            ("plus", "+5"),
            ("exponent", "1e9"),
            ("space", " 5"),
            ("hex", "0x5"),
            ("superscript", "\xb2"),
            ("list", "5, 5"),
        ]
    ),
    refused("body-length-absurd", 413, post(b"", said="9" * 30)),
    refused("body-over-limit", 413, post(b"hello world"), body=10),
    kept("body-at-limit", post(b"hello world"), seen(body=b"hello world"), body=11),
    refused("body-without-length-over-limit", 413, post(b"hello world", said="", step=4), seen(body=None), body=10),
    kept("body-without-length-at-limit", post(b"hello world", said=""), seen(body=b"hello world"), body=11),
    gone("body-cut", post(b"hello")[:-10], seen(body=None)),
    gone("body-without-length-end-not-sent", post(b"hello", said="")[:-8], seen(body=None)),
    gone("body-not-sent", post(b"hello")[:-21], seen(body=None)),
    *(
        refused(f"{name}-within-a-body", 400, post(b"hello", said="")[:-8] + data, seen(body=None))
        for name, data in IN_PLACE_OF_STDIN
    ),
    *(
        mute(f"{name}-in-place-of-the-end-of-a-body", post(b"hello")[:-8] + data, seen(body=b"hello"))
        for name, data in IN_PLACE_OF_STDIN
    ),
    kept(
        "end-of-a-body-behind-another-begin",
        post(b"hello")[:-8] + begin(2) + rec(STDIN) + get(id=2)[16:],
        seen(body=b"hello"),
        seen(),
    ),
    kept("abort-in-place-of-the-end-of-a-body", post(b"hello")[:-8] + rec(ABORT) + get(), seen(body=b"hello"), seen()),
]

CASES: list[Case] = [*SERVED, *PATHS, *RECORDS, *PAIRS, *ROLES, *MANAGEMENT, *ABORTS, *IDS, *BODIES]

NPH: list[Case] = [*SERVED[:8], *RECORDS[:12], *ROLES[:2], *MANAGEMENT[:4], *ABORTS[:4], *BODIES[:4], RECORDS[-1]]
"""The same machine with another first line: a few of each."""
