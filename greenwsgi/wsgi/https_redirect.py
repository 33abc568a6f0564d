"""From HTTP to HTTPS: the redirect of http-to-https, and Strict-Transport-Security (RFC 6797)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from greenwsgi.wsgi.types import Application, Environ, ExcInfo, Headers, StartResponse, Write

REDIRECT = "greenwsgi.redirect"
"""The key in environ of a socket that only redirects; its value is the port of HTTPS."""

_HOST = re.compile(r"([A-Za-z0-9.\-_~]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?\Z")


class Https:
    """A WSGI application that redirects requests of a redirect socket, and passes all others on to `application`.

    hsts: for how many seconds browsers must remember to use HTTPS; 0 sends no such header. It goes with each answer to
    a request that came by HTTPS (RFC 6797 7.2: never by HTTP), unless the application sends the header itself.
    """

    def __init__(self, application: Application, hsts: int) -> None:
        self._application = application
        self._hsts = ("Strict-Transport-Security", f"max-age={hsts}") if hsts else None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if REDIRECT in environ:
            return redirect(environ, start_response)
        hsts = self._hsts
        if hsts is None or environ["wsgi.url_scheme"] != "https":
            return self._application(environ, start_response)

        def start(status: str, headers: Headers, exc_info: ExcInfo | None = None) -> Write:
            if type(headers) is list and not any(name.lower() == "strict-transport-security" for name, _ in headers):
                headers = [*headers, hsts]
            return start_response(status, headers, exc_info)

        return self._application(environ, start)


def redirect(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a permanent redirect to the same host and path by HTTPS; the method stays (RFC 9110 15.4.9)."""
    host = _HOST.match(environ.get("HTTP_HOST", ""))
    if host is None:
        return _answer(start_response, "400 Bad Request", [], b"the request names no host to send you on to\n")
    port = "" if environ[REDIRECT] == 443 else f":{environ[REDIRECT]}"
    target = environ.get("REQUEST_URI", "/")
    location = f"https://{host[1]}{port}{target if target.startswith('/') else '/'}"
    permanent = "301 Moved Permanently" if environ["REQUEST_METHOD"] in ("GET", "HEAD") else "308 Permanent Redirect"
    return _answer(start_response, permanent, [("Location", location)], b"")


def _answer(start_response: StartResponse, status: str, more: Headers, body: bytes) -> Iterable[bytes]:
    headers: Any = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *more]
    start_response(status, headers)
    return [body]
