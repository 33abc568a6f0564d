"""HTTP: request lines, header lines, hosts, connections, limits of the head."""

from __future__ import annotations

from tests.wire.cases import Case, closed, gone, kept, refused, seen

H = b"Host: h\r\n"
GET = b"GET / HTTP/1.1\r\n" + H
END = b"\r\n"


def get(*lines: bytes) -> bytes:
    """A GET with more header lines."""
    return GET + b"".join(line + b"\r\n" for line in lines) + END


def line(first: bytes) -> bytes:
    """A request of that first line and a Host."""
    return first + b"\r\n" + H + END


PLAIN = [
    kept(
        "get",
        get(),
        seen(
            {
                "REQUEST_METHOD": "GET",
                "REQUEST_URI": "/",
                "PATH_INFO": "/",
                "QUERY_STRING": "",
                "SCRIPT_NAME": "",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "HTTP_HOST": "h",
            },
            absent=("CONTENT_LENGTH", "CONTENT_TYPE"),
        ),
    ),
    kept(
        "get-query",
        line(b"GET /a?b=c&d=%20+? HTTP/1.1"),
        seen({"PATH_INFO": "/a", "QUERY_STRING": "b=c&d=%20+?", "REQUEST_URI": "/a?b=c&d=%20+?"}),
    ),
    kept("head", line(b"HEAD / HTTP/1.1"), seen({"REQUEST_METHOD": "HEAD"})),
    kept("unknown-method", line(b"BREW /pot HTTP/1.1"), seen({"REQUEST_METHOD": "BREW"})),
    kept(
        "method-every-token-character",
        line(b"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1"),
        seen({"REQUEST_METHOD": "!#$%&'*+-.^_`|~09azAZ"}),
    ),
    kept("method-lower-case-is-another-method", line(b"get / HTTP/1.1"), seen({"REQUEST_METHOD": "get"})),
    kept("empty-line-before", b"\r\n" + get(), seen({"PATH_INFO": "/"})),
    kept("two-empty-lines-before", b"\r\n\r\n" + get(), seen({"PATH_INFO": "/"})),
    refused("three-empty-lines-before", 400, b"\r\n\r\n\r\n" + get()),
    kept("empty-line-between-two", get() + b"\r\n" + get(), seen(), seen()),
    refused("lf-before", 400, b"\n" + get()),
    refused("space-before", 400, b" " + get()),
    kept(
        "pipelined-three",
        line(b"GET /1 HTTP/1.1") + line(b"GET /2 HTTP/1.1") + line(b"GET /3 HTTP/1.1"),
        seen({"PATH_INFO": "/1"}),
        seen({"PATH_INFO": "/2"}),
        seen({"PATH_INFO": "/3"}),
    ),
    refused(
        "good-ones-before-a-bad-one-are-served",
        400,
        line(b"GET /1 HTTP/1.1") + line(b"GET /2 HTTP/1.1") + b"GET /3 HTTP/1.1\r\n\r\n" + line(b"GET /4 HTTP/1.1"),
        seen({"PATH_INFO": "/1"}),
        seen({"PATH_INFO": "/2"}),
    ),
    # CVE-2024-49768: the second of one segment never runs after a bad first
    refused("nothing-after-a-bad-one", 400, b"GET / HTTP/1.1\r\nHost : h\r\n\r\n" + line(b"GET /2 HTTP/1.1")),
]

