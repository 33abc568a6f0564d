"""One StreamServer for each listener: accepts, and gives each connection a greenlet.

Hot path for clients that do not keep their connection.
"""

from __future__ import annotations

import _socket
import errno
import os
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from gevent.server import StreamServer
from gevent.socket import socket

from greenwsgi.clock import SystemClock
from greenwsgi.serve.admission import Admission
from greenwsgi.serve.connection import Connection, Endpoint
from greenwsgi.serve.service import Service
from greenwsgi.shared.resources import BoundListener
from greenwsgi.wire.registry import row_of

_SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
SHORTAGE_PAUSE = 0.1
"""Seconds without accepting when no descriptor is free."""
BUSY_PAUSE = 0.01
"""Seconds without accepting when no slot is free and a sibling has one."""
REST_PAUSE = 0.02
"""While the server stops: seconds between two checks of the queue."""
REST_BATCH = 100
"""While the server stops: the number of connections accepted at one check."""

_now = SystemClock.monotonic


class OneAtATime(Protocol):
    """The probation of a worker that may have only one connection at a time. CrashProbation implements it."""

    taken: bool
    """There is a connection: the next one must wait."""

    def take(self) -> None:
        """A connection has been accepted."""


class Acceptor(StreamServer):
    """Accepts from a listener that other workers may share.

    Arguments:

    - fd: the listener's descriptor.
    - service: what all connections of the worker share.
    - endpoint: the listener's endpoint.
    - siblings_have_room: whether another worker on this listener has a free slot; None if there is no other. With
      siblings one connection is accepted per pass of the loop (`max_accept`), so that they get connections too.
    - capacity: how many connections the worker may hold, bounded by its descriptors.
    - admission: the rule for clients; None if all may connect, which has no cost.

    Attribute `probation`: set while the worker takes one connection at a time, because its predecessor crashed.
    """

    def __init__(
        self,
        fd: int,
        service: Service,
        endpoint: Endpoint,
        *,
        siblings_have_room: Callable[[], bool] | None,
        capacity: int,
        admission: Admission | None = None,
    ) -> None:
        self.max_accept = 1 if siblings_have_room else 100
        self._siblings_have_room = siblings_have_room
        self._service = service
        self._endpoint = endpoint
        self._capacity = capacity
        self._again: Any = None
        self._rest: Any = None
        self._paused = self._empty = False
        self._admission = admission
        self.probation: OneAtATime | None = None
        self._accepted_in = -1
        self._more = False
        """`_accepted_in`: the pass of the loop of the last accept. `_more`: it was not the first in that pass."""
        self._holders = service.descriptor_owners.holders
        super().__init__(socket(fileno=fd))

    def handle(self, *args: Any) -> None:
        """Required by StreamServer; `do_handle` replaces it."""

    def full(self) -> bool:
        """Whether to leave connections in the kernel: no descriptor is free, or no slot while a sibling has one."""
        service = self._service
        if self.probation is not None and self.probation.taken:
            return True
        if len(service.connections) >= self._capacity:
            service.overload.shortage = (
                f"the worker has {self._capacity} connections, all that its descriptors allow (max-fd)"
            )
            self._pause(SHORTAGE_PAUSE)
            return True
        if not service.slots.free and self._siblings_have_room and self._siblings_have_room():
            self._pause(BUSY_PAUSE)
            return True
        return False

    def do_read(self) -> Any:
        """Accept one connection: its socket and the peer's address. None if there is none, or to give way."""
        listener, holders, turn = self.socket, self._holders, self.loop.iteration
        if self._accepted_in != turn:
            self._accepted_in, self._more = turn, False
        elif not self._more:  # usually there is no second one, and the check of the budget takes 0.1 us
            self._more = True
        elif self._service.loop_budget.over():
            self._empty = False
            return None
        try:
            fd, address = listener._accept()  # type: ignore[attr-defined]  # the descriptor, without a socket around it
            holder = holders.get(fd)
            if holder is not None and holder.fileno() == fd:  # closed, but not by its holder
                fd = self._service.descriptor_owners.settle(fd, holder)
        except BlockingIOError:
            return None  # a sibling was faster
        except ConnectionError:
            self._empty = False
            return None  # the client left while it was in the queue
        except OSError as error:
            if error.errno == errno.EINVAL:  # the master has shut it down: the server stops
                self.stop_accepting()
                return None
            if error.errno not in _SHORTAGE:
                raise
            self._service.overload.shortage = f"cannot accept on {self._endpoint.name} for now: {error.strerror}"
            self._empty = False
            self._pause(SHORTAGE_PAUSE)
            return None
        holders[fd] = sock = _socket.socket(listener.family, listener.type, listener.proto, fd)
        sock.setblocking(False)
        return sock, address

    def do_handle(self, sock: Any, address: Any) -> None:
        """Run a connection in a greenlet."""
        connection = Connection(self._service, self._endpoint, sock, address)
        if self._admission is not None and not connection.admit(self._admission):
            sock.close()
            return
        if self.probation is not None:
            self.probation.take()
        try:
            self._service.greenlet_pool.carry(connection)
        except BaseException:  # there is no memory for a greenlet
            sock.close()
            if connection.admission is not None:
                connection.admission.leave(connection.peer)
            raise

    def close(self) -> None:
        """Stop accepting and close the listener."""
        for timer in (self._again, self._rest):
            if timer is not None:
                timer.stop()
        super().close()

    def drain(self, grace: float, most: float = inf) -> None:
        """The server stops: accept the connections in the queue, since no other process does, and then close.

        It closes when the queue is empty, `grace` seconds from now at the earliest and `most` at the latest. It accepts
        even if it is paused or siblings have room; without descriptors it waits for some.
        """
        self._paused = True  # a timer checks from now on: a unix socket that was shut down is always readable
        self.stop_accepting()
        earliest, latest = _now() + grace, _now() + most
        self._rest = self.loop.timer(0.0, REST_PAUSE)
        self._rest.start(self._take_rest, earliest, latest)

    def _take_rest(self, earliest: float, latest: float) -> None:
        for _ in range(REST_BATCH):
            self._empty = len(self._service.connections) < self._capacity  # unless do_read finds out that it is not
            accepted = self.do_read() if self._empty else None
            if accepted is None:
                break
            self._empty = False
            self.do_handle(*accepted)
        now = _now()
        if (self._empty and now >= earliest) or now >= latest:
            self.close()

    def pause(self, paused: bool) -> None:
        """Pause or resume accepting. While paused, connections wait in the backlog."""
        if self._rest is not None:
            return
        self._paused = paused
        if paused:
            self.stop_accepting()
        else:
            self.resume()

    def _pause(self, seconds: float) -> None:
        self.stop_accepting()
        self._again = self.loop.timer(seconds)
        self._again.start(self.resume)

    def resume(self) -> None:
        """Accept again, unless the acceptor is paused or closed."""
        if self.started and not self._paused:
            self.start_accepting()


def endpoint_of(
    listener: BoundListener, fixed: dict[str, Any], preamble: Callable[[Connection], bytes] | None = None
) -> Endpoint:
    """The endpoint of a listener. SERVER_NAME is the host's name, as under uWSGI."""
    with socket(fileno=os.dup(listener.fd)) as sock:
        address = sock.getsockname()
    port = str(address[1]) if isinstance(address, tuple) else "80"  # PEP 3333: SERVER_PORT is never empty
    environ = fixed | {"SERVER_NAME": os.uname().nodename, "SERVER_PORT": port}
    return Endpoint(row_of(listener.protocol), listener.name, environ, preamble)
