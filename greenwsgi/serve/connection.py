"""One connection: request heads in, exchanges, until either side has had enough.

Hot path, budget 2 us a request beside wire and the system calls.
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
"""While its worker drains, seconds that a new and a kept connection still get to send a request. A client that has just
been answered may be sending its next request at this moment: closing at once would lose it."""


TLS_HANDSHAKE = 22
"""The first byte of TLS (RFC 8446 5.1); no protocol that is spoken here begins with it."""


@dataclass(slots=True)
class Endpoint:
    """One listener as its connections see it."""

    row: ProtocolRow
    name: str
    """Its address, for the log."""
    environ: dict[str, Any]
    """What every environ of its requests begins with."""
    preamble: Callable[[Connection], bytes] | None = None
    """Reads what comes before the protocol; returns the protocol's first bytes, if they have come."""


class Connection:
    """One accepted socket; `run` serves it in a greenlet, and again in another one when it has to go on there.

    greenlet: the one it runs in; None when that is to end, which the connection may survive in another one.
    over: there is no next request, only the end of the connection is left.
    waiting_since: when it began to wait for a request of which no byte has come, 0 while there is one.
    fresh: no request was ever begun.
    scheme: the client's; "" when the peer is a gateway, a web server which knows the client's address and scheme.
    lingers: bytes may be on their way to us that nobody will read, see Stream.linger.
    environ: what all its requests have in common; a uwsgi peer's word on REMOTE_ADDR and the like replaces ours.
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
        """Speak this protocol over this stream; before the first request only."""
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

        This is the border at which every error of a connection stops. False when its greenlet was not looked at since
        code of the application ran in it.
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
                None  # the protocol keeps it, and its frames keep all that has come
            )
            service.seat.counters[REFUSED + Refused.REQUEST] += 1
            service.log.info(f"refused {self.who} on {self.endpoint.name}: {error}")
            self.refuse(error.status, error.text)
        except Overloaded as error:
            service.overloaded(str(error))
            self.refuse(503, "the server is overloaded", [("Retry-After", RETRY_AFTER)])
        except PeerGone:
            pass  # nobody is left to answer, and an exchange that had begun has its access line
        except Exception:
            service.log.error(f"a defect of greenwsgi ended a connection from {self.who}\n{traceback.format_exc()}")
        finally:
            if moves:
                pool.move(self)
            else:
                try:
                    self._close()
                finally:  # not before: a worker that drains waits for its connections, and one that lingers is not over
                    service.connections.discard(self)
                    if self.admission is not None:
                        self.admission.leave(self.peer)
        return looked

    def admit(self, admission: Admission) -> bool:
        """May it be served? If not, a line in the log says why. If so, it leaves the admission at its end."""
        if reason := admission.refusal(self.peer):
            self.service.seat.counters[REFUSED + Refused.ADDRESS] += 1
            self.service.log.info(f"refused {self.who} on {self.endpoint.name}: {reason}")
            return False
        self.admission = admission
        return True

    def drop(self) -> None:
        """Close at once, without waiting for anything: there is no greenlet to go on in."""
        try:
            self.disconnect.connection_ended()
            self.stream.close()
        finally:
            self.service.connections.discard(self)
            if self.admission is not None:
                self.admission.leave(self.peer)

    def refuse(self, status: int, text: str, extra: Iterable[tuple[str, str]] = ()) -> None:
        """Answer with `status` where the protocol can say it; the connection ends after that."""
        if not status:
            return
        self.lingers = True
        try:
            if answer := self.protocol.refuse(status, text, self.service.date, extra):
                self.stream.send(answer)
        except PeerGone:
            return

    def hurry(self, now: float) -> None:
        """The worker drains: cut short the wait for a request that may never come."""
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
        if self.service.greenlet_pool.waiting:  # others were accepted at the same time, perhaps a hundred
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
        event = protocol.next_event()  # usually all of the head
        return event if type(event) is RequestHead else self._read_slow_head(event)

    def _next_head(self) -> RequestHead | None:
        """The next head of a kept connection; None when the client has left."""
        protocol, service = self.protocol, self.service
        if protocol.next_request():  # a pipelined one, or a part of it
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
        """A head in pieces: all of it before the header deadline, else 408. Answers on the way what is no request."""
        protocol, stream, limits = self.protocol, self.stream, self.service.policy.limits
        deadline, parting = _now() + limits.header_timeout, False
        while type(event) is not RequestHead:
            if type(event) is Reply:
                stream.send_next(event.data)
            elif event is not None:  # the end, behind a Reply
                self.lingers = True
                return None
            else:
                if protocol.idle:  # after a Reply: as between two requests
                    self.waiting_since = now = _now()
                    if not self.service.draining:
                        deadline = now + limits.keepalive_timeout
                    elif not parting:  # once: replies must not keep the worker from its end
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
