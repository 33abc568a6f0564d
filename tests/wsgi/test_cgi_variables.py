"""CGI's environment and answers, by RFC 3875."""

from __future__ import annotations

from typing import Any

import pytest

from greenwsgi.wsgi.cgi_variables import HEAD_LIMIT, CgiError, CgiHead, Script, read_head, redirected, variables
from greenwsgi.wsgi.response import Response
from greenwsgi.wsgi.wsgi_input import EMPTY

SCRIPT = Script(b"/srv/cgi/x.sh", (b"/srv/cgi/x.sh",), "/cgi/x.sh", "/more/path", b"/srv/cgi")

REQUEST: dict[str, Any] = {
    "REQUEST_METHOD": "POST",
    "REQUEST_URI": "/cgi/x.sh/more/path?a=b",
    "PATH_INFO": "/cgi/x.sh/more/path",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "a=b",
    "SERVER_NAME": "web",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "somebody's",
    "REMOTE_ADDR": "192.0.2.7",
    "REMOTE_PORT": "4000",
    "CONTENT_LENGTH": "5",
    "CONTENT_TYPE": "text/plain",
    "HTTP_HOST": "web",
    "HTTP_PROXY": "http://evil",
    "HTTP_COOKIE": "caf\xe9",
    "HTTP_A=B": "c",
    "SSL_=": "",
    "LD_PRELOAD": "/tmp/evil.so",
    "PATH": "/tmp/evil",
    "PYTHONPATH": "/tmp/evil",
    "UWSGI_FILE": "/tmp/evil.py",
    "wsgi.url_scheme": "http",
    "wsgi.input": EMPTY,
}


def given(script: Script = SCRIPT, **more: Any) -> dict[bytes, bytes]:
    return variables(REQUEST | more, script, {"PATH": "/bin", "LANG": "C"})


def test_variables() -> None:
    found = given()
    software = found.pop(b"SERVER_SOFTWARE")
    assert software.startswith(b"greenwsgi/")
    assert found == {
        b"CONTENT_LENGTH": b"5",
        b"CONTENT_TYPE": b"text/plain",
        b"GATEWAY_INTERFACE": b"CGI/1.1",
        b"HTTP_COOKIE": b"caf\xe9",
        b"HTTP_HOST": b"web",
        b"LANG": b"C",
        b"PATH": b"/bin",
        b"PATH_INFO": b"/more/path",
        b"PATH_TRANSLATED": b"/srv/cgi/more/path",
        b"QUERY_STRING": b"a=b",
        b"REDIRECT_STATUS": b"200",
        b"REMOTE_ADDR": b"192.0.2.7",
        b"REMOTE_PORT": b"4000",
        b"REQUEST_METHOD": b"POST",
        b"REQUEST_SCHEME": b"http",
        b"REQUEST_URI": b"/cgi/x.sh/more/path?a=b",
        b"SCRIPT_FILENAME": b"/srv/cgi/x.sh",
        b"SCRIPT_NAME": b"/cgi/x.sh",
        b"SERVER_NAME": b"web",
        b"SERVER_PORT": b"80",
        b"SERVER_PROTOCOL": b"HTTP/1.1",
    }


def test_what_has_to_be_there_is() -> None:
    found = variables({"wsgi.url_scheme": "http"}, SCRIPT, {})
    for name in ("QUERY_STRING", "REMOTE_ADDR", "REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"):
        assert found[name.encode()] == b""


def test_what_there_is_not_is_not_there() -> None:
    found = given(Script(b"/x", (b"/x",), "/x", "", b"/"), CONTENT_LENGTH="")
    assert not {b"CONTENT_LENGTH", b"PATH_INFO", b"PATH_TRANSLATED", b"HTTPS"} & set(found)


def test_https_and_its_certificates() -> None:
    found = variables(REQUEST | {"wsgi.url_scheme": "https", "SSL_CLIENT_S_DN": "CN=me"}, SCRIPT, {})
    assert (found[b"HTTPS"], found[b"REQUEST_SCHEME"], found[b"SSL_CLIENT_S_DN"]) == (b"on", b"https", b"CN=me")


def test_paths_are_translated_under_the_gateways_root() -> None:
    assert given(DOCUMENT_ROOT="/srv/www/")[b"PATH_TRANSLATED"] == b"/srv/www/more/path"


