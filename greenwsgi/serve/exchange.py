"""One exchange: a request, its slot, its deadline and its answer.

Hot path: its budget is 5 us, without the work of wire/, wsgi/ and system calls. An exchange holds a slot from the time
its head is complete to the end of its answer. HarakiriTimeout carries the exchange that it is meant for, so it can only
end that exchange, never the next one of the same channel.
"""

from __future__ import annotations

import time
from math import inf
from typing import Any

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.log import tracebacks
from greenwsgi.log.access_log import AccessLog
from greenwsgi.log.request_record import Outcome, RequestRecord
from greenwsgi.serve.channel import Channel
from greenwsgi.serve.deadlines import NEVER, PeerStalled
from greenwsgi.serve.disconnect import ClientLeft
from greenwsgi.serve.request_body import SMALL, RequestBody
from greenwsgi.serve.service import RunningExchange, Service
from greenwsgi.shared.metrics import CLIENT_GONE, EXCEPTIONS, FULL, HARAKIRIS
from greenwsgi.wire.protocol import RequestHead
from greenwsgi.wsgi.environ import gateway_scheme
from greenwsgi.wsgi.response import Response
from greenwsgi.wsgi.run_application import run
from greenwsgi.wsgi.wsgi_errors import GatewayErrors
from greenwsgi.wsgi.wsgi_input import open_body

_now = SystemClock.monotonic
_wall = time.time

CLIENT_LEFT_STATUS = "499"
"""nginx's status for a client that left. It appears in access lines only and is never sent."""
HARAKIRI_STATUS = "504"
"""The status of an answer in place of a request that harakiri has ended."""


class HarakiriTimeout(BaseException):
    """Thrown into the greenlet of an exchange that is past its deadline.

    Not an Exception, so that an application's `except Exception` does not swallow it.
    """

    def __init__(self, exchange: RunningExchange) -> None:
        super().__init__("the request took longer than harakiri allows")
        self.exchange = exchange


