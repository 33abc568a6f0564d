"""A connection under TLS: plain bytes for whoever reads and writes, records on the socket.

The standard library's ssl on memory buffers (ssl.SSLObject), so that waiting, deadlines and lingering stay those of
Stream, with its raw socket and watchers. Costs a copy each way, little beside the cipher.
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
"""Bytes of records that OpenSSL is given at once when the last ones had nothing for us: 64 KiB of KeyUpdates (RFC 8446
4.6.3) are 20 to 160 ms of work in one call."""
SLICE = 65536
"""How much is encrypted at once: what is waiting to be sent is in memory a second time."""

_now = SystemClock.monotonic


class TlsStream(Stream):
    """Takes the place of `raw`, from which `received` has come already; `handshake` comes before all else."""

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
        """Shake hands; raises PeerError with the reason if that cannot be, or not until then."""
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
                self._flush_if_possible()  # the alert that tells the client
                raise PeerError(f"TLS handshake: {reason(error)}", 0) from None

    def variables(self) -> dict[str, str]:
        """What the handshake told, as CGI variables."""
        return facts(self._tls, self._server)

    def _feed(self, until: float) -> None:
        """Wait for more records."""
        self.loop_budget.check()  # records without a byte for us, one after the other, would never make us wait
        if not self._kept:
            self._kept = super().recv(until)
            self.loop_budget.check()  # what has woken us may have woken many others
        if self._kept:
            self._incoming.write(self._kept[: self._most])
            self._kept = self._kept[self._most :]
        else:
            self._incoming.write_eof()
        self._most = FEW

    def _flush(self) -> None:
        """Send what is encrypted."""
        if data := self._outgoing.read():
            super().send(data)

    def _flush_if_possible(self) -> None:
        with contextlib.suppress(OSError):
            self._send(self._outgoing.read())

    # Stream, under TLS

    def recv(self, until: float = 0.0) -> bytes:
        until = until or _now() + self.timeout  # for a whole record, however it dribbles
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
        """What is decrypted already gives no sign on the socket, so there is no waiting first."""
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
        """Reading ends here. Who leaves without the alert that TLS wants (close_notify) has left all the same."""
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
        except ssl.SSLError as error:  # also after an end without the alert: it reads no more
            self.gone = True
            raise PeerGone(f"TLS: {reason(error)}") from error

    def end_writing(self) -> None:
        """With TLS's own word for it, so that the client knows that nobody has cut the answer short."""
        self._say_close()
        super().end_writing()

    def close(self) -> None:
        self._say_close()
        super().close()

    def _say_close(self) -> None:
        if self.gone or self._tls.version() is None:
            return
        with contextlib.suppress(ssl.SSLError, OSError):
            with contextlib.suppress(ssl.SSLWantReadError):  # it would wait for the client's
                self._tls.unwrap()
            self._send(self._outgoing.read())


def reason(error: ssl.SSLError) -> str:
    """OpenSSL's words for what went wrong."""
    return (error.reason or str(error)).lower().replace("_", " ")
