"""Whom to believe: proxies in front, and peers of uwsgi sockets."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import option
from greenwsgi.options.value_kinds import FLAG, INTEGER, NETWORKS, PLACES, choices

HEADER_NAMES = ("for", "proto", "host", "port", "forwarded")


@dataclass(frozen=True, kw_only=True)
class ProxiesOptions:
    """Behind proxies"""

    trusted_proxy: tuple[str, ...] = option(
        "trusted-proxy",
        kind=NETWORKS,
        default=(),
        help="Believe X-Forwarded-* of this peer: an address, a network, unix, or * for everybody. May be repeated.",
    )
    trusted_proxy_headers: tuple[str, ...] = option(
        "trusted-proxy-headers",
        kind=choices(*HEADER_NAMES),
        default=("for", "proto"),
        help="What the proxies set: X-Forwarded-For, -Proto, -Host, -Port, or forwarded, which is RFC 7239's header.",
    )
    trusted_proxy_count: int = option(
        "trusted-proxy-count",
        kind=INTEGER,
        default=1,
        least=1,
        help="How many proxies stand in front, one behind the other.",
    )
    enable_proxy_protocol: bool = option(
        "enable-proxy-protocol",
        kind=FLAG,
        default=False,
        help="Connections to HTTP sockets may begin with a PROXY header (HAProxy: send-proxy, send-proxy-v2).",
    )
    http_enable_proxy_protocol: bool = option(
        "http-enable-proxy-protocol",
        kind=FLAG,
        default=False,
        help="Connections to the addresses of http and https may begin with a PROXY header; http-socket has none.",
    )
    proxy_protocol: tuple[str, ...] = option(
        "proxy-protocol",
        kind=PLACES,
        default=(),
        help="Connections to the socket of that address, or to all, must begin with a PROXY header. May be repeated.",
    )
    proxy_protocol_from: tuple[str, ...] = option(
        "proxy-protocol-from",
        kind=NETWORKS,
        default=(),
        help="These peers must send PROXY headers, all others must not. May be repeated; none given: all must.",
    )
    dynamic_apps: bool = option(
        "dynamic-apps",
        kind=FLAG,
        default=False,
        help="Obey UWSGI_FILE, UWSGI_SCRIPT, UWSGI_MODULE, ...: every peer of a uwsgi socket can then run any code.",
    )
    uwsgi_allow: tuple[str, ...] = option(
        "uwsgi-allow",
        "gateway-allow",
        kind=NETWORKS,
        default=(),
        help="Only these peers may use uwsgi, FastCGI and SCGI: addresses, networks, unix. May be repeated; none: all.",
    )