GATEWAYS = {
    *(
        "REMOTE_USER",
        "REMOTE_IDENT",
        "REDIRECT_URL",
        "REDIRECT_REMOTE_USER",
        "CONTEXT_PREFIX",
        "UNIQUE_ID",
        "AUTH_TYPE",
    ),
    *("SSL_CIPHER", "SSL_TLS_SNI", "SSL_CLIENT_S_DN", "SSL_CLIENT_S_DN_Email", "SSL_CLIENT_SAN_OTHER_msUPN_0"),
    *("SSL_SERVER_M_SERIAL", "SSL_SESSION_ID", "HTTPS_DN", "HTTP_X_FORWARDED_FOR", "HTTP_LD_PRELOAD", "DOCUMENT_ROOT"),
}
NOBODYS = {
    *(
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PERL5OPT",
        "RUBYOPT",
        "NODE_OPTIONS",
    ),
    *("PATH", "IFS", "ENV", "BASH_ENV", "BASH_FUNC_x%%", "HTTP_BASH_FUNC_x()", "HOME", "TMPDIR", "GCONV_PATH", "PS4"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "SSL_X", "OPENSSL_CONF", "CURL_CA_BUNDLE", "PHP_VALUE"),
    *("HTTP_PROXY", "HTTP_proxy", "HTTP_Proxy", "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy"),
    *("HTTP_", "HTTP_A=B", "HTTP_A B", "HTTP_A\n", "HTTP_caf\xe9", "SSL_CLIENT_=", "REMOTE_A.B", "REDIRECT_", ""),
    *("UWSGI_FILE", "_", "SHELLOPTS", "MALLOC_CHECK_", "GLIBC_TUNABLES", "LANG", "CONTEXT_X", "HTTPS_CERT"),
}


def test_what_a_gateway_may_say_and_what_it_may_not() -> None:
    """The wire is not where the environment of a program comes from, but for names that mean a request's facts."""
    found = variables(REQUEST | dict.fromkeys(GATEWAYS | NOBODYS, "wire"), SCRIPT, {"PATH": "/bin", "LANG": "C"})
    assert {name.decode("latin-1") for name, value in found.items() if value == b"wire"} == GATEWAYS
    assert (found[b"PATH"], found[b"LANG"], found[b"REDIRECT_STATUS"]) == (b"/bin", b"C", b"200")


# Answers

HTML = ("Content-Type", "text/html")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"Content-Type: text/html\n\n", CgiHead("200 OK", [HTML])),
        (b"Content-Type: text/html\r\n\r\n", CgiHead("200 OK", [HTML])),
        (b"Content-Type: text/html\r\n\n", CgiHead("200 OK", [HTML])),
        (b"Content-Type:text/html  \n\n", CgiHead("200 OK", [HTML])),
        (b"Status: 404 Gone fishing\nContent-Type: text/html\n\n", CgiHead("404 Gone fishing", [HTML])),
        (b"status: 404\ncontent-type: text/html\n\n", CgiHead("404 Not Found", [("content-type", "text/html")])),
        (b"Status: 299\n\n", CgiHead("299 Status", [])),
        (b"Status: 204 No Content\n\n", CgiHead("204 No Content", [])),
        (b"HTTP/1.1 403 No\r\nContent-Type: text/html\r\n\r\n", CgiHead("403 No", [HTML])),
        (b"HTTP/1.0 200\n\n", CgiHead("200 OK", [])),
        (b"Location: http://x/\n\n", CgiHead("302 Found", [("Location", "http://x/")])),
        (b"Location: //x/\n\n", CgiHead("302 Found", [("Location", "//x/")])),
        (b"Location: /x?y\n\n", CgiHead("", redirect="/x?y")),
        (b"Location: /x/../y?%\n\n", CgiHead("", redirect="/x/../y?%")),
        (b"Location: /x\nStatus: 301 Moved\n\n", CgiHead("301 Moved", [("Location", "/x")])),
        (b"Location: /x\nSet-Cookie: a=b\n\n", CgiHead("302 Found", [("Location", "/x"), ("Set-Cookie", "a=b")])),
        (b"Content-Type: text/html\nContent-Length: 7\n\n", CgiHead("200 OK", [HTML, ("Content-Length", "7")], "", 7)),
        (b"Content-Type: text/html\nContent-Length:\n\n", CgiHead("200 OK", [HTML])),
        (
            b"Content-Length: 7\nContent-Type: text/html\nContent-Length: 7\n\n",
            CgiHead("200 OK", [("Content-Length", "7"), HTML, ("Content-Length", "7")], "", 7),
        ),
        (b"Status: 500 caf\xe9\n\n", CgiHead("500 caf\xe9", [])),
        (b"Status: 500 \xc3\x9cbel\n\n", CgiHead("500 Internal Server Error", [])),
        (b"Status: 299 \xc3\x9cbel\n\n", CgiHead("299 Status", [])),
        (b"Content-Type: text/html\nConnection: close\nTransfer-Encoding: chunked\n\n", CgiHead("200 OK", [HTML])),
        (
            b"Content-Type: text/html\nSet-Cookie: a=1\nSet-Cookie: b=caf\xe9\n\n",
            CgiHead("200 OK", [HTML, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=caf\xe9")]),
        ),
    ],
)
def test_head(data: bytes, expected: CgiHead) -> None:
    for size in (len(data), 7, 1):
        kept, taken = b"", 0
        while (found := read_head(kept)) is None:
            assert taken < len(data), "it wants more than there is"
            kept += data[taken : taken + size]
            taken += size
        assert found[0] == expected
    assert read_head(data + b"\nbody") == (expected, b"\nbody")


