"""Where greenwsgi listens."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import ChangeNeeds, Status, option
from greenwsgi.options.value_kinds import PATHS, address, choice, tls_address
from greenwsgi.options.value_types import AUTO, SHARED, Address

PROTOCOL_NAMES = ("uwsgi", "http", "fastcgi", "fastcgi-nph", "scgi", "scgi-nph")
"""The names of wire's PROTOCOLS, which this room cannot import; a test holds the two together."""


@dataclass(frozen=True, kw_only=True)
class SocketsOptions:
    """Sockets"""

    http_socket: tuple[Address, ...] = option(
        "http-socket",
        "http11-socket",
        kind=address("http"),
        default=(),
        help="Listen there and speak HTTP. All sockets may be repeated and mixed.",
        reload=ChangeNeeds.RESTART,
    )
    http: tuple[Address, ...] = option(
        "http",
        "httprouter",
        kind=address("http", router=True),
        default=(),
        help="The same as http-socket.",
        status=Status.PARTIAL,
        note="The workers speak HTTP themselves: there is no router process between.",
        reload=ChangeNeeds.RESTART,
    )
    http_to: tuple[str, ...] = option(
        "http-to",
        metavar="ADDRESS",
        kind=PATHS,
        default=(),
        help="The socket that http hands requests to: one of this server's.",
        status=Status.PARTIAL,
        note="http answers by itself, and hands nothing on; for another server's socket the start is refused.",
        reload=ChangeNeeds.RESTART,
    )
    uwsgi_socket: tuple[Address, ...] = option(
        "uwsgi-socket",
        kind=address("uwsgi"),
        default=(),
        help="Listen there and speak uwsgi (nginx: uwsgi_pass).",
        reload=ChangeNeeds.RESTART,
    )
    fastcgi_socket: tuple[Address, ...] = option(
        "fastcgi-socket",
        kind=address("fastcgi"),
        default=(),
        help="Listen there and speak FastCGI (nginx: fastcgi_pass, Apache: mod_proxy_fcgi).",
        reload=ChangeNeeds.RESTART,
    )
    fastcgi_nph_socket: tuple[Address, ...] = option(
        "fastcgi-nph-socket",
        kind=address("fastcgi-nph"),
        default=(),
        help="The same, answered with a status line as in HTTP instead of a Status header.",
        reload=ChangeNeeds.RESTART,
    )
    scgi_socket: tuple[Address, ...] = option(
        "scgi-socket",
        kind=address("scgi"),
        default=(),
        help="Listen there and speak SCGI (nginx: scgi_pass, Apache: mod_proxy_scgi).",
        reload=ChangeNeeds.RESTART,
    )
    scgi_nph_socket: tuple[Address, ...] = option(
        "scgi-nph-socket",
        kind=address("scgi-nph"),
        default=(),
        help="The same, answered with a status line as in HTTP instead of a Status header.",
        reload=ChangeNeeds.RESTART,
    )
    auto_socket: tuple[Address, ...] = option(
        "auto-socket",
        kind=tls_address(AUTO),
        default=(),
        help="Listen there and speak what the first bytes tell: any protocol of ours, and TLS if given a CERTIFICATE.",
        reload=ChangeNeeds.RESTART,
    )
    socket: tuple[Address, ...] = option(
        "socket",
        short="s",
        kind=address(""),
        default=(),
        help="Listen there and speak what protocol says.",
        reload=ChangeNeeds.RESTART,
    )
    shared_socket: tuple[Address, ...] = option(
        "shared-socket",
        "undeferred-shared-socket",
        kind=address(SHARED),
        default=(),
        help="An address for sockets given as =0, =1, ...: the first of these, the second, ...",
        reload=ChangeNeeds.RESTART,
    )
    protocol: str = option(
        "protocol",
        "socket-protocol",
        kind=choice(*PROTOCOL_NAMES),
        metavar="NAME",
        default="uwsgi",
        help="The protocol of the addresses given with socket, and of inherited sockets whose name is no protocol's.",
        reload=ChangeNeeds.RESTART,
    )
    underscore_headers: str = option(
        "underscore-headers",
        kind=choice("drop", "keep", "refuse"),
        default="drop",
        metavar="WORD",
        help="HTTP headers with _ in their name (X_Real_IP could pass for X-Real-IP): drop, keep or refuse.",
    )
