"""A load generator in one process: N connections, each with one request under way, for so many seconds.

    python -m tests.bench.generator PORT http|http-close|uwsgi SECONDS CONNECTIONS

Prints two numbers: whole answers, and requests that failed. It is Python, and slower than the server it drives: what is
compared is the server's processor time for each request, not requests a second.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time

from tests.live.client import uwsgi_packet

REQUESTS = {
    "http": b"GET /hello?a=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n",
    "http-close": b"GET /hello?a=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nConnection: close\r\n\r\n",
    "uwsgi": uwsgi_packet("/hello?a=1", variables={"HTTP_USER_AGENT": "bench", "HTTP_ACCEPT": "*/*"}),
}
BODY = b"Hello, World!"


class Connection:
    """One closed loop: a request under way, on a connection that is kept or made anew."""

    def __init__(self, port: int, scenario: str) -> None:
        self._port = port
        self._keep = scenario == "http"
        self._request = REQUESTS[scenario]
        self._connected = False

    def send(self) -> None:
        if not self._connected:
            self.sock = socket.create_connection(("127.0.0.1", self._port), 10)
            self._connected = True
        self._got = b""
        self.sock.sendall(self._request)

    def receive(self) -> bool | None:
        """Whether the answer that has now ended is whole; None when more is to come."""
        data = self.sock.recv(65536)
        self._got += data
        whole = self._got.startswith(b"HTTP/1.1 200 ") and self._got.endswith(BODY)
        if data and not (self._keep and whole):
            return None
        if not data:
            self.close()
        return whole

    def close(self) -> None:
        self.sock.close()
        self._connected = False


def run(port: int, scenario: str, seconds: float, connections: int) -> tuple[int, int]:
    """Drive the server, and let the last answers come; returns (whole answers, failures)."""
    good = bad = 0
    with selectors.DefaultSelector() as selector:

        def send(connection: Connection) -> None:
            connection.send()
            selector.register(connection.sock, selectors.EVENT_READ, connection)

        for _ in range(connections):
            send(Connection(port, scenario))
        end = time.monotonic() + seconds
        while selector.get_map():
            for key, _ in selector.select():
                whole = key.data.receive()
                if whole is None:
                    continue
                good, bad = good + whole, bad + (not whole)
                selector.unregister(key.fd)
                if time.monotonic() < end:
                    send(key.data)
                else:
                    key.data.close()
    return good, bad


if __name__ == "__main__":
    print(*run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
