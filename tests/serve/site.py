"""A whole worker's service in this process, without a master: real sockets, a clock that only a test moves."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gevent
from gevent import socket
from gevent.hub import get_hub

from greenwsgi.config.settings import Settings
from greenwsgi.log.access_log import AccessLog
from greenwsgi.log.server_log import ServerLog
from greenwsgi.serve.acceptor import Acceptor
from greenwsgi.serve.connection import Endpoint
from greenwsgi.serve.connection_preamble import Preamble
from greenwsgi.serve.current_request import CurrentRequests
from greenwsgi.serve.deadlines import NEVER, Deadlines
from greenwsgi.serve.descriptor_owners import DescriptorOwners
from greenwsgi.serve.policy import RequestPolicy
from greenwsgi.serve.request_slots import RequestSlots
from greenwsgi.serve.service import RunningExchange, Service
from greenwsgi.serve.watchdog import Watchdog
from greenwsgi.shared.scoreboard import Scoreboard
from greenwsgi.wire.registry import row_of
from greenwsgi.wsgi.environ import fixed_part


class Hand:
    """Stands `ahead` seconds before the real clocks."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def wall(self) -> float:
        return time.time() + self.ahead


class Site:
    """Serves `application` on a loopback port by `protocol` until it is closed."""

    def __init__(
        self,
        application: Callable[..., Any],
        *,
        protocol: str = "http",
        cores: int = 10,
        harakiri: float = NEVER,
        siblings_have_room: Callable[[], bool] | None = None,
        preamble: Preamble | None = None,
        capacity: int = 1000,
    ) -> None:
        self._pipe, self._log_fd = os.pipe()
        os.set_blocking(self._pipe, False)
        self._said = ""
        self._board = Scoreboard.create(1, cores)
        seat = self._board.seats[0]
        seat.occupy(1, 1, os.getpid())
        deadlines = Deadlines()
        self.clock = Hand()
        self.given_up: list[RunningExchange] = []
        self.finished = 0
        log = ServerLog(self._log_fd)
        self.service = Service(
            policy=replace(RequestPolicy.of(Settings()), harakiri=harakiri),
            application=application,
            log=log,
            descriptor_owners=DescriptorOwners(log),
            access=AccessLog(1, self._log_fd),
            seat=seat,
            total_requests=lambda: 1,
            deadlines=deadlines,
            slots=RequestSlots(cores, deadlines),
            finished=self._count,
        )
        self.requests = CurrentRequests(self.service.running)
        self.requests.start()
        self.watchdog = Watchdog(self.service, self.clock, self.given_up.append)
        self.service.tick_date(0)
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = listener.getsockname()
        endpoint = Endpoint(
            row_of(protocol),
            "here",
            fixed_part(multiprocess=False)
            | {"SERVER_NAME": "testing", "SERVER_PORT": "80", "greenwsgi.harakiri": self.requests.set_harakiri}
            | {"greenwsgi.draining": self.service.leaving},
            preamble,
        )
        self._acceptor = Acceptor(
            listener.detach(), self.service, endpoint, siblings_have_room=siblings_have_room, capacity=capacity
        )
        self._acceptor.start()

    def _count(self) -> None:
        self.finished += 1

    def change(self, **rules: Any) -> None:
        """Give the policy other rules, from the next request on."""
        self.service.policy = replace(self.service.policy, **rules)

    def limit(self, **limits: Any) -> None:
        """Give it other limits, by the names of the option table."""
        self.change(limits=replace(self.service.policy.limits, **limits))

    def connect(self, data: bytes = b"") -> Any:
        """A connected client; `data` is sent at once."""
        client = socket.create_connection(self.address)
        client.settimeout(10)
        if data:
            client.sendall(data)
        return client

    def answer(self, data: bytes) -> bytes:
        """All that comes back for `data` until the server closes."""
        with self.connect(data) as client:
            return read_all(client)

    def later(self, seconds: float) -> None:
        """Let this much time pass for deadlines and harakiri."""
        self.clock.ahead += seconds
        get_hub().loop.run_callback(self.watchdog.tick)
        settle()

    @property
    def log(self) -> str:
        """Everything logged so far."""
        with contextlib.suppress(BlockingIOError):
            self._said += os.read(self._pipe, 1 << 20).decode()
        return self._said

    def close(self) -> None:
        self.requests.stop()
        self._acceptor.close()
        for connection in list(self.service.connections):
            connection.greenlet.kill()
        gevent.get_hub().loop.run_callback(self.service.greenlet_pool.close)
        settle()
        os.close(self._pipe)
        os.close(self._log_fd)
        self._board.close()


def settle() -> None:
    """Let every greenlet run until it waits for the world."""
    for _ in range(5):
        gevent.idle()


def wait_until(condition: Callable[[], Any]) -> None:
    """Turn the loop until it holds; the test's own time limit ends it otherwise."""
    while not condition():
        gevent.sleep(0.001)


def read_all(client: Any) -> bytes:
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


def read_head(client: Any) -> bytes:
    """The bytes of one answer's head."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += client.recv(1)
    return data


def read_answer(client: Any) -> tuple[bytes, bytes]:
    """Head and body of one answer that has a Content-Length."""
    head = read_head(client)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    body = b""
    while len(body) < length:
        body += client.recv(length - len(body))
    return head, body
