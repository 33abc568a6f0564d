"""How the sockets are bound, and what the kernel is told of them; which there are stands in sockets.py."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import ChangeNeeds, Status, option
from greenwsgi.options.value_kinds import FLAG, INTEGER, MASK, OCTAL, OWNER, SECONDS, SIZE, WORKER_MAP
from greenwsgi.options.value_types import WorkerMap


@dataclass(frozen=True, kw_only=True)
class ListeningOptions:
    """Listening"""

    listen: int = option(
        "listen",
        short="l",
        kind=INTEGER,
        default=1024,
        least=1,
        help="How many connections may wait to be accepted; the kernel has a cap too.",
        reload=ChangeNeeds.RESTART,
    )
    chmod_socket: int | None = option(
        "chmod-socket",
        "chmod",
        short="C",
        kind=OCTAL,
        default=None,
        help="The mode of socket files; 666 if no mode is given.",
        reload=ChangeNeeds.RESTART,
    )
    chown_socket: str = option(
        "chown-socket",
        kind=OWNER,
        default="",
        help="Who owns socket files; user, user:group or :group, by name or by number.",
        reload=ChangeNeeds.RESTART,
    )
    abstract_socket: bool = option(
        "abstract-socket",
        short="a",
        kind=FLAG,
        default=False,
        help="Bind every path as a name in the abstract namespace (Linux), as @PATH does for one.",
        reload=ChangeNeeds.RESTART,
    )
    vacuum: bool = option(
        "vacuum",
        kind=FLAG,
        default=True,
        help="Remove socket files and the pidfile at the end.",
        status=Status.PARTIAL,
        note="True is the default here: what they name is not served any more. False leaves them.",
        reload=ChangeNeeds.RESTART,
    )
    map_socket: tuple[WorkerMap, ...] = option(
        "map-socket",
        kind=WORKER_MAP,
        default=(),
        help="Socket N, counted from 0, is only for these workers; http and https go with 0. May be repeated.",
    )
    reuse_port: bool = option(
        "reuse-port",
        kind=FLAG,
        default=False,
        help="Let another server listen on the same TCP addresses, so that a new release can start beside this one.",
        note="The kernel gives each of them a share of the connections. The master binds once, so workers come and go"
        " without loss. A server that stops answers what waits in its queue; if it is killed, that is reset.",
        status=Status.PARTIAL,
        reload=ChangeNeeds.RESTART,
    )
    freebind: bool = option(
        "freebind",
        kind=FLAG,
        default=False,
        help="Bind TCP addresses that this machine does not have yet (Linux).",
        reload=ChangeNeeds.RESTART,
    )
    defer_accept: float = option(
        "defer-accept",
        kind=SECONDS,
        default=0,
        help="Leave a TCP connection in the kernel until it sends, for this long at most (Linux); 0: take it at once.",
        reload=ChangeNeeds.RESTART,
    )
    tcp_fast_open: int = option(
        "tcp-fast-open",
        "tcp-fastopen",
        kind=INTEGER,
        default=0,
        help="Take data with the first packet of a connection, from this many clients at once (Linux); 0: from none.",
        reload=ChangeNeeds.RESTART,
    )
    tcp_nodelay: bool = option(
        "tcp-nodelay",
        kind=FLAG,
        default=True,
        help="Send small packets at once (TCP_NODELAY).",
        status=Status.PARTIAL,
        note="True is the default here; false costs many an answer 40 ms.",
        reload=ChangeNeeds.RESTART,
    )
    so_keepalive: bool = option(
        "so-keepalive",
        kind=FLAG,
        default=False,
        help="Let the kernel look now and then whether silent TCP clients are still there (SO_KEEPALIVE).",
        reload=ChangeNeeds.RESTART,
    )
    so_sndbuf: int = option(
        "so-sndbuf",
        "socket-sndbuf",
        kind=SIZE,
        default=0,
        help="The kernel's buffer for what is sent on a connection, in bytes; 0 leaves it to the kernel.",
        reload=ChangeNeeds.RESTART,
    )
    so_rcvbuf: int = option(
        "so-rcvbuf",
        "socket-rcvbuf",
        kind=SIZE,
        default=0,
        help="The kernel's buffer for what is received on a connection, in bytes; 0 leaves it to the kernel.",
        reload=ChangeNeeds.RESTART,
    )
    so_send_timeout: float = option(
        "so-send-timeout",
        "socket-send-timeout",
        "so-write-timeout",
        "socket-write-timeout",
        kind=SECONDS,
        default=0,
        help="How long one write may wait for the client; 0: as long as socket-timeout says.",
    )
    umask: int | None = option(
        "umask",
        kind=MASK,
        default=None,
        help="The file mode creation mask of all processes, in octal; it is set before sockets are bound.",
        reload=ChangeNeeds.RESTART,
    )
