"""HTTP: where a body ends (RFC 9112 6 and 7), expectations, limits of a body."""

from __future__ import annotations

from tests.wire.cases import Case, closed, gone, kept, refused, seen

POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST with header lines and a body."""
    return POST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def hello(**more: str) -> object:
    """The request whose body is `hello`."""
    return seen(dict(more), body=b"hello")


LENGTHS = [
    kept("length-5", post(b"Content-Length: 5", body=b"hello"), seen({"CONTENT_LENGTH": "5"}, body=b"hello")),
    kept("length-0", post(b"Content-Length: 0"), seen({"CONTENT_LENGTH": "0"})),
    kept("length-leading-zeros", post(b"Content-Length: 0005", body=b"hello"), seen(body=b"hello")),
    kept("length-none", post(), seen(absent=("CONTENT_LENGTH",))),
    kept("length-on-get", b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", seen(body=b"hello")),
    kept("length-on-delete", b"DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", seen(body=b"hello")),
    closed("length-1.0", b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", seen(body=b"hello")),
    kept("length-body-like-a-request", post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), seen(body=SMUGGLED)),
    kept(
        "length-then-next",
        post(b"Content-Length: 5", body=b"hello") + SMUGGLED,
        seen(body=b"hello"),
        seen({"PATH_INFO": "/smuggled"}),
    ),
    kept("length-body-of-crlf", post(b"Content-Length: 4", body=b"\r\n\r\n"), seen(body=b"\r\n\r\n")),
    refused(
        "length-lf-behind-a-body-that-ends-in-cr",
        400,
        post(b"Content-Length: 6", body=b"hello\r") + b"\n\r\n",
        seen(body=b"hello\r"),
    ),
    kept("length-tabs-around", post(b"Content-Length:\t5\t", body=b"hello"), seen(body=b"hello")),
    kept("length-every-byte", post(b"Content-Length: 256", body=bytes(range(256))), seen(body=bytes(range(256)))),
    kept(
        "length-upgrade",
        post(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABk",
            b"Content-Length: 5",
            body=b"hello",
        ),
        seen({"HTTP_UPGRADE": "h2c"}, body=b"hello"),
    ),
    closed(
        "length-connection-close",
        post(b"Content-Length: 5", b"Connection: close", body=b"hello" + SMUGGLED),
        seen(body=b"hello"),
    ),
    *(
        refused(f"length-{name}", 400, post(b"Content-Length: " + value, body=b"hello" + SMUGGLED))
        for name, value in [
            ("plus", b"+5"),
            ("minus", b"-5"),
            ("minus-zero", b"-0"),
            ("underscore", b"1_0"),
            ("hex", b"0x5"),
            ("exponent", b"1e3"),
            ("fraction", b"5.0"),
            ("words", b"five"),
            ("space-inside", b"5 5"),
            ("list", b"5, 5"),
            ("list-tight", b"5,5"),
            ("list-differing", b"5, 6"),
            ("list-empty", b"5,"),
            ("quoted", b'"5"'),
            ("superscript", b"\xb2"),
            ("nbsp", b"\xa05"),
            ("semicolon", b"5;"),
            ("vertical-tab", b"\x0b5"),
        ]
    ),
    refused("length-empty", 400, post(b"Content-Length:", body=b"hello")),
    refused("length-space-before-colon", 400, post(b"Content-Length : 5", body=b"hello")),
    refused("length-twice", 400, post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
    refused("length-twice-differing", 400, post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello" + SMUGGLED)),
    refused(
        "length-100-then-0", 400, post(b"Content-Length: 100", b"X: x", b"Content-Length: 0", body=SMUGGLED)
    ),  # CVE-2019-16785
    refused("length-1-then-5", 400, post(b"Content-Length: 1", b"content-length: 5", body=b"hello")),
    refused("length-absurd", 413, post(b"Content-Length: 99999999999999999999", body=b"hello")),
    refused("length-absurd-zeros", 413, post(b"Content-Length: " + b"0" * 30 + b"5", body=b"hello")),
    refused("length-over-limit", 413, post(b"Content-Length: 11", body=b"hello world"), body=10),
    kept("length-at-limit", post(b"Content-Length: 11", body=b"hello world"), seen(body=b"hello world"), body=11),
    refused("length-over-limit-not-sent", 413, post(b"Content-Length: 5000000000"), body=10),
    gone("length-short", post(b"Content-Length: 1000", body=b"ten bytes."), seen(body=None)),  # gevent#92
    gone("length-nothing-sent", post(b"Content-Length: 5"), seen(body=None)),
]

CODINGS = [
    kept(
        "chunked",
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
        seen({"HTTP_TRANSFER_ENCODING": "chunked"}, body=b"hello", absent=("CONTENT_LENGTH",)),
    ),
    kept("chunked-case", post(b"Transfer-Encoding: ChUnKeD", body=b"5\r\nhello\r\n0\r\n\r\n"), seen(body=b"hello")),
    kept("chunked-no-space", post(b"Transfer-Encoding:chunked", body=b"5\r\nhello\r\n0\r\n\r\n"), seen(body=b"hello")),
    kept(
        "chunked-get",
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        seen(body=b"hello"),
    ),
    kept("chunked-then-next", CHUNKED + b"0\r\n\r\n" + SMUGGLED, seen(), seen({"PATH_INFO": "/smuggled"})),
    kept(
        "chunked-upgrade",
        post(b"Transfer-Encoding: chunked", b"Connection: Upgrade", b"Upgrade: h2c", body=b"1\r\nx\r\n0\r\n\r\n"),
        seen(body=b"x"),
    ),
    refused("cl-te", 400, post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED)),
    refused("te-cl", 400, post(b"Transfer-Encoding: chunked", b"Content-Length: 6", body=b"0\r\n\r\n" + SMUGGLED)),
    refused("cl-0-te", 400, post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    refused("te-1.0", 400, b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    refused(
        "te-1.0-keep-alive",
        400,
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    *(
        refused(f"te-{name}", status, post(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n" + SMUGGLED))
        for name, status, value in [
            ("identity", 400, b"identity"),
            ("chunked-identity", 400, b"chunked, identity"),
            ("chunked-gzip", 400, b"chunked, gzip"),
            ("chunked-gzip-tight", 400, b"chunked,gzip"),
            ("gzip-chunked", 501, b"gzip, chunked"),
            ("gzip", 400, b"gzip"),
            ("chunked-twice-in-one", 400, b"chunked, chunked"),
            ("xchunked", 400, b"xchunked"),
            ("chunkedx", 400, b"chunkedx"),
            ("chunked-parameter", 400, b"chunked;q=1"),
            ("quoted", 400, b'"chunked"'),
            ("comma-first", 400, b", chunked"),
            ("comma-last", 400, b"chunked,"),
            ("vertical-tab", 400, b"\x0bchunked"),
            ("form-feed", 400, b"\x0cchunked"),
            ("nbsp", 400, b"\xa0chunked"),
            ("space-inside", 400, b"chunk ed"),
            ("bracket", 400, b"[chunked]"),
            ("nul", 400, b"chunked\0"),
        ]
    ),
    refused("te-empty", 400, post(b"Transfer-Encoding:", body=b"0\r\n\r\n")),
    refused("te-twice", 400, post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    refused(
        "te-twice-identity-last",
        400,
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    ),
    refused(
        "te-twice-chunked-last",
        400,
        post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    ),
    refused("te-space-before-colon", 400, post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n")),
    refused("te-folded", 400, post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n")),
    refused(
        "te-identity-cl", 400, post(b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"hello" + SMUGGLED)
    ),
    refused("te-unknown-cl", 400, post(b"Transfer-Encoding: xchunked", b"Content-Length: 5", body=b"hello" + SMUGGLED)),
    refused(
        "te-gzip-chunked-cl", 400, post(b"Transfer-Encoding: gzip, chunked", b"Content-Length: 5", body=b"0\r\n\r\n")
    ),
    refused("te-bare-lf-hidden", 400, post(b"X: a\nTransfer-Encoding: chunked", body=b"0\r\n\r\n")),
    kept("te-header-is-not-transfer-encoding", post(b"TE: trailers"), seen({"HTTP_TE": "trailers"})),
]

CHUNKS = [
    kept("chunks-two", CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", seen(body=b"hello world")),
    kept("chunks-many-tiny", CHUNKED + b"1\r\nx\r\n" * 50 + b"0\r\n\r\n", seen(body=b"x" * 50)),
    kept(
        "chunk-size-hex",
        CHUNKED + b"1A\r\n" + b"a" * 26 + b"\r\n1a\r\n" + b"b" * 26 + b"\r\n0\r\n\r\n",
        seen(body=b"a" * 26 + b"b" * 26),
    ),
    kept("chunk-size-leading-zeros", CHUNKED + b"0000000000000005\r\nhello\r\n000\r\n\r\n", seen(body=b"hello")),
    kept("chunk-data-of-crlf", CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", seen(body=b"\r\n\r\n")),
    kept("chunk-data-like-a-chunk", CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", seen(body=b"0\r\n\r\n")),
    *(
        kept(f"extension-{name}", CHUNKED + b"5" + value + b"\r\nhello\r\n0\r\n\r\n", seen(body=b"hello"))
        for name, value in [
            ("name", b";a"),
            ("token", b";a=b"),
            ("quoted", b';a="b c;\\"\xe9"'),
            ("two", b";a=b;c"),
            ("blanks", b" \t; a = b ; c"),
            ("empty-quoted", b';a=""'),
        ]
    ),
    kept("extension-on-the-last", CHUNKED + b"0;a=b\r\n\r\n"),
    *(
        refused(f"chunk-size-{name}", 400, CHUNKED + value + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED, seen(body=None))
        for name, value in [
            ("0x", b"0x5"),
            ("plus", b"+5"),
            ("minus", b"-5"),
            ("underscore", b"0_5"),
            ("empty", b""),
            ("word", b"five"),
            ("g", b"5g"),
            ("space-before", b" 5"),
            ("space-after", b"5 "),
            ("tab-after", b"5\t"),
            ("17-digits", b"00000000000000005"),
            ("semicolon-only", b";a=b"),
            ("nul", b"5\0"),
            ("latin-1", b"\xb2"),
            ("h", b"5h"),
            ("decimal-point", b"5.0"),
        ]
    ),
    refused("chunk-size-huge", 413, CHUNKED + b"ffffffffffffffff\r\nhello", seen(body=None), body=1000),
    gone("chunk-size-huge-without-a-limit", CHUNKED + b"ffffffffffffffff\r\nhello", seen(body=None)),
    *(
        refused(f"extension-{name}", 400, CHUNKED + b"5" + value + b"\r\nhello\r\n0\r\n\r\n", seen(body=None))
        for name, value in [
            ("empty", b";"),
            ("no-name", b";=b"),
            ("no-value", b";a="),
            ("open-quote", b';a="b'),
            ("control", b";a=\x01"),
            ("nul", b";a=b\0"),
            ("bare-lf", b";a=b\nX: y"),
            ("bare-cr", b";a=b\rX: y"),
            ("latin-1-token", b";\xe9"),
            ("space-only", b"; "),
            ("comma", b",a=b"),
            ("quote-tail", b';a="b"c'),
            ("quoted-control", b';a="\x01"'),
            ("quoted-lf", b';a="\n"'),
        ]
    ),
    refused("chunk-lines-bare-lf", 400, CHUNKED + b"5\nhello\n0\n\n" + SMUGGLED, seen(body=None)),
    refused("chunk-size-cr-cr-lf", 400, CHUNKED + b"5\r\r\nhello\r\n0\r\n\r\n", seen(body=None)),
    refused("chunk-data-too-long", 400, CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n" + SMUGGLED, seen(body=None)),
    refused(
        "chunk-data-then-xx", 400, CHUNKED + b"5\r\nhelloXX0\r\n\r\n" + SMUGGLED, seen(body=None)
    ),  # CVE-2025-43859
    refused("chunk-data-then-lf", 400, CHUNKED + b"5\r\nhello\n0\r\n\r\n", seen(body=None)),
    refused("chunk-data-then-cr-x", 400, CHUNKED + b"5\r\nhello\rX0\r\n\r\n", seen(body=None)),
    refused("chunk-data-too-short", 400, CHUNKED + b"6\r\nhello\r\n0\r\n\r\n", seen(body=None)),
    refused("chunk-line-endless", 400, CHUNKED + b"5;" + b"a" * 70000, seen(body=None)),
    refused("chunk-digits-endless", 400, CHUNKED + b"0" * 70000, seen(body=None)),
    kept(
        "chunk-line-at-limit",
        CHUNKED + b"5;" + b"a" * 18 + b"\r\nhello\r\n0\r\n\r\n",
        seen(body=b"hello"),
        chunk_line=20,
    ),
    refused(
        "chunk-line-over-limit",
        400,
        CHUNKED + b"5;" + b"a" * 19 + b"\r\nhello\r\n0\r\n\r\n",
        seen(body=None),
        chunk_line=20,
    ),
    kept(
        "chunk-lines-longer-than-their-chunks",
        CHUNKED + (b"5;" + b"a" * 4000 + b"\r\nhello\r\n") * 4 + b"0\r\n\r\n",
        seen(body=b"hello" * 4),
    ),
    refused(
        "chunk-lines-longer-than-their-chunks-and-too-many",
        400,
        CHUNKED + (b"5;" + b"a" * 4000 + b"\r\nhello\r\n") * 5 + b"0\r\n\r\n",
        seen(body=None),
    ),
    refused("chunk-lines-in-the-way", 400, CHUNKED + (b"1;" + b"a" * 35 + b"\r\nx\r\n") * 1000, seen(body=None)),
    kept(
        "chunk-lines-of-a-size-that-pays",
        CHUNKED + (b"800;" + b"a" * 4000 + b"\r\n" + b"x" * 2048 + b"\r\n") * 8 + b"0\r\n\r\n",
        seen(body=b"x" * 2048 * 8),
    ),
    kept(
        "chunk-lines-short",
        CHUNKED + b"1;a=bcd\r\nx\r\n" * 3000 + b"0\r\n\r\n",
        seen(body=b"x" * 3000),
    ),
    refused("chunked-over-limit", 413, CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", seen(body=None), body=10),
    kept("chunked-at-limit", CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", seen(body=b"hello world"), body=11),
    gone("chunked-cut-in-data", CHUNKED + b"5\r\nhel", seen(body=None)),
    gone("chunked-cut-after-data", CHUNKED + b"5\r\nhello", seen(body=None)),
    gone("chunked-cut-after-a-chunk", CHUNKED + b"5\r\nhello\r\n", seen(body=None)),
    gone("chunked-cut-in-the-last-line", CHUNKED + b"5\r\nhello\r\n0", seen(body=None)),
    gone("chunked-cut-before-the-last-crlf", CHUNKED + b"5\r\nhello\r\n0\r\n", seen(body=None)),  # gunicorn#3382
    gone("chunked-cut-in-the-last-crlf", CHUNKED + b"5\r\nhello\r\n0\r\n\r", seen(body=None)),
    gone("chunked-nothing-sent", CHUNKED, seen(body=None)),
]

LAST = CHUNKED + b"5\r\nhello\r\n0\r\n"
TRAILERS = [
    kept("trailer-dropped", LAST + b"X-Sum: 1\r\n\r\n", seen(body=b"hello", absent=("HTTP_X_SUM",))),
    kept(
        "trailer-does-not-overwrite",
        post(b"X-Sum: head", b"Transfer-Encoding: chunked", body=b"0\r\nX-Sum: tail\r\n\r\n"),
        seen({"HTTP_X_SUM": "head"}),
    ),
    kept("trailers-two", LAST + b"A: 1\r\nB:\r\n\r\n", seen(body=b"hello")),
    kept(
        "trailer-announced",
        post(b"Trailer: X-Sum", b"Transfer-Encoding: chunked", body=b"0\r\nX-Sum: 1\r\n\r\n"),
        seen({"HTTP_TRAILER": "X-Sum"}),
    ),
    *(
        refused(f"trailer-{name.decode().lower()}", 400, LAST + name + b": 1\r\n\r\n" + SMUGGLED, seen(body=None))
        for name in [
            b"Host",
            b"Content-Length",
            b"Transfer-Encoding",
            b"Content-Type",
            b"Connection",
            b"Authorization",
            b"Cookie",
            b"Expect",
            b"Trailer",
            b"TE",
        ]
    ),
    *(
        refused(f"trailer-bad-{name}", 400, LAST + value + b"\r\n\r\n", seen(body=None))
        for name, value in [
            ("no-colon", b"X"),
            ("space-before-colon", b"X : 1"),
            ("no-name", b": 1"),
            ("folded", b"X: 1\r\n 2"),
            ("nul", b"X: \0"),
            ("bare-lf", b"X: 1\nY: 2"),
            ("bare-cr", b"X: 1\rY: 2"),
            ("non-ascii-name", b"\xe9: 1"),
        ]
    ),
    # CVE-2023-41419, gevent#1989: a request in place of trailers
    refused("trailer-request-line", 400, CHUNKED + b"0\r\nGET /x HTTP/1.1\r\nHost: y\r\n\r\n", seen(body=None)),
    refused("trailers-endless", 431, LAST + b"X: y\r\n" * 20000, seen(body=None)),
    refused("trailer-endless", 431, LAST + b"X: " + b"y" * 70000, seen(body=None)),
    kept("trailers-at-limit", LAST + b"X: 3456\r\nY: 3456\r\n\r\n", seen(body=b"hello"), trailers=18),
    refused("trailers-over-limit", 431, LAST + b"X: 3456\r\nY: 34567\r\n\r\n", seen(body=None), trailers=15),
]

EXPECTATIONS = [
    kept(
        "expect-continue-with-the-body",
        post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"),
        seen({"HTTP_EXPECT": "100-continue"}, body=b"hello"),
    ),
    kept("expect-case", post(b"Expect: 100-Continue", b"Content-Length: 5", body=b"hello"), seen(body=b"hello")),
    kept(
        "expect-chunked",
        post(b"Expect: 100-continue", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        seen(body=b"hello"),
    ),
    kept("expect-without-a-body", post(b"Expect: 100-continue"), seen()),
    closed(
        "expect-1.0-ignored",
        b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        seen(body=b"hello"),
    ),
    closed(
        "expect-1.0-unknown-ignored",
        b"POST / HTTP/1.0\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\nhello",
        seen(body=b"hello"),
    ),
    refused("expect-unknown", 417, post(b"Expect: 200-ok", b"Content-Length: 5", body=b"hello")),
    refused("expect-unknown-without-a-body", 417, post(b"Expect: x")),
    refused("expect-list", 417, post(b"Expect: 100-continue, x", b"Content-Length: 5", body=b"hello")),
    refused(
        "expect-twice", 400, post(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 5", body=b"hello")
    ),
    refused("expect-empty", 417, post(b"Expect:", b"Content-Length: 5", body=b"hello")),
    refused("expect-over-limit", 413, post(b"Expect: 100-continue", b"Content-Length: 50"), body=10),
    # gevent#2075: the next request must not be taken for the body, nor the body for a request
    kept(
        "expect-body-like-a-request",
        post(b"Expect: 100-continue", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
        seen(body=SMUGGLED),
    ),
]

CASES: list[Case] = [*LENGTHS, *CODINGS, *CHUNKS, *TRAILERS, *EXPECTATIONS]
