"""One exchange: a request, its slot, its deadline and its answer.

Hot path, budget 5 us beside wire, wsgi and the system calls. An exchange holds a slot from its whole head to the end of
its answer. It is its own harakiri token: only the exchange that is running can be hit, never the next one of the same
connection.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.log.access import Access, AccessLog
from greenwsgi.serve.deadlines import NEVER, PeerStalled
from greenwsgi.serve.departure import ClientLeft
from greenwsgi.serve.intake import Intake
from greenwsgi.shared.metrics import EXCEPTIONS, HARAKIRIS, IN_FLIGHT
from greenwsgi.wire.events import RequestHead
from greenwsgi.wsgi.body import open_body
from greenwsgi.wsgi.environ import gateway_scheme
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


class Exchange:
    """One request and its answer on a connection; `run` is all of it.

    core: its slot, greenlet: what runs it, deadline: monotonic seconds, strikes: how often harakiri has hit it.
    seen: the watchdog has looked at it.
    """

    __slots__ = (
        "_connection", "_environ", "_intake", "_packet", "_response", "_waits",
        "addr", "begun", "core", "deadline", "greenlet", "method", "protocol", "seen", "started", "strikes", "uri",
    )  # fmt: skip

    def __init__(self, connection: Connection, head: RequestHead, core: int) -> None:
        service, variables = connection.service, head.vars
        self._connection = connection
        # Nothing in environ refers back to the exchange: a cycle a request is 7 us of garbage collection.
        self._environ = environ = connection.environ.copy()
        environ.update(variables)
        scheme = connection.endpoint.row.scheme or gateway_scheme(variables)
        if service.forwarding is not None:
            scheme = service.forwarding(environ, scheme)
        if scheme != "http":
            environ["wsgi.url_scheme"] = scheme
        # The application may change its environ, so what the log needs is taken out first.
        self.addr = environ["REMOTE_ADDR"]
        self.method = method = variables.get("REQUEST_METHOD", "")
        self.uri = variables.get("REQUEST_URI", "")
        self.protocol = variables.get("SERVER_PROTOCOL", "")
        self._packet = (len(variables), head.size)
        self._waits = connection.stream.waits
        self.core = core
        self.greenlet = connection.greenlet
        self.started = _wall()
        self.begun = begun = _now()
        harakiri = service.timeouts.harakiri
        self.deadline = begun + harakiri if harakiri else NEVER
        self.strikes = 0
        self.seen = False
        self._intake = None
        if head.length:
            self._intake = Intake(connection, head.expects_continue, service.timeouts.body_rate)
            environ["wsgi.input"] = open_body(self._intake.pull)
        self._response = Response(connection.protocol, connection.send, service, method == "HEAD")

    def run(self) -> bool:
        """Run the application; True when the connection may carry another exchange."""
        connection, response, intake = self._connection, self._response, self._intake
        service, core = connection.service, self.core
        seat, running = service.seat, service.running
        line = f"{self.addr}\t{self.method}\t{self.uri}\t{self.protocol}".encode("latin-1", "replace")
        seat.begin(core, self.started, self.deadline if self.deadline < NEVER else 0.0, line)
        running[core] = self
        seat.counters[IN_FLIGHT] = len(running)
        ending = ""
        try:
            run(service.application, self._environ, response)
            if connection.departure.left and connection.stream.answer_was_lost():
                ending = self._cut(499, "")
        except BaseException as error:
            ending = self._failed(error)
        finally:
            del running[core]
            connection.departure.rest()
            self._account(ending)
            seat.end(core)
            service.slots.give(core)
        if service.finished is not None:
            service.finished()
        if ending or response.cut or not (intake is None or intake.close()):
            connection.lingers = connection.lingers or not connection.protocol.body_done
            return False
        connection.lingers = service.draining
        return connection.protocol.reusable

    def watch(self) -> bool:
        """Begin to watch for the client's leaving; False when its request has not been read, so that it has to wait."""
        connection = self._connection
        if connection.protocol.body_done:
            connection.departure.watch(self.greenlet if connection.service.end_on_disconnect else None)
            return True
        return False

    # Endings

    def _failed(self, error: BaseException) -> str:
        """End an exchange that went wrong, with an answer if one can still be given; returns what the log shows."""
        connection = self._connection
        if isinstance(error, HarakiriTimeout) and error.exchange is self:
            connection.service.seat.counters[HARAKIRIS] += 1
            return self._cut(504, "the request took longer than harakiri allows")
        if connection.stream.gone or (isinstance(error, ClientLeft) and error.departure is connection.departure):
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
        service.requests += 1
        service.running_us += int(duration * 1e6)
        service.tx += response.sent + response.head_size
        service.seat.account(service.requests, service.running_us, service.tx, len(service.running))
        if response.excess:
            service.log.warning(
                f"{self.method} {self.uri}: {response.excess} bytes beyond the answer's Content-Length were not sent"
            )
        if service.access is not None:
            self._write_access_line(service.access, duration, ending or response.status[:3] or "500")

    def _write_access_line(self, log: AccessLog, duration: float, status: str) -> None:
        service, response = self._connection.service, self._response
        one = Access(
            self.addr, str(self._environ.get("REMOTE_USER") or ""), self.method, self.uri, self.protocol,
            *self._packet, self.started, duration, status, response.sent, len(response.headers), response.head_size,
            self._connection.stream.waits - self._waits, self.core,
        )  # fmt: skip
        log.write(one, service.requests, service.total_requests())
