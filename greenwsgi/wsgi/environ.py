"""environ: CGI variables from the wire plus what only the server knows (PEP 3333 "environ Variables").

Hot path, budget 1 us. The dictionary that the protocol made becomes the environ itself; two small tables, computed once
a listener and once a connection, complete it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TextIO

from greenwsgi import __version__
from greenwsgi.wsgi.files import FileWrapper

SOFTWARE = f"greenwsgi/{__version__}"


def fixed_part(*, multiprocess: bool, errors: TextIO | None = None, node: str = "") -> dict[str, Any]:
    """What is the same for every request of a worker; a peer's variable of such a name never wins."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.errors": errors or sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
        "SERVER_SOFTWARE": SOFTWARE,
        "uwsgi.version": SOFTWARE.encode(),
        "uwsgi.node": node.encode(),
    }


def build(
    variables: dict[str, Any], fixed: Mapping[str, Any], socket_part: Mapping[str, str], scheme: str, body: Any
) -> dict[str, Any]:
    """Complete `variables`, as the wire gave them, to an environ, in place.

    socket_part: SERVER_NAME, SERVER_PORT, REMOTE_ADDR, REMOTE_PORT as the socket has them; what a uwsgi peer said of
    these wins, for it knows the real client. scheme: that of the listener; a uwsgi peer may know better.
    """
    for name, value in socket_part.items():
        if name not in variables:
            variables[name] = value
    variables.update(fixed)
    variables["wsgi.input"] = body
    variables["wsgi.url_scheme"] = scheme
    return variables


def gateway_scheme(variables: Mapping[str, str]) -> str:
    """The scheme a gateway speaks of: UWSGI_SCHEME first, then HTTPS, then REQUEST_SCHEME (nginx's uwsgi_params)."""
    scheme = variables.get("UWSGI_SCHEME")
    if scheme:
        return scheme
    secure = variables.get("HTTPS", "")
    if secure[:2].lower() == "on" or secure[:1] == "1":
        return "https"
    return "https" if variables.get("REQUEST_SCHEME") == "https" else "http"
