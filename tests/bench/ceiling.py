"""The ceiling: a gevent StreamServer that reads once and sends a constant; no parsing, no WSGI.

python -m tests.bench.ceiling PORT keep|close
"""

from __future__ import annotations

import socket
import sys

from gevent.server import StreamServer

REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n"
    b"Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n\r\nHello, World!"
)


def keep(sock: socket.socket, _address: object) -> None:
    while sock.recv(65536):
        sock.send(REPLY)


def close(sock: socket.socket, _address: object) -> None:
    if sock.recv(65536):
        sock.send(REPLY)


if __name__ == "__main__":
    StreamServer(
        ("127.0.0.1", int(sys.argv[1])), {"keep": keep, "close": close}[sys.argv[2]], backlog=1024
    ).serve_forever()
