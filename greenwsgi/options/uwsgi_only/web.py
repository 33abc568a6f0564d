"""Requests and responses: limits, headers, static files, routing, WebSockets; what there is no value for."""

from __future__ import annotations

from collections.abc import Iterator

from greenwsgi.options.option_spec import Option, Reason
from greenwsgi.options.uwsgi_only.by_value import route, route_run
from greenwsgi.options.uwsgi_only.row_format import accepted, later, refused

_ROUTE = "it may be what guards the site, and routing does not work yet; do it in nginx or in the application"
_SUBJECTS = {
    "": "path",
    "host": "Host",
    "uri": "URI",
    "qs": "query string",
    "remote-addr": "client address",
    "remote-user": "user",
    "user-agent": "User-Agent",
    "referer": "Referer",
    "status": "status",
}
_WHEN = {
    "route": "before the application",
    "error-route": "when there is an error",
    "response-route": "when the application has answered",
    "final-route": "when all is done",
}


def _routes() -> Iterator[Option]:
    """The four times at which uWSGI routes, each with the same ways to say which requests."""
    for family, when in _WHEN.items():
        subjects = {name: what for name, what in _SUBJECTS.items() if name != "status" or family != "route"}
        matching = "\n".join(
            f"{family}-{name}".rstrip("-") + f" =: match the {what}, {when}" for name, what in subjects.items()
        )
        conditions = f"{family}-if =: act if something is so, {when}\n{family}-if-not =: act if it is not, {when}"
        yield from refused(_ROUTE, f"{matching}\n{conditions}", judge=route)
        yield from refused(_ROUTE, f"{family}-run =: act always, {when}", judge=route_run)
        yield from later("It comes with routing", f"{family}-label =: a place in the rules to jump to, {when}")


ROWS = (
    *accepted(
        Reason.ALWAYS,
        """
        ignore-sigpipe: say nothing of SIGPIPE
        ignore-write-errors: say nothing when a client has left | its access line says 499
        write-errors-tolerance =: how many write errors are allowed | a client that has left is no error
        write-errors-exception-only: tell the application alone of write errors
        disable-write-exception: do not raise in the application when a client has left
        """,
    ),
    *accepted(
        Reason.DESIGN,
        """
        max-vars -v =: how many variables a request may have | their sum is bounded by buffer-size
        response-headers-limit =: the longest response head | there is no buffer that it could overflow
        chunked-input-limit =: the longest chunk of a request body
            | chunks are read in parts; limit-post bounds the whole
        chunked-input-timeout =: how long to wait for a chunk | every read has socket-timeout
        disable-sendfile: send files by read and write
        """,
    ),
    *accepted(
        Reason.GEVENT,
        """
        post-buffering =: take the whole body before the application starts, on disk above this size
            | bodies are streamed, and a slow one holds a greenlet alone
        post-buffering-bufsize =: the buffer for that
        body-read-warning =: warn when a body of so many MB is read into memory
        offload-threads offload-thread =: threads that send files
        """,
    ),
    *later(
        "Not yet; a WSGI middleware or nginx can do it",
        """
        collect-header response-header-collect =: note a response header in a variable
        pull-header =: the same, and take it out
        error-page-403 =: a page for our 403
        error-page-404 =: a page for our 404
        error-page-500 =: a page for our 500
        """,
    ),
    *later(
        "No files are served yet; let nginx do it",
        """
        static-map =: serve the files of a folder below a path
        static-map2 =: the same, with the whole path
        check-static static-check =: serve a file of this folder if there is one
        check-static-docroot: serve a file of DOCUMENT_ROOT if there is one
        static-index =: the file that stands for a folder
        static-skip-ext =: endings that are no files
        static-safe =: a folder that links may lead to
        static-cache-paths =: how long to remember where files are
        static-cache-paths-name =: the cache for that
        static-expires =: Expires for files that match
        static-expires-mtime =: the same, from the file's time
        static-expires-uri =: Expires for URIs that match
        static-expires-uri-mtime =: the same, from the file's time
        static-expires-path-info =: Expires for paths that match
        static-expires-path-info-mtime =: the same, from the file's time
        static-expires-type =: Expires for types of files
        static-expires-type-mtime =: the same, from the file's time
        static-gzip =: send the .gz file beside files that match
        static-gzip-all: send the .gz file beside all files
        static-gzip-dir static-gzip-prefix =: send it beside those of a folder
        static-gzip-ext static-gzip-suffix =: send it beside those of an ending
        mimefile mime-file =: where the types of files are listed
        honour-range: answer Range
        file-serve-mode fileserve-mode =: let nginx send the files
        check-cache [=]: answer from a cache
        """,
    ),
    *_routes(),
    *accepted(
        Reason.TUNES,
        """
        pcre-jit: compile regular expressions
        router-list routers-list: list the actions of routes
        """,
    ),
    *later(
        "They come with the uwsgi module",
        """
        websockets-ping-freq websocket-ping-freq =: how often a WebSocket is pinged
        websockets-pong-tolerance websocket-pong-tolerance =: how long the answer may take
        websockets-max-size websocket-max-size =: the longest message, in KB
        """,
    ),
)
