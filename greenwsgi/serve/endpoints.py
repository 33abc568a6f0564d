"""Makes the endpoint and the admission of one listener from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenwsgi.config.option_rules import needs_proxy_headers, takes_proxy_headers
from greenwsgi.config.settings import Settings
from greenwsgi.serve.acceptor import endpoint_of
from greenwsgi.serve.admission import Admission
from greenwsgi.serve.connection import Endpoint
from greenwsgi.serve.connection_preamble import Preamble
from greenwsgi.serve.tls_contexts import ServerTls
from greenwsgi.shared.resources import BoundListener
from greenwsgi.wire.registry import AUTO, row_of
from greenwsgi.wsgi.forwarded_headers import TrustList
from greenwsgi.wsgi.https_redirect import REDIRECT


def endpoint_and_admission(
    listener: BoundListener, settings: Settings, tls: Mapping[str, ServerTls], fixed: Mapping[str, Any]
) -> tuple[Endpoint, Admission | None]:
    """The listener's endpoint, and the admission that its acceptor must ask; None if all clients may connect.

    tls: the TLS settings by address. fixed: the variables that every environ starts with. Where a PROXY header gives
    the client's address, the preamble asks the admission instead of the acceptor.
    """
    row, proxies = row_of(listener.protocol), settings.proxies
    gateways = TrustList(proxies.uwsgi_allow) if proxies.uwsgi_allow and not row.scheme else None
    by_first_bytes = gateways if row is AUTO else None
    admission = _admission(None if row is AUTO else gateways, settings.limits.connections_per_address)
    announced = takes_proxy_headers(settings, listener.protocol, listener.text)
    preamble = None
    if announced or listener.tls or row is AUTO:
        preamble = Preamble(
            timeout=settings.tls.handshake_timeout,
            proxies=TrustList(proxies.proxy_protocol_from) if announced else None,
            optional=row is AUTO or not needs_proxy_headers(settings, listener.text),
            tls=tls[listener.text] if listener.tls else None,
            gateways=by_first_bytes,
            admission=admission if announced else None,
        )
    environ = dict(fixed)
    redirect = next((one.redirect for one in settings.listeners if one.text == listener.text), 0)
    if redirect:
        environ[REDIRECT] = redirect
    return endpoint_of(listener, environ, preamble), None if announced else admission


def _admission(allowed: TrustList | None, most: int) -> Admission | None:
    return Admission(allowed, most) if allowed or most else None