REQUEST_LINES = [
    refused("http-0.9", 505, b"GET /\r\n\r\n"),
    refused("http-0.9-with-host", 505, b"GET /\r\n" + H + END),
    refused("no-target-no-version", 400, b"GET\r\n" + H + END),
    refused("nonsense", 400, b"NONSENSE\r\n\r\n"),
    refused("version-2.0", 505, line(b"GET / HTTP/2.0")),
    refused("version-2", 505, line(b"GET / HTTP/2")),
    refused("version-1.2", 505, line(b"GET / HTTP/1.2")),
    refused("version-1.10", 505, line(b"GET / HTTP/1.10")),
    refused("version-01.1", 505, line(b"GET / HTTP/01.1")),
    refused("version-0.9", 505, line(b"GET / HTTP/0.9")),
    refused("version-3.0", 505, line(b"GET / HTTP/3.0")),
    refused("version-1.", 505, line(b"GET / HTTP/1.")),
    refused("version-lower-case", 505, line(b"GET / http/1.1")),
    refused("version-mixed-case", 505, line(b"GET / Http/1.1")),
    refused("rtsp", 505, line(b"GET / RTSP/1.0")),
    refused("ice", 505, line(b"SOURCE /live ICE/1.0")),
    refused("h2-preface", 505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    refused("version-with-tail", 400, line(b"GET / HTTP/1.1x")),
    refused("version-comma", 400, line(b"GET / HTTP/1,1")),
    refused("version-no-slash", 400, line(b"GET / HTTP1.1")),
    refused("version-empty", 400, line(b"GET / ")),
    refused("two-spaces-before-target", 400, line(b"GET  / HTTP/1.1")),
    refused("two-spaces-before-version", 400, line(b"GET /  HTTP/1.1")),
    refused("trailing-space", 400, line(b"GET / HTTP/1.1 ")),
    refused("tab-between", 400, line(b"GET\t/\tHTTP/1.1")),
    refused("tab-in-target", 400, line(b"GET /a\tb HTTP/1.1")),
    refused("space-in-target", 400, line(b"GET /a b HTTP/1.1")),
    refused("target-empty", 400, line(b"GET  HTTP/1.1")),
    refused("method-empty", 400, line(b" / HTTP/1.1")),
    refused("method-colon", 400, line(b"GE:T / HTTP/1.1")),
    refused("method-paren", 400, line(b"GET() / HTTP/1.1")),
    refused("method-non-ascii", 400, line(b"G\xc3\x89T / HTTP/1.1")),
    refused("method-quote", 400, line(b'"GET" / HTTP/1.1')),
    refused("nul-in-target", 400, line(b"GET /a\0b HTTP/1.1")),
    refused("del-in-target", 400, line(b"GET /a\x7fb HTTP/1.1")),
    refused("escape-character-in-target", 400, line(b"GET /a\x1bb HTTP/1.1")),
    refused("bare-cr-in-request-line", 400, line(b"GET /a\rb HTTP/1.1")),
    refused("bare-lf-in-request-line", 400, line(b"GET /a\nb HTTP/1.1")),
    refused("bare-lf-request", 400, b"GET / HTTP/1.1\nHost: h\n\n"),
    refused("bare-lf-nonsense", 400, b"NONSENSE\n\n"),
    refused("bare-cr-lines", 400, b"GET / HTTP/1.1\rHost: h\r\r"),
    refused("tls-client-hello", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(30)),
    refused("uwsgi-packet-on-http", 400, b"\x00\x1a\x00\x00\x0e\x00REQUEST_METHOD\x03\x00GET"),
    refused("proxy-protocol-unasked", 400, b"PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n" + get()),
    refused("ssh", 400, b"SSH-2.0-OpenSSH_9.6\r\n" + END),
]

TARGETS = [
    kept(
        "absolute",
        line(b"GET http://a.example:81/p/q?x=1 HTTP/1.1"),
        seen({"HTTP_HOST": "a.example:81", "PATH_INFO": "/p/q", "QUERY_STRING": "x=1", "REQUEST_URI": "/p/q?x=1"}),
    ),
    kept(
        "absolute-https-upper-case",
        line(b"GET HTTPS://A.example/p HTTP/1.1"),
        seen({"HTTP_HOST": "A.example", "PATH_INFO": "/p"}),
    ),
    kept(
        "absolute-no-path",
        line(b"GET http://a.example HTTP/1.1"),
        seen({"HTTP_HOST": "a.example", "PATH_INFO": "/", "REQUEST_URI": "/"}),
    ),
    kept(
        "absolute-query-no-path",
        line(b"GET http://a.example?x HTTP/1.1"),
        seen({"PATH_INFO": "/", "QUERY_STRING": "x", "REQUEST_URI": "/?x"}),
    ),
    kept("absolute-ipv6", line(b"GET http://[::1]:80/ HTTP/1.1"), seen({"HTTP_HOST": "[::1]:80"})),
    closed("absolute-1.0-without-host", b"GET http://a.example/ HTTP/1.0\r\n\r\n", seen({"HTTP_HOST": "a.example"})),
    kept(
        "absolute-with-repeats",
        line(b"GET http://a.example/ HTTP/1.1")[:-2] + b"X: 1\r\nX: 2\r\n\r\n",
        seen({"HTTP_HOST": "a.example", "HTTP_X": "1, 2"}),
    ),
    refused("absolute-1.1-without-host", 400, b"GET http://a.example/ HTTP/1.1\r\n\r\n"),
    refused("absolute-two-hosts", 400, b"GET http://a.example/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    refused("absolute-userinfo", 400, line(b"GET http://u:p@a.example/ HTTP/1.1")),
    refused("absolute-empty-host", 400, line(b"GET http:///p HTTP/1.1")),
    refused("absolute-bad-port", 400, line(b"GET http://a:8x/ HTTP/1.1")),
    refused("absolute-other-scheme", 400, line(b"GET ftp://a.example/ HTTP/1.1")),
    refused("absolute-javascript", 400, line(b"GET javascript:alert(1) HTTP/1.1")),
    refused("absolute-one-slash", 400, line(b"GET http:/a HTTP/1.1")),
    refused("absolute-fragment", 400, line(b"GET http://a.example/#f HTTP/1.1")),
    kept("asterisk", line(b"OPTIONS * HTTP/1.1"), seen({"PATH_INFO": "*", "REQUEST_URI": "*"})),
    refused("asterisk-get", 400, line(b"GET * HTTP/1.1")),
    refused("asterisk-query", 400, line(b"OPTIONS *?x HTTP/1.1")),
    kept("options-origin", line(b"OPTIONS /a HTTP/1.1"), seen({"PATH_INFO": "/a"})),
    refused("connect", 501, line(b"CONNECT a.example:443 HTTP/1.1")),
    refused("connect-origin", 501, line(b"CONNECT / HTTP/1.1")),
    refused("authority-get", 400, line(b"GET a.example:80 HTTP/1.1")),
    refused("relative", 400, line(b"GET a/b HTTP/1.1")),
    refused("query-alone", 400, line(b"GET ?a HTTP/1.1")),
    refused("fragment", 400, line(b"GET /a#f HTTP/1.1")),
    refused("fragment-in-query", 400, line(b"GET /a?b#f HTTP/1.1")),
    refused("backslash-first", 400, line(b"GET \\a HTTP/1.1")),
    kept("second-question-mark", line(b"GET /a?b?c HTTP/1.1"), seen({"QUERY_STRING": "b?c"})),
    kept(
        "raw-utf-8-target",
        line(b"GET /caf\xc3\xa9?\xc3\xa9 HTTP/1.1"),
        seen({"PATH_INFO": "/caf\xc3\xa9", "QUERY_STRING": "\xc3\xa9", "REQUEST_URI": "/caf\xc3\xa9?\xc3\xa9"}),
    ),
    kept("target-odd-characters", line(b'GET /"<>^`{|}\\ HTTP/1.1'), seen({"PATH_INFO": '/"<>^`{|}\\'})),
    kept("bad-escape-in-query-is-the-application's", line(b"GET /?%zz% HTTP/1.1"), seen({"QUERY_STRING": "%zz%"})),
]

HOSTS = [
    refused("no-host-1.1", 400, b"GET / HTTP/1.1\r\n\r\n"),
    refused("no-host-1.1-other-headers", 400, b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"),
    closed("no-host-1.0", b"GET / HTTP/1.0\r\n\r\n", seen({"SERVER_PROTOCOL": "HTTP/1.0"}, absent=("HTTP_HOST",))),
    refused("empty-host", 400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    refused("blank-host", 400, b"GET / HTTP/1.1\r\nHost:  \t \r\n\r\n"),
    refused("empty-host-1.0", 400, b"GET / HTTP/1.0\r\nHost:\r\n\r\n"),
    refused("two-hosts", 400, get(b"Host: i")),
    refused("two-equal-hosts", 400, get(b"Host: h")),
    refused("two-hosts-cases", 400, get(b"hOST: h")),
    refused("two-hosts-1.0", 400, b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    *(
        refused(f"host-{name}", 400, b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n")
        for name, value in [
            ("slash-at", b"a/b@c"),
            ("userinfo", b"u@h"),
            ("space", b"a b"),
            ("comma-list", b"a, b"),
            ("non-ascii", b"\xc3\xa9"),
            ("port-word", b"h:http"),
            ("port-long", b"h:123456"),
            ("port-sign", b"h:+80"),
            ("two-ports", b"h:80:81"),
            ("open-bracket", b"[::1"),
            ("bracket-word", b"[zz]"),
            ("bracket-tail", b"[::1]x"),
            ("bare-ipv6", b"::1"),
            ("percent", b"a%2"),
            ("backslash", b"a\\b"),
            ("question", b"a?b"),
            ("hash", b"a#b"),
            ("angle", b"<h>"),
            ("quote", b'"h"'),
            ("only-port", b":80"),
            ("scheme", b"http://h"),
        ]
    ),
    *(
        kept(f"host-{name}", b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n", seen({"HTTP_HOST": value.decode()}))
        for name, value in [
            ("port", b"h:8000"),
            ("empty-port", b"h:"),
            ("ipv4", b"127.0.0.1:80"),
            ("ipv6", b"[::1]:80"),
            ("ipv6-long", b"[2001:db8::1:2]"),
            ("ipvfuture", b"[v1.a:b]"),
            ("underscore", b"my_service:80"),
            ("dots", b"a.b.c."),
            ("punycode", b"xn--caf-dma.example"),
            ("percent-encoded", b"a%20b"),
            ("sub-delims", b"a!$&'()*+,;=b"[:12]),
        ]
    ),
    kept("host-no-space", b"GET / HTTP/1.1\r\nHost:h\r\n\r\n", seen({"HTTP_HOST": "h"})),
    kept("host-tabs-around", b"GET / HTTP/1.1\r\nHost:\t h\t \r\n\r\n", seen({"HTTP_HOST": "h"})),
    kept("host-last", b"GET / HTTP/1.1\r\nA: b\r\nHost: h\r\n\r\n", seen({"HTTP_HOST": "h"})),
]

FIELDS = [
    kept("field-empty-value", get(b"X-A:"), seen({"HTTP_X_A": ""})),
    kept("field-blank-value", get(b"X-A:   "), seen({"HTTP_X_A": ""})),
    kept("field-no-space", get(b"X-A:b"), seen({"HTTP_X_A": "b"})),
    kept("field-trimmed", get(b"X-A: \t b c \t "), seen({"HTTP_X_A": "b c"})),
    kept("field-tab-inside", get(b"X-A: b\tc"), seen({"HTTP_X_A": "b\tc"})),
    kept("field-colon-in-value", get(b"X-A: b: c: d"), seen({"HTTP_X_A": "b: c: d"})),
    kept("field-latin-1-value", get(b"X-A: \xe9\xff\x80"), seen({"HTTP_X_A": "\xe9\xff\x80"})),
    kept("field-no-break-space-is-not-trimmed", get(b"X-A: \xa0b\x85"), seen({"HTTP_X_A": "\xa0b\x85"})),
    kept("field-odd-name", get(b"X!#$%&'*+.^`|~9: b"), seen({"HTTP_X!#$%&'*+.^`|~9": "b"})),
    kept("field-case", get(b"x-FoRwArDeD-fOr: 1.2.3.4"), seen({"HTTP_X_FORWARDED_FOR": "1.2.3.4"})),
    kept(
        "field-content-type",
        get(b"Content-Type: text/plain"),
        seen({"CONTENT_TYPE": "text/plain"}, absent=("HTTP_CONTENT_TYPE",)),
    ),
    kept("field-repeat-joined", get(b"Accept: a", b"Accept: b", b"accept:c"), seen({"HTTP_ACCEPT": "a, b, c"})),
    kept("field-cookies-joined", get(b"Cookie: a=1", b"Cookie: b=2"), seen({"HTTP_COOKIE": "a=1; b=2"})),
    kept(
        "field-x-forwarded-for-joined",
        get(b"X-Forwarded-For: 1", b"X-Forwarded-For: 2"),
        seen({"HTTP_X_FORWARDED_FOR": "1, 2"}),
    ),
    kept("field-long-unknown-name", get(b"X-" + b"a" * 300 + b": b"), seen({"HTTP_X_" + "A" * 300: "b"})),
    kept(
        "field-script-name-is-only-a-header",
        get(b"Script-Name: /evil", b"Path-Info: /evil", b"Remote-User: root"),
        seen({"SCRIPT_NAME": "", "PATH_INFO": "/", "HTTP_SCRIPT_NAME": "/evil"}, absent=("REMOTE_USER",)),
    ),
    kept(
        "field-remote-addr-is-only-a-header",
        get(b"Remote-Addr: 9.9.9.9"),
        seen({"HTTP_REMOTE_ADDR": "9.9.9.9"}, absent=("REMOTE_ADDR",)),
    ),
    kept(
        "field-websocket-key1-is-nothing-special",
        get(b"Sec-Websocket-Key1: x") + line(b"GET /12345678 HTTP/1.1"),
        seen({"HTTP_SEC_WEBSOCKET_KEY1": "x"}),
        seen({"PATH_INFO": "/12345678"}),
    ),
    kept("field-proxy-dropped", get(b"Proxy: http://evil"), seen(absent=("HTTP_PROXY",))),
    kept(
        "field-proxy-dropped-case", get(b"pROXY: http://evil", b"X: y"), seen({"HTTP_X": "y"}, absent=("HTTP_PROXY",))
    ),
    kept(
        "field-proxy-dropped-even-if-underscores-are-kept",
        get(b"Proxy: a"),
        seen(absent=("HTTP_PROXY",)),
        underscores="keep",
    ),
    refused("two-content-types", 400, get(b"Content-Type: a/b", b"Content-Type: c/d")),
    refused("two-equal-content-types", 400, get(b"Content-Type: a/b", b"Content-Type: a/b")),
    refused("two-authorizations", 400, get(b"Authorization: a", b"Authorization: b")),
    refused("space-before-colon", 400, get(b"X-A : b")),
    refused("tab-before-colon", 400, get(b"X-A\t: b")),
    refused("space-in-name", 400, get(b"X A: b")),
    refused("no-colon", 400, get(b"X-A")),
    refused("no-name", 400, get(b": b")),
    refused("only-colon", 400, get(b":")),
    refused("obs-fold-space", 400, get(b"X-A: b", b" c")),
    refused("obs-fold-tab", 400, get(b"X-A: b", b"\tc")),
    refused("obs-fold-first", 400, b"GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
    refused("obs-fold-blank", 400, get(b"X-A: b", b" ")),
    refused("obs-fold-with-colon", 400, get(b"X-A: b", b" X-B: c")),
    refused("name-nbsp", 400, get(b"Transfer-Encoding\xa0: chunked")),
    refused("name-nel", 400, get(b"Content-Length\x85: 5")),
    refused("name-non-ascii", 400, get(b"X-\xc3\xa9: b")),
    refused("name-nul", 400, get(b"X-\0A: b")),
    *(refused(f"name-{character}", 400, get(b"X" + character.encode() + b"A: b")) for character in '"(),/;<=>?@[\\]{}'),
    *(
        refused(f"value-control-{code:02x}", 400, get(b"X-A: b" + bytes([code]) + b"c"))
        for code in (0, 1, 7, 8, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x1B, 0x1F, 0x7F)
    ),
    refused("value-nul-first", 400, get(b"X-A: \0b")),
    refused("value-ends-in-cr", 400, get(b"X-A: b\r")),
    refused("value-lf-injects", 400, get(b"X-A: b\nX-Evil: c")),
    refused("bare-lf-header-among-good-ones", 400, b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"),
    refused("bare-lf-ends-head", 400, b"GET / HTTP/1.1\r\nHost: h\r\n\n"),
    refused("cr-cr-lf", 400, b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n"),
    refused("request-line-as-a-header", 400, get(b"GET /x HTTP/1.1")),
    # gunicorn#2799, Django CVE-2015-0219: a name with an underscore is somebody else's name with a hyphen
    kept(
        "underscore-dropped",
        get(b"X_Forwarded_For: 6.6.6.6", b"X-Forwarded-For: 1.1.1.1"),
        seen({"HTTP_X_FORWARDED_FOR": "1.1.1.1"}),
    ),
    kept(
        "underscore-dropped-second",
        get(b"X-Forwarded-For: 1.1.1.1", b"X_Forwarded_For: 6.6.6.6"),
        seen({"HTTP_X_FORWARDED_FOR": "1.1.1.1"}),
    ),
    kept("underscore-dropped-alone", get(b"X_A: b"), seen(absent=("HTTP_X_A",))),
    kept("underscore-kept", get(b"X_A: b"), seen({"HTTP_X_A": "b"}), underscores="keep"),
    kept(
        "underscore-kept-gives-way", get(b"X_A: b", b"X-A: c", b"X_A: d"), seen({"HTTP_X_A": "c"}), underscores="keep"
    ),
    kept("underscore-kept-joined", get(b"X_A: b", b"X_A: d"), seen({"HTTP_X_A": "b, d"}), underscores="keep"),
    refused("underscore-refused", 400, get(b"X_A: b"), underscores="refuse"),
    kept(
        "underscore-content-length", get(b"Content_Length: 5"), seen(absent=("CONTENT_LENGTH", "HTTP_CONTENT_LENGTH"))
    ),
    kept(
        "underscore-content-length-kept-is-still-no-length",
        get(b"Content_Length: 5"),
        seen(absent=("CONTENT_LENGTH",)),
        underscores="keep",
    ),
    kept(
        "underscore-transfer-encoding",
        get(b"Transfer_Encoding: chunked"),
        seen(absent=("HTTP_TRANSFER_ENCODING",)),
        underscores="keep",
    ),
    kept("underscore-host", get(b"HOST_: x", b"_Host: y"), seen({"HTTP_HOST": "h"})),
]

CONNECTIONS = [
    closed("close-1.1", get(b"Connection: close")),
    closed("close-upper-case", get(b"Connection: CLOSE")),
    closed("close-in-a-list", get(b"Connection: x, Close ,y")),
    closed("close-wins-over-keep-alive", get(b"Connection: keep-alive, close")),
    closed("close-in-the-second-of-two", get(b"Connection: x", b"Connection: close")),
    kept("close-is-a-token", get(b"Connection: closed, not-close")),
    kept("keep-alive-1.1", get(b"Connection: keep-alive")),
    closed("plain-1.0", b"GET / HTTP/1.0\r\nHost: h\r\n\r\n"),
    kept("keep-alive-1.0", b"GET / HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n"),
    closed("keep-alive-1.0-close", b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
    closed("nothing-after-close", get(b"Connection: close") + line(b"GET /never HTTP/1.1")),
    kept(
        "upgrade-ignored",
        get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAA"),
        seen({"HTTP_UPGRADE": "h2c"}),
    ),
    kept(
        "upgrade-websocket-is-a-request",
        get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        seen({"HTTP_UPGRADE": "websocket"}),
    ),
]

LIMITS = [
    kept(
        "request-line-8000",
        line(b"GET /" + b"a" * (8000 - 14) + b" HTTP/1.1"),
        seen({"PATH_INFO": "/" + "a" * (8000 - 14)}),
    ),
    kept("request-line-at-limit", line(b"GET /" + b"a" * 6 + b" HTTP/1.1"), seen(), request_line=20),
    refused("request-line-over-limit", 414, line(b"GET /" + b"a" * 7 + b" HTTP/1.1"), request_line=20),
    refused("request-line-endless", 414, b"GET /" + b"a" * 20000),
    refused("request-line-endless-method", 414, b"A" * 20000),
    refused("request-line-too-long-before-a-nul", 414, b"GET /" + b"a" * 20 + b"\0", request_line=20),
    refused("nul-before-a-line-too-long", 400, b"GET /\0" + b"a" * 40 + b" HTTP/1.1\r\n\r\n", request_line=20),
    kept("head-at-limit", get(b"X: " + b"a" * 28), seen(), head=60),
    refused("head-over-limit", 431, get(b"X: " + b"a" * 29), head=60),
    refused("value-endless", 431, GET + b"X-A: " + b"a" * 70000),
    refused("name-endless", 431, GET + b"a" * 70000),
    refused("headers-endless", 431, GET + b"X-A: b\r\n" * 9000),
    refused("head-endless-without-a-terminator", 431, GET + b"X: " + b"a" * 40, head=60),
    kept("headers-at-count", get(*[b"X-%d: y" % number for number in range(9)]), seen({"HTTP_X_8": "y"}), headers=10),
    refused("headers-over-count", 431, get(*[b"X-%d: y" % number for number in range(10)]), headers=10),
    refused("headers-over-count-equal-names", 431, get(*[b"X: y"] * 10), headers=10),
    kept("head-value-60000", get(b"X-A: " + b"a" * 60000), seen({"HTTP_X_A": "a" * 60000})),
    refused("many-bad-characters", 400, get(b"X" + b"\xe9 (" * 4000 + b": y")),  # CVE-2020-5236: and quickly
    gone("half-a-request-line", b"GET / HT"),
    gone("half-a-head", GET + b"X-A: "),
    gone("head-without-its-last-lf", GET + b"\r"),
    gone("one-byte", b"G"),
    gone("one-cr", b"\r"),
    Case("nothing", b"", (), "kept"),
    Case("only-empty-lines", b"\r\n\r\n", (), "kept"),
]

CASES = [*PLAIN, *REQUEST_LINES, *TARGETS, *HOSTS, *FIELDS, *CONNECTIONS, *LIMITS]
