"""TLS: sockets that speak it, and with what certificates."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import ChangeNeeds, Status, option
from greenwsgi.options.value_kinds import (
    INTEGER,
    NAMED_CERTIFICATES,
    PATH,
    REDIRECTS,
    SECONDS,
    TEXT,
    choice,
    tls_address,
)
from greenwsgi.options.value_types import Address, NamedCertificate


@dataclass(frozen=True, kw_only=True)
class TlsOptions:
    """TLS"""

    https_socket: tuple[Address, ...] = option(
        "https-socket",
        kind=tls_address("http"),
        default=(),
        help="Listen there and speak HTTPS. CA signs the certificates that clients may show; with ! before it, must.",
        reload=ChangeNeeds.RESTART,
    )
    https: tuple[Address, ...] = option(
        "https",
        kind=tls_address("http", router=True),
        default=(),
        help="The same as https-socket.",
        status=Status.PARTIAL,
        note="The workers speak HTTPS themselves: there is no router process between.",
        reload=ChangeNeeds.RESTART,
    )
    suwsgi_socket: tuple[Address, ...] = option(
        "suwsgi-socket",
        "ssl-socket",
        kind=tls_address("uwsgi"),
        default=(),
        help="Listen there and speak uwsgi over TLS (nginx: uwsgi_pass suwsgi://).",
        reload=ChangeNeeds.RESTART,
    )
    http_to_https: tuple[Address, ...] = option(
        "http-to-https",
        kind=REDIRECTS,
        default=(),
        help="Listen there, speak HTTP, and send all clients on to HTTPS, on PORT if it is not 443.",
        reload=ChangeNeeds.RESTART,
    )
    sni: tuple[NamedCertificate, ...] = option(
        "sni",
        "sni-regexp",
        kind=NAMED_CERTIFICATES,
        default=(),
        help="The certificate for clients that ask for that host, on all TLS sockets. *.example.com: any right below.",
        status=Status.PARTIAL,
        note="A CA for clients is named with a socket, not here. sni-regexp takes *.name, no other pattern.",
    )
    tls_min_version: str = option(
        "tls-min-version",
        kind=choice("1.2", "1.3"),
        default="1.2",
        metavar="VERSION",
        help="The lowest version of TLS that is spoken: 1.2 or 1.3.",
    )
    tls_ciphers: str = option(
        "tls-ciphers",
        kind=TEXT,
        default="",
        metavar="CIPHERS",
        help="Ciphers of TLS 1.2 where none are named with a certificate, as OpenSSL writes them.",
    )
    tls_password_file: str = option(
        "tls-password-file",
        kind=PATH,
        default="",
        help="A file whose first line is the password of encrypted keys.",
    )
    handshake_timeout: float = option(
        "handshake-timeout",
        kind=SECONDS,
        default=10,
        least=0.1,
        help="How long a connection may take for all before its first request: PROXY header, first bytes, handshake.",
    )
    hsts: int = option(
        "hsts",
        kind=INTEGER,
        default=0,
        metavar="SECONDS",
        help="Tell browsers on TLS sockets to use HTTPS for so long (Strict-Transport-Security); 0: tell them nothing.",
    )
