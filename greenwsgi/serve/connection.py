"""One connection: reads request heads and runs one exchange for each, until the peer or the server ends it.

Hot path: its budget is 2 us per request, without the protocol's work and system calls.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.serve.admission import Admission
from greenwsgi.serve.deadlines import PeerStalled
from greenwsgi.serve.disconnect import Disconnect
from greenwsgi.serve.exchange import Exchange
from greenwsgi.serve.request_slots import Overloaded
from greenwsgi.serve.service import Service
from greenwsgi.serve.stream import Stream
from greenwsgi.shared.metrics import REFUSED, Refused
from greenwsgi.wire.protocol import Event, ProtocolRow, Reply, RequestHead

_now = SystemClock.monotonic

RETRY_AFTER = "1"
FRESH_GRACE = 5.0
IDLE_GRACE = 1.0
"""Seconds that a new connection (FRESH_GRACE) and a kept one (IDLE_GRACE) may still wait for a request while the worker
drains. A client that has just been answered may be sending its next request; closing at once would lose it."""


TLS_HANDSHAKE = 22
"""The first byte of TLS (RFC 8446 5.1); no supported protocol begins with it."""


@dataclass(slots=True)
class Endpoint:
    """The properties of a listener that its connections need."""

    row: ProtocolRow
    """The protocol's row in PROTOCOLS."""
    name: str
    """The listener's address, for the log."""
    environ: dict[str, Any]
    """The variables that every request's environ starts with."""
    preamble: Callable[[Connection], bytes] | None = None
    """Reads the bytes before the protocol. Returns the first bytes of the protocol, b"" if none have been received."""


