"""Ends a request by an exception thrown into its greenlet, wherever that waits.

It may wait for the answer to a query, on a connection that came from a pool. If the pool gives that connection to
another request, the first answer there is the one to this query. SQLAlchemy, psycopg_pool, PyMySQL and redis-py discard
it for any BaseException (tests/live/test_pools.py). Code that handles nothing but Exception does not.
"""

from __future__ import annotations

import _socket
import os
from contextlib import suppress
from typing import Any

from gevent.socket import socket

_WAITING = frozenset({"gevent._socketcommon", "gevent._socket3", "gevent.ssl"})
"""Modules whose methods wait on the socket that is `self` in their frame, in calls without Python frames."""


def interrupt(greenlet: Any, error: BaseException) -> None:
    """Throw `error` into the greenlet. To be called in the hub, while that greenlet waits.

    If it waited on a connected socket of the application, that socket is shut down afterwards, unless the application
    has closed it: no other request may receive the answer.
    """
    sock = _waits_on(greenlet)
    try:
        greenlet.throw(error)
    finally:
        if sock is not None:
            _end(sock)


def _waits_on(greenlet: Any) -> Any:
    """The gevent socket on which the greenlet waits, or None."""
    frame = greenlet.gr_frame
    if frame is None or frame.f_globals.get("__name__") not in _WAITING:
        return None
    found = frame.f_locals.get("self")
    return found if isinstance(found, socket) else None


def _end(sock: Any) -> None:
    """Shut down a stream connection; not a listening or datagram socket, which other greenlets may use too."""
    with suppress(OSError):  # it is closed, or not connected
        plain = _socket.socket(fileno=os.dup(sock.fileno()))  # gevent's shutdown would throw into other greenlets
        try:
            if plain.type == _socket.SOCK_STREAM and not plain.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
                plain.shutdown(_socket.SHUT_RDWR)
        finally:
            plain.close()
