"""The values that options have, where those are more than a number or a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from greenwsgi.errors import Origin

SHARED = "shared"


"""Stands for the protocol of an address that is there to be named by others: `=0` is the first of them."""


AUTO = "auto"


"""Stands for the protocol of an address where the first bytes tell it."""


class Certificate(NamedTuple):
    """The files of a certificate that we show, and what goes with it; all but the first two may be "".

    ciphers: of TLS 1.2, as OpenSSL names them. client_ca: who signs the certificates that clients may show, or must,
    if it is `required`.
    """

    certificate: str
    key: str
    ciphers: str = ""
    client_ca: str = ""
    required: bool = False

    @classmethod
    def read(cls, words: list[str]) -> Certificate:
        """Of the words between commas: CERTIFICATE,KEY[,CIPHERS[,[!]CA]]. Raises ValueError."""
        if not 2 <= len(words) <= 4 or not words[0] or not words[1]:
            raise ValueError(words)
        ciphers, client_ca = [*words[2:], "", ""][:2]
        return cls(words[0], words[1], ciphers, client_ca.removeprefix("!"), client_ca.startswith("!"))

    def text(self) -> str:
        """What `read` gives it for."""
        words = [self.certificate, self.key, self.ciphers, "!" * self.required + self.client_ca]
        return ",".join(words).rstrip(",")


@dataclass(frozen=True, slots=True)
class Address:
    """A place to listen on, as it was written, and the wire protocol spoken there; binding it checks the text.

    protocol: a name of PROTOCOLS, "" for what the option `protocol` says, AUTO or SHARED. redirect: the port of HTTPS
    to which all requests are sent on, 0 for none. certificate: for TLS. It may change while the server runs, so it is
    not compared. router: under uWSGI it is the HTTP router's, a process in front of the sockets, and none of these.
    """

    protocol: str
    text: str
    origin: Origin = field(default=Origin("default"), compare=False)
    redirect: int = 0
    certificate: Certificate | None = field(default=None, compare=False)
    router: bool = False


class NamedCertificate(NamedTuple):
    """A certificate for clients that ask for this host; `*.example.com` is each host right below."""

    host: str
    certificate: Certificate


class WorkerMap(NamedTuple):
    """A socket, by its number, and the workers that it is for."""

    socket: int
    workers: tuple[int, ...]