class Connection:
    """One accepted socket. It implements Channel. `run` serves it, in one pooled greenlet or several in turn.

    Arguments:

    - service: what all connections of the worker share.
    - endpoint: the listener that accepted it.
    - sock: the non-blocking `_socket.socket`.
    - address: the peer's address, as `accept` returned it.

    Attributes:

    - admission: the admission that admitted the connection; `leave` is called at the end. None if there is none.
    - disconnect: watches whether the client leaves; `environ["greenwsgi.disconnected"]`.
    - endpoint: see the argument.
    - environ: the variables that all its requests share. Values of a gateway (REMOTE_ADDR and the like) replace them.
    - fresh: no request has begun yet.
    - greenlet: the greenlet that runs it. None if that greenlet must end; the connection may continue in another one.
    - lingers: the peer may still be sending bytes that will not be read, see Stream.linger.
    - over: no further request is read; the connection only has to be closed.
    - peer: the client's IP address, "" for a unix socket.
    - protocol: the protocol's state machine.
    - scheme: the client's scheme. "" if the peer is a gateway, which supplies the client's address and scheme.
    - sendfile: sends a part of a file without reading it; None where the body is framed or encrypted.
    - service: see the argument.
    - stream: the socket's bytes.
    - waiting_since: monotonic seconds at which it began to wait for a request, 0 once a byte of it has been received.
    """

    __slots__ = (
        "admission",
        "disconnect",
        "endpoint",
        "environ",
        "fresh",
        "greenlet",
        "lingers",
        "over",
        "peer",
        "protocol",
        "scheme",
        "sendfile",
        "service",
        "stream",
        "waiting_since",
    )

    def __init__(self, service: Service, endpoint: Endpoint, sock: Any, address: Any) -> None:
        self.service = service
        self.endpoint = endpoint
        self.peer = address[0] if type(address) is tuple else ""
        self.environ = environ = endpoint.environ.copy()
        policy = service.policy
        timeout = policy.limits.socket_timeout
        self.speak(endpoint.row, Stream(sock, service.deadlines, service.loop_budget, timeout, policy.send_timeout))
        environ["REMOTE_ADDR"] = self.peer
        if self.peer:
            environ["REMOTE_PORT"] = str(address[1])
        self.greenlet: Any = None
        self.admission: Admission | None = None
        self.fresh = True
        self.lingers = False
        self.over = False
        self.waiting_since = _now()

    def speak(self, row: ProtocolRow, stream: Stream) -> None:
        """Use this protocol over this stream. To be called before the first request only."""
        self.stream = stream
        self.protocol = protocol = row.factory(self.service.policy.wire)
        self.scheme = row.scheme
        if self.service.draining and not protocol.says_close:
            stream.hold_back()
        self.sendfile = stream.sendfile if protocol.plain_body and stream.plain else None
        self.disconnect = disconnect = Disconnect(stream, protocol)
        self.environ["greenwsgi.disconnected"] = disconnect

    @property
    def who(self) -> str:
        """The peer, for the log."""
        return self.peer or f"a client of {self.endpoint.name}"

    def run(self) -> bool:
        """Serve requests until the connection ends, or until it needs another greenlet.

        Every error of the connection is handled here. Returns False if the greenlet has not been checked by `is_clean`
        since code of the application ran in it.
        """
        service, pool = self.service, self.service.greenlet_pool
        service.connections.add(self)
        moves = looked = False
        try:
            head = None if self.over else self._first_head() if self.fresh else self._next_head()
            while head is not None:
                self.over = not Exchange(service, self, head).run()
                if not pool.is_clean(self.greenlet) and pool.is_spent(self):
                    self.greenlet = None
                    moves = self.lingers or not self.over
                    break
                head = None if self.over else self._next_head()
            looked = True
        except PeerError as error:
            error.__traceback__ = error.__context__ = (
                None  # the protocol keeps the error, and its frames keep all received data
            )
            service.seat.counters[REFUSED + Refused.REQUEST] += 1
            service.log.info(f"refused {self.who} on {self.endpoint.name}: {error}")
            self.refuse(error.status, error.text)
        except Overloaded as error:
            service.overloaded(str(error))
            self.refuse(503, "the server is overloaded", [("Retry-After", RETRY_AFTER)])
        except PeerGone:
            pass  # the client cannot be answered; an exchange that had begun has written its access line
        except Exception:
            service.log.error(f"a defect of greenwsgi ended a connection from {self.who}\n{traceback.format_exc()}")
        finally:
            if moves:
                pool.move(self)
            else:
                try:
                    self._close()
                finally:  # after `_close`: a draining worker waits for connections that linger
                    service.connections.discard(self)
                    if self.admission is not None:
                        self.admission.leave(self.peer)
        return looked

    def admit(self, admission: Admission) -> bool:
        """Whether the connection may be served. If not, the reason is logged. If so, it calls `leave` when it ends."""
        if reason := admission.refusal(self.peer):
            self.service.seat.counters[REFUSED + Refused.ADDRESS] += 1
            self.service.log.info(f"refused {self.who} on {self.endpoint.name}: {reason}")
            return False
        self.admission = admission
        return True

    def drop(self) -> None:
        """Close at once without waiting: there is no greenlet in which the connection could continue."""
        try:
            self.disconnect.connection_ended()
            self.stream.close()
        finally:
            self.service.connections.discard(self)
            if self.admission is not None:
                self.admission.leave(self.peer)

    def refuse(self, status: int, text: str, extra: Iterable[tuple[str, str]] = ()) -> None:
        """Answer with `status` if the protocol can express it. The connection ends afterwards. 0: no answer."""
        if not status:
            return
        self.lingers = True
        try:
            if answer := self.protocol.refuse(status, text, self.service.date, extra):
                self.stream.send(answer)
        except PeerGone:
            return

    def hurry(self, now: float) -> None:
        """Shorten the wait for the next request, because the worker drains. now: monotonic seconds."""
        if not self.protocol.says_close:
            self.stream.hold_back()
        waiting = self.service.deadlines.waiting
        if self.waiting_since and self.greenlet in waiting:
            grace = FRESH_GRACE if self.fresh else IDLE_GRACE
            waiting[self.greenlet] = min(waiting[self.greenlet], self.waiting_since + grace)

    def _close(self) -> None:
        stream = self.stream
        try:
            protocol = self.protocol
            parting = b"" if protocol.says_close else protocol.parting()
            if (self.lingers or parting or protocol.still_sends) and not stream.gone:
                stream.linger(parting)
        finally:
            self.disconnect.connection_ended()
            stream.close()

    # Heads

    def _first_head(self) -> RequestHead | None:
        if self.service.greenlet_pool.waiting:  # others, up to a hundred, were accepted in the same pass
            self.stream.loop_budget.check(new=True)
        data = b""
        if self.endpoint.preamble is not None:
            data = self.endpoint.preamble(self)
            self.waiting_since = _now()
        if not data:
            grace = FRESH_GRACE if self.service.draining else self.service.policy.limits.header_timeout
            data = self.stream.recv(self.waiting_since + grace)
            if not data:
                return None
        self.fresh = False
        if data[0] == TLS_HANDSHAKE:
            raise PeerError("TLS is spoken on a socket without it", 0)
        self.waiting_since = 0.0
        protocol = self.protocol
        protocol.receive_data(data)
        event = protocol.next_event()  # usually the whole head has been received
        return event if type(event) is RequestHead else self._read_slow_head(event)

    def _next_head(self) -> RequestHead | None:
        """The next head of a kept connection; None when the client has left."""
        protocol, service = self.protocol, self.service
        if protocol.next_request():  # a pipelined request, or a part of one
            service.loop_budget.check()
            return self._read_slow_head(protocol.next_event())
        self.waiting_since = now = _now()
        data = self.stream.recv_later(
            now + (IDLE_GRACE if service.draining else service.policy.limits.keepalive_timeout)
        )
        if not data:
            return None
        self.waiting_since = 0.0
        protocol.receive_data(data)
        event = protocol.next_event()
        return event if type(event) is RequestHead else self._read_slow_head(event)

    def _read_slow_head(self, event: Event | None) -> RequestHead | None:
        """Read a head that comes in pieces; 408 after the header deadline. Sends the protocol's Replies meanwhile."""
        protocol, stream, limits = self.protocol, self.stream, self.service.policy.limits
        deadline, parting = _now() + limits.header_timeout, False
        while type(event) is not RequestHead:
            if type(event) is Reply:
                stream.send_next(event.data)
            elif event is not None:  # the protocol ended the connection after a Reply
                self.lingers = True
                return None
            else:
                if protocol.idle:  # after a Reply: the same state as between two requests
                    self.waiting_since = now = _now()
                    if not self.service.draining:
                        deadline = now + limits.keepalive_timeout
                    elif not parting:  # once only: replies must not delay the end of the worker
                        parting, deadline = True, now + IDLE_GRACE
                stream.loop_budget.check()
                try:
                    data = stream.recv(deadline)
                except PeerStalled:
                    if protocol.idle:
                        return None
                    raise PeerError("the request head did not come in time (header-timeout)", 408) from None
                if self.waiting_since:
                    self.waiting_since = 0.0
                    if not parting:
                        deadline = _now() + limits.header_timeout
                protocol.receive_data(data)
            event = protocol.next_event()
            if event is None and protocol.at_eof:
                return None
        return event