def test_what_a_head_says_may_be_sent() -> None:
    """Each of its bytes that passes here passes there."""
    for byte in {*range(256)} - {*b"\0\r\n"}:
        try:
            found = read_head(b"Status: 200 a%cb\nX: a%cb\n\n" % (byte, byte))
        except CgiError:
            continue
        assert found is not None
        Response(None, None, None, False).start_response(found[0].status, found[0].headers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\nbody", "empty line"),
        (b"\r\nbody", "empty line"),
        (b"hello\n\n", "no header line: b'hello'"),
        (b"X-Other: 1\n\n", "none of Content-Type, Location and Status"),
        (b"Status: 99\n\n", "no status: b'99'"),
        (b"Status: 100 Continue\n\n", "no status"),
        (b"Status: abc\n\n", "no status"),
        (b"Status: 2000\n\n", "no status"),
        (b"HTTP/2 200 OK\n\n", "no header line"),
        (b"Content-Type: a\n folded: b\n\n", "no header line"),
        (b"Content-Type: a\0b\n\n", "no header line"),
        (b"Content-Type: a\rSet-Cookie: b\n\n", "no header line"),
        (b"Content Type: a\n\n", "no header line"),
        (b": a\n\n", "no header line"),
        (b"Location: /x%00y\n\n", "Location '/x%00y': bad percent-encoding"),
        (b"Location: /x%zz\n\n", "Location '/x%zz': bad percent-encoding"),
        (b"Content-Type: a\nContent-Length: -1\n\n", "Content-Length '-1' is no number"),
        (b"Content-Type: a\nContent-Length: 1\nContent-Length: 2\n\n", "more than one Content-Length: 1, 2"),
        (b"Content-Type: a\nContent-Length: 99999999999999999999\n\n", "is no number"),
        (b"x" * (HEAD_LIMIT + 1), "no end of its head"),
        (b"X: " + b"x" * HEAD_LIMIT + b"\n\n", "no end of its head"),
    ],
)
def test_no_head(data: bytes, why: str) -> None:
    with pytest.raises(CgiError, match=why):
        read_head(data)


def test_a_local_redirect_is_a_get_without_a_body() -> None:
    found = redirected(REQUEST | {"wsgi.input": object()}, "/caf%C3%A9/x?q=%20")
    assert found["REQUEST_METHOD"] == "GET"
    assert found["PATH_INFO"] == "/caf\xc3\xa9/x"
    assert found["QUERY_STRING"] == "q=%20"
    assert found["REQUEST_URI"] == "/caf%C3%A9/x?q=%20"
    assert found["wsgi.input"] is EMPTY
    assert "CONTENT_LENGTH" not in found
    assert found["HTTP_HOST"] == "web"
    assert redirected(REQUEST | {"REQUEST_METHOD": "HEAD"}, "/")["REQUEST_METHOD"] == "HEAD"
    assert redirected({}, "/")["REQUEST_METHOD"] == "GET"


def test_a_local_redirect_leads_where_a_request_would() -> None:
    for location in ("/a/../b", "/a/%2e%2e/b", "/../b", "/..%2f..%2fb", "/./b?/../c"):
        assert redirected({}, location)["PATH_INFO"] == "/b", location
