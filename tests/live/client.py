"""HTTP and uwsgi from the client's side, one request at a time."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import random
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

PATIENCE = 30.0  # seconds; far above what anything here takes, so that only a real hang meets it


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


_FIRST_PORT, _PORTS, _RANGES = 15_000, 2_000, 8


def _candidates() -> Iterator[int]:
    """Ports of a range that no test which runs beside this one uses (pytest-xdist), each again as late as possible."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _RANGES
    start = random.randrange(_PORTS)
    for number in itertools.count(start):
        yield _FIRST_PORT + worker * _PORTS + number % _PORTS


_ports = _candidates()


def free_port() -> int:
    """A port on which no one listens, below those that the kernel gives to outgoing connections, which come and go."""
    for port in _ports:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always another candidate")


def http_request(
    port: int, method: str, path: str, body: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request(method, path, body or None, dict(headers or {}))
        return whole(connection.getresponse())


def read_answer(sock: socket.socket, method: str = "GET") -> Answer:
    """The next HTTP answer on a raw connection; what was read past its end is lost."""
    with contextlib.closing(http.client.HTTPResponse(sock, method=method)) as response:
        response.begin()
        return whole(response)


def whole(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def uwsgi_packet(path: str = "/", length: int = 0, variables: Mapping[str, str] | None = None) -> bytes:
    """The head of a uwsgi request, with what nginx's uwsgi_params would send; the body follows it on the wire."""
    path_info, _, query = path.partition("?")
    found = {
        "REQUEST_METHOD": "POST" if length else "GET",
        "REQUEST_URI": path,
        "PATH_INFO": path_info,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(length) if length else "",
        "CONTENT_TYPE": "application/octet-stream" if length else "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "40000",
        "HTTP_HOST": "localhost",
        **(variables or {}),
    }
    packed = b"".join(_counted(name) + _counted(value) for name, value in found.items())
    return b"\0" + len(packed).to_bytes(2, "little") + b"\0" + packed


def _counted(text: str) -> bytes:
    data = text.encode("latin-1")
    return len(data).to_bytes(2, "little") + data
