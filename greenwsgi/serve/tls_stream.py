"""A Stream over TLS: plain bytes for its callers, TLS records on the socket.

It uses ssl.SSLObject with memory buffers (ssl.MemoryBIO), so that waiting, deadlines and lingering are those of Stream,
with its raw socket and watchers. This costs one more copy in each direction, which is little beside the encryption.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable
from typing import Any

from greenlet import getcurrent

from greenwsgi.clock import SystemClock
from greenwsgi.errors import PeerError, PeerGone
from greenwsgi.serve.stream import RECV_SIZE, Stream
from greenwsgi.serve.tls_contexts import ServerTls, facts

FEW = 4096
"""Bytes of records given to OpenSSL in one call when the last ones had no application data: 64 KiB of KeyUpdates (RFC
8446 4.6.3) take 20 to 160 ms in one call."""
SLICE = 65536
"""Bytes that are encrypted at once. Encrypted bytes that wait to be sent are a second copy in memory."""

_now = SystemClock.monotonic


class TlsStream(Stream):
    """Replaces a plain Stream.

    Arguments:

    - raw: the stream of the same socket, which must not be used afterwards.
    - server: the TLS settings of the listener.
    - received: bytes that have been read from `raw` already.

    `handshake` must be called first.
    """

    __slots__ = ("_incoming", "_kept", "_most", "_outgoing", "_server", "_tls")

    plain = False

    def __init__(self, raw: Stream, server: ServerTls, received: bytes) -> None:
        for name in Stream.__slots__:
            setattr(self, name, getattr(raw, name))
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(received)
        self._tls: Any = server.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._server = server
        self._kept = b""
        self._most = FEW

    def handshake(self, until: float) -> None:
        """Do the handshake. Raises PeerError with the reason if it fails, PeerStalled at the deadline, or PeerGone."""
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
                self._feed(until)
                self.loop_budget.check()  # a handshake is a millisecond of work; hundreds may be ready at once
            except ssl.SSLEOFError:
                raise PeerGone("the client left in its handshake") from None
            except ssl.SSLError as error:
                self._flush_if_possible()  # the alert that gives the client the reason
                raise PeerError(f"TLS handshake: {reason(error)}", 0) from None

    def variables(self) -> dict[str, str]:
        """The results of the handshake, as CGI variables."""
        return facts(self._tls, self._server)

    def _feed(self, until: float) -> None:
        """Give OpenSSL more received records; waits for some if there are none."""
        self.loop_budget.check()  # a continuous flow of records without application data never waits
        if not self._kept:
            self._kept = super().recv(until)
            self.loop_budget.check()  # many others may have been woken by the same poll
        if self._kept:
            self._incoming.write(self._kept[: self._most])
            self._kept = self._kept[self._most :]
        else:
            self._incoming.write_eof()
        self._most = FEW

    def _flush(self) -> None:
        """Send the encrypted bytes."""
        if data := self._outgoing.read():
            super().send(data)

    def _flush_if_possible(self) -> None:
        with contextlib.suppress(OSError):
            self._send(self._outgoing.read())

    # Stream, under TLS

    def recv(self, until: float = 0.0) -> bytes:
        until = until or _now() + self.timeout  # for a whole record, in however many pieces it comes
        while True:
            try:
                data: bytes = self._tls.read(RECV_SIZE)
            except ssl.SSLWantReadError:
                self._flush()
                self._feed(until)
                continue
            except ssl.SSLError as error:
                return self._broken(error)
            self._most = RECV_SIZE
            return data

    def recv_later(self, until: float) -> bytes:
        """The same as `recv`: decrypted data may be buffered while the socket is not readable."""
        return self.recv(until)

    def recv_now(self) -> bytes:
        data = self._kept or self._recv(FEW)
        self._kept = data[FEW:]
        if data:
            self._incoming.write(data[:FEW])
        else:
            self._incoming.write_eof()
        pieces = []
        try:
            while piece := self._tls.read(RECV_SIZE):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            if not pieces:
                raise BlockingIOError from None  # no whole record
        except ssl.SSLError as error:
            return b"".join(pieces) or self._broken(error)
        return b"".join(pieces)

    def _broken(self, error: ssl.SSLError) -> bytes:
        """Reading has failed. A close without the close_notify alert counts as the end of the peer's side: b""."""
        if isinstance(error, ssl.SSLEOFError):
            return b""
        self.gone = True
        self._flush_if_possible()
        raise PeerGone(f"TLS: {reason(error)}") from error

    def send(self, data: bytes) -> None:
        self.send_pieces([data])

    def send_pieces(self, pieces: Iterable[bytes | memoryview]) -> None:
        if self.gone or self.sending:
            self.gone = True
            raise PeerGone("the connection is broken, or another send was not ended")
        self.sending, self._sender = True, getcurrent()
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    self._encrypt(view[:SLICE])
                    view = view[SLICE:]
                    if self._outgoing.pending >= SLICE:
                        self._flush()
                        self.loop_budget.check()
            self._flush()
        except BaseException:
            self.gone = True
            raise
        finally:
            self.sending = False

    def _encrypt(self, data: memoryview) -> None:
        try:
            self._tls.write(data)
        except ssl.SSLError as error:  # also after the peer has closed without close_notify: it reads nothing
            self.gone = True
            raise PeerGone(f"TLS: {reason(error)}") from error

    def end_writing(self) -> None:
        """Send the close_notify alert first, so that the client knows that the answer has not been truncated."""
        self._send_close_notify()
        super().end_writing()

    def close(self) -> None:
        self._send_close_notify()
        super().close()

    def _send_close_notify(self) -> None:
        if self.gone or self._tls.version() is None:
            return
        with contextlib.suppress(ssl.SSLError, OSError):
            with contextlib.suppress(ssl.SSLWantReadError):  # it would wait for the client's close_notify
                self._tls.unwrap()
            self._send(self._outgoing.read())


def reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason for an error, in lower case."""
    return (error.reason or str(error)).lower().replace("_", " ")
