"""Where greenwsgi listens."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.kinds import FLAG, INTEGER, OCTAL, Address, address, choice
from greenwsgi.options.spec import Reason, Reload, Status, option

PROTOCOL_NAMES = ("uwsgi", "http", "scgi", "scgi-nph")
"""The names of wire's PROTOCOLS, which this room cannot import; a test holds the two together."""


@dataclass(frozen=True, kw_only=True)
class Sockets:
    """Sockets"""

    http_socket: tuple[Address, ...] = option(
        "http-socket",
        "http11-socket",
        kind=address("http"),
        default=(),
        help="Listen there and speak HTTP. All sockets may be repeated and mixed.",
        reload=Reload.RESTART,
    )
    http: tuple[Address, ...] = option(
        "http",
        "httprouter",
        kind=address("http"),
        default=(),
        help="The same as http-socket.",
        status=Status.PARTIAL,
        note="The workers speak HTTP themselves: there is no router process between.",
        reload=Reload.RESTART,
    )
    uwsgi_socket: tuple[Address, ...] = option(
        "uwsgi-socket",
        kind=address("uwsgi"),
        default=(),
        help="Listen there and speak uwsgi (nginx: uwsgi_pass).",
        reload=Reload.RESTART,
    )
    scgi_socket: tuple[Address, ...] = option(
        "scgi-socket",
        kind=address("scgi"),
        default=(),
        help="Listen there and speak SCGI (nginx: scgi_pass, Apache: mod_proxy_scgi).",
        reload=Reload.RESTART,
    )
    scgi_nph_socket: tuple[Address, ...] = option(
        "scgi-nph-socket",
        kind=address("scgi-nph"),
        default=(),
        help="The same, answered with a status line as in HTTP instead of a Status header.",
        reload=Reload.RESTART,
    )
    socket: tuple[Address, ...] = option(
        "socket",
        short="s",
        kind=address(""),
        default=(),
        help="Listen there and speak what protocol says.",
        reload=Reload.RESTART,
    )
    protocol: str = option(
        "protocol",
        "socket-protocol",
        kind=choice(*PROTOCOL_NAMES),
        default="uwsgi",
        help="The protocol of the addresses given with socket.",
        reload=Reload.RESTART,
    )
    underscore_headers: str = option(
        "underscore-headers",
        kind=choice("drop", "keep", "refuse"),
        default="drop",
        metavar="WORD",
        help="HTTP headers with _ in their name (X_Real_IP could pass for X-Real-IP): drop, keep or refuse.",
    )
    listen: int = option(
        "listen",
        short="l",
        kind=INTEGER,
        default=1024,
        least=1,
        help="How many connections may wait to be accepted; the kernel has a cap too.",
        reload=Reload.RESTART,
    )
    chmod_socket: int | None = option(
        "chmod-socket",
        "chmod",
        short="C",
        kind=OCTAL,
        default=None,
        help="The mode of socket files; 666 if no mode is given.",
        reload=Reload.RESTART,
    )
    vacuum: bool = option(
        "vacuum",
        kind=FLAG,
        default=False,
        help="Remove socket files and the pidfile at the end.",
        reason=Reason.ALWAYS,
        reload=Reload.RESTART,
    )