class Exchange:
    """One request and its answer on a channel. It implements RunningExchange; `run` does all the work.

    Arguments:

    - service: what all connections of the worker share.
    - channel: the connection, or a stream of one, that carries the request.
    - head: the request's head.

    Attributes:

    - begun: monotonic seconds at which it took its slot. Set by `run`.
    - core: the number of its slot. Set by `run`.
    - deadline: monotonic seconds at which harakiri ends it, infinite for none. Set by `run`.
    - line: the client's address, method, URI and protocol, separated by tabs, as the scoreboard stores them.
    - seen: the watchdog has seen it.
    - strikes: how often harakiri has thrown an exception into it.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_channel",
        "_environ",
        "_harakiri",
        "_head",
        "_response",
        "_service",
        "begun",
        "core",
        "deadline",
        "line",
        "seen",
        "strikes",
    )  # fmt: skip

    def __init__(self, service: Service, channel: Channel, head: RequestHead) -> None:
        variables = head.vars
        self._service = service
        self._channel = channel
        self._head = head
        # Nothing in environ refers back to the exchange: collecting a reference cycle costs 7 us per request.
        self._environ = environ = channel.environ | variables
        if not channel.scheme or service.policy.forwarding is not None:
            self._find_client(environ)
        method = variables.get("REQUEST_METHOD", "")
        # The application may change its environ, so the values for the log are copied first.
        self.line = (
            f"{environ['REMOTE_ADDR']}\t{method}\t{variables.get('REQUEST_URI', '')}"
            f"\t{variables.get('SERVER_PROTOCOL', '')}"
        )
        self._body = None
        if head.length:
            self._body = RequestBody(
                channel.protocol, channel.stream, head.expects_continue, service.policy.limits.body_min_rate
            )
            environ["wsgi.input"] = open_body(self._body.pull)
            if head.length <= SMALL and channel.protocol.waiting() < head.length and not head.expects_continue:
                self._body.fetch(service.fetched)
        self._response = response = Response(channel.protocol, channel.stream, service, method == "HEAD")
        if service.policy.gateway_errors and not channel.scheme:
            environ["wsgi.errors"] = GatewayErrors(channel.protocol.complain, environ["wsgi.errors"], response)
        channel.stream.waits = 0
        self.strikes = 0
        self.seen = False
        self._harakiri = service.policy.harakiri
        if service.policy.harakiri_for:
            self._harakiri = service.policy.allowed(environ.get("PATH_INFO", ""))

    def _find_client(self, environ: dict[str, Any]) -> None:
        """Take the client's address and scheme from the gateway's variables and the trusted proxies' headers."""
        channel = self._channel
        if "REMOTE_PORT" not in self._head.vars and environ["REMOTE_ADDR"] != channel.environ["REMOTE_ADDR"]:
            environ.pop("REMOTE_PORT", None)  # it is the gateway's port, and the address is the client's
        scheme = channel.scheme or gateway_scheme(environ)
        forwarding = self._service.policy.forwarding
        environ["wsgi.url_scheme"] = scheme if forwarding is None else forwarding(environ, scheme)

    @property
    def greenlet(self) -> Any:
        """The greenlet that runs it."""
        return self._channel.greenlet

    @property
    def what(self) -> str:
        """`GET /path from 1.2.3.4`, for the log."""
        addr, method, uri, _ = self.line.split("\t", 3)
        return f"{method} {uri} from {addr or self._channel.who}"

    def run(self) -> bool:
        """Take a slot and run the application. Returns True if the connection may carry another exchange.

        Raises Overloaded if no slot is available in time.
        """
        channel, response, service = self._channel, self._response, self._service
        seat, running, slots = service.seat, service.running, service.slots
        self.core = core = slots.free.pop() if slots.free else slots.take(_now() + service.policy.limits.queue_timeout)
        self.begun = begun = _now()
        self.deadline = deadline = begun + self._harakiri
        seat.begin(core, begun, deadline, self.line.encode("latin-1", "replace"))
        running[channel.greenlet] = self
        if not slots.free:
            seat.counters[FULL] = 1
        ending = ""
        try:
            run(service.application, self._environ, response, channel.sendfile, self)
            if self.seen and channel.disconnect.missed and self._answer_was_lost():
                ending = self._left()
        except BaseException as error:
            ending = self._failed(error)
        finally:
            del running[channel.greenlet]
            if self.seen:
                channel.disconnect.rest()
            try:
                self._account(ending)
            finally:
                seat.end(core)
                if slots.queue:
                    slots.give(core)
                else:
                    if not slots.free:
                        seat.counters[FULL] = 0
                    slots.free.append(core)
        if service.finished is not None:
            service.finished()
        whole = self._body is None or self._body.close(keep=not response.cut)
        if response.cut or not whole or channel.stream.sending:
            channel.lingers = channel.lingers or not channel.protocol.body_done
            return False
        channel.lingers = service.draining
        return channel.protocol.reusable

    def postpone(self, deadline: float) -> None:
        """Change the deadline: here for the watchdog, on the scoreboard for the monitor and the master."""
        self.deadline = deadline
        self._service.seat.postpone(self.core, deadline)

    def pace(self, now: float) -> float:
        """The rate of its body in bytes per second, infinite if it is not slow."""
        return inf if self._body is None else self._body.pace(now)

    def give_up_body(self) -> bool:
        """End its wait for the body at the next sweep, to free the slot. False if it does not wait."""
        return self._body is not None and self._body.give_up(self._service.deadlines.waiting)

    def look(self) -> None:
        """Check whether the client has left, if it has sent more than is read ahead (Disconnect.full)."""
        if self._channel.disconnect.full:
            self._channel.disconnect.look()

    def watch(self) -> bool:
        """Begin to watch whether the client leaves. False if the body has not been read yet: call again later."""
        channel = self._channel
        if channel.protocol.body_done:
            victim = channel.greenlet if self._service.policy.end_on_disconnect else None
            channel.disconnect.watch(self._response, victim)
            return True
        return False

    # Endings

    def _failed(self, error: BaseException) -> str:
        """End a failed exchange, with an error answer if none has begun. Returns the status for the access line."""
        channel = self._channel
        self.postpone(NEVER)  # harakiri must not interrupt the error answer
        self._response.closed = True
        channel.disconnect.rest()
        if isinstance(error, HarakiriTimeout) and error.exchange is self:
            self._service.seat.counters[HARAKIRIS] += 1
            return self._cut(int(HARAKIRI_STATUS), "the request took longer than harakiri allows")
        left = isinstance(error, ClientLeft) and error.disconnect is channel.disconnect
        answered = self._response.over and not isinstance(error, PeerGone)  # a failure after the whole answer
        if left or (not answered and (channel.stream.gone or channel.protocol.aborted)):
            return self._left()
        if isinstance(error, PeerStalled) and self._body is not None:
            return self._cut(408, self._body.complaint)
        if isinstance(error, PeerError):
            return self._cut(error.status, error.text)
        if isinstance(error, PeerGone):
            return self._cut(400, str(error))
        return self._application_failed(error)

    def _cut(self, status: int, text: str) -> str:
        """End the connection, after an error answer if none has begun."""
        self._response.cut = True
        if not self._response.begun:
            self._channel.refuse(status, text)
        return str(status)

    def _answer_was_lost(self) -> bool:
        """The client has left or half-closed: whether it can no longer receive the answer."""
        stream, protocol = self._channel.stream, self._channel.protocol
        if stream.gone or protocol.aborted:
            return True
        if protocol.reusable and protocol.waiting():
            return False  # its next request has been received and needs an answer; the check would end our side
        return stream.answer_was_lost()

    def _left(self) -> str:
        """The client has left: 499 for the log. If a gateway only aborted the request, its channel is kept."""
        channel = self._channel
        self._service.seat.counters[CLIENT_GONE] += 1
        if channel.stream.gone or not channel.protocol.aborted:
            self._response.cut = True
        elif end := channel.protocol.end():
            try:
                channel.stream.send(end)
            except PeerGone:
                self._response.cut = True
        return CLIENT_LEFT_STATUS

    def _application_failed(self, error: BaseException) -> str:
        """The application raised: log its traceback; answer 500 if no answer has begun."""
        service, response = self._service, self._response
        service.seat.counters[EXCEPTIONS] += 1
        service.log.error(f"{self.what} failed in the application\n{tracebacks.of_application(error)}")
        if response.begun:
            response.cut = response.cut or not response.over  # a complete answer leaves the connection usable
            return ""
        try:
            response.fail("500 Internal Server Error")
        except PeerGone:
            return self._left()
        return ""

    def _account(self, ending: str) -> None:
        """Count the exchange and write its access line."""
        service, response = self._service, self._response
        counts = service.counts
        duration = _now() - self.begun
        counts.requests += 1
        counts.running_us += int(duration * 1e6)
        counts.tx += response.sent + response.head_size
        service.seat.account(counts.requests, counts.running_us, counts.tx, len(service.running))
        if response.excess:
            service.log.warning(
                f"{self.what}: {response.excess} bytes beyond its answer's Content-Length were not sent"
            )
        if service.access is not None:
            self._write_access_line(service.access, duration, ending)

    def _write_access_line(self, log: AccessLog, duration: float, ending: str) -> None:
        service, response, head = self._service, self._response, self._head
        addr, method, uri, protocol = self.line.split("\t", 3)
        record = RequestRecord(
            addr, method, uri, protocol, str(self._environ.get("REMOTE_USER") or ""), len(head.vars), head.size,
            _wall() - duration, duration, ending or response.status[:3] or "500", response.sent, len(response.headers),
            response.head_size, self._channel.stream.waits, self.core, self._outcome(ending), service.counts.requests,
            service.total_requests(),
        )  # fmt: skip
        log.write(record)

    def _outcome(self, ending: str) -> Outcome:
        if not ending:
            return Outcome.OK
        if ending == CLIENT_LEFT_STATUS:
            return Outcome.ABORTED
        return Outcome.TIMEOUT if ending == HARAKIRI_STATUS else Outcome.REFUSED
