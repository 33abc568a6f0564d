"""One exchange: a request, its slot, its deadline and its answer.

Hot path, budget 5 us beside wire, wsgi and the system calls. An exchange holds a slot from its whole head to the end of
its answer. It is its own harakiri token: only the exchange that is running can be hit, never the next one of the same
connection.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

from greenlet import getcurrent

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.log.access import Access
from greenwsgi.serve.deadlines import NEVER, PeerStalled
from greenwsgi.serve.departure import ClientLeft, Departure
from greenwsgi.serve.intake import Intake
from greenwsgi.shared.metrics import EXCEPTIONS, HARAKIRIS, IN_FLIGHT, REQUESTS, RUNNING_TIME_US, TX
from greenwsgi.wire.events import RequestHead
from greenwsgi.wsgi.body import EMPTY, open_body
from greenwsgi.wsgi.environ import build, gateway_scheme
from greenwsgi.wsgi.response import Response
from greenwsgi.wsgi.runner import run

if TYPE_CHECKING:
    from greenwsgi.serve.connection import Connection

_now = SystemClock.monotonic
_wall = time.time


class HarakiriTimeout(BaseException):
    """Thrown into the greenlet of an exchange that is past its deadline.

    Not an Exception, so that an application's `except Exception` does not swallow it.
    """

    def __init__(self, exchange: Exchange) -> None:
        super().__init__("the request took longer than harakiri allows")
        self.exchange = exchange


def _intake(connection: Connection, head: RequestHead) -> Intake:
    return Intake(connection.protocol, connection.stream, head.expects_continue, connection.service.timeouts.body_rate)


class Exchange:
    """One request and its answer on a connection; `run` is all of it.

    core: its slot, greenlet: what runs it, deadline: monotonic seconds, strikes: how often harakiri has hit it.
    seen: the watchdog has looked at it.
    """

    __slots__ = (
        "_connection", "_departure", "_head", "_intake", "_response", "_scheme", "_variable_count", "_waits",
        "addr", "begun", "core", "deadline", "greenlet", "method", "protocol", "seen", "started", "strikes", "uri",
        "user",
    )  # fmt: skip

    def __init__(self, connection: Connection, head: RequestHead, core: int) -> None:
        variables = head.vars
        self._connection = connection
        self._head = head
        self._intake = _intake(connection, head) if head.length else None
        self._variable_count = len(variables)
        self._waits = connection.stream.waits
        service = connection.service
        self._scheme = connection.endpoint.row.scheme or gateway_scheme(variables)
        if service.forwarding is not None:
            variables.setdefault("REMOTE_ADDR", connection.peer)
            self._scheme = service.forwarding(variables, self._scheme)
        # The application may change its environ, so what the log needs is taken out first.
        self.addr = variables.get("REMOTE_ADDR") or connection.peer
        self.user = variables.get("REMOTE_USER", "")
        self.method = variables.get("REQUEST_METHOD", "")
        self.uri = variables.get("REQUEST_URI", "")
        self.protocol = variables.get("SERVER_PROTOCOL", "")
        self.core = core
        self.greenlet = getcurrent()
        self.started = _wall()
        self.begun = begun = _now()
        harakiri = service.timeouts.harakiri
        self.deadline = begun + harakiri if harakiri else NEVER
        self.strikes = 0
        self.seen = False
        self._departure = departure = Departure()
        if service.end_on_disconnect:
            departure.greenlet = self.greenlet
        # Neither answer nor body refers back to the exchange: a cycle a request would be 7 us of garbage collection.
        self._response = Response(connection.protocol, connection, self.method == "HEAD")

    def run(self) -> bool:
        """Run the application; True when the connection may carry another exchange."""
        connection, head = self._connection, self._head
        service = connection.service
        variables = head.vars
        line = f"{self.addr}\t{self.method}\t{self.uri}\t{self.protocol}".encode("latin-1", "replace")
        service.seat.counters[IN_FLIGHT] = len(service.running) + 1
        service.seat.begin(self.core, self.started, self.deadline if self.deadline < NEVER else 0.0, line)
        service.running[self.core] = self
        ending = ""
        try:
            body = EMPTY if self._intake is None else open_body(self._intake.pull)
            environ = build(variables, service.fixed, connection.variables, self._scheme, body)
            environ["greenwsgi.disconnected"] = self._departure
            run(service.application, environ, self._response)
            if self._departure.is_set() and connection.stream.answer_was_lost():
                ending = self._cut(499, "")
        except BaseException as error:
            ending = self._failed(error)
        finally:
            del service.running[self.core]
            self._departure.stop()
            self._account(ending)
            service.seat.end(self.core)
            service.seat.counters[IN_FLIGHT] = len(service.running)
            service.slots.give(self.core)
        service.finished()
        if ending or self._response.cut or not (self._intake is None or self._intake.close()):
            connection.lingers = connection.lingers or not connection.protocol.body_done
            return False
        connection.lingers = service.draining
        return connection.protocol.reusable

    def watch(self) -> bool:
        """Begin to watch for the client's leaving, if its request has been read; True when that is under way."""
        connection = self._connection
        if not self._departure.watched and connection.protocol.body_done:
            self._departure.watch(connection.stream, connection.protocol)
        return self._departure.watched

    # Endings

    def _failed(self, error: BaseException) -> str:
        """End an exchange that went wrong, with an answer if one can still be given; returns what the log shows."""
        connection = self._connection
        if isinstance(error, HarakiriTimeout) and error.exchange is self:
            connection.service.seat.counters[HARAKIRIS] += 1
            return self._cut(504, "the request took longer than harakiri allows")
        if connection.stream.gone or (isinstance(error, ClientLeft) and error.departure is self._departure):
            return self._cut(499, "")
        if isinstance(error, PeerStalled):
            return self._cut(408, "the request body did not come in time (socket-timeout)")
        if isinstance(error, PeerError):
            return self._cut(error.status, error.text)
        if isinstance(error, PeerGone):
            return self._cut(400, str(error))
        return self._application_failed(error)

    def _cut(self, status: int, text: str) -> str:
        """End the connection; before an answer has begun, say why in one. 499 is for those who cannot hear it."""
        self._response.cut = True
        if not self._response.begun and status != 499:
            self._connection.refuse(status, text)
        return str(status)

    def _application_failed(self, error: BaseException) -> str:
        """The application raised: its traceback goes to the log, 500 to the client if nothing else went before."""
        connection, response = self._connection, self._response
        connection.service.seat.counters[EXCEPTIONS] += 1
        text = "".join(traceback.format_exception(error))
        connection.service.log.error(
            f"{self.method} {self.uri} from {connection.who} failed in the application\n{text}"
        )
        if response.begun:
            response.cut = True
            return ""
        try:
            response.fail("500 Internal Server Error")
        except PeerGone:
            return self._cut(499, "")
        return ""

    def _account(self, ending: str) -> None:
        """Count the exchange and write its access line."""
        service, response = self._connection.service, self._response
        duration = _now() - self.begun
        counters = service.seat.counters
        counters[REQUESTS] += 1
        counters[RUNNING_TIME_US] += int(duration * 1e6)
        counters[TX] += response.sent + response.head_size
        if response.excess:
            service.log.warning(
                f"{self.method} {self.uri}: {response.excess} bytes beyond the answer's Content-Length were not sent"
            )
        if service.access is None:
            return
        head, stream = self._head, self._connection.stream
        one = Access(
            self.addr, self.user, self.method, self.uri, self.protocol, self._variable_count, head.size, self.started,
            duration, ending or response.status[:3] or "500", response.sent, len(response.headers), response.head_size,
            stream.waits - self._waits, self.core,
        )  # fmt: skip
        service.access.write(one, counters[REQUESTS], service.total_requests())
