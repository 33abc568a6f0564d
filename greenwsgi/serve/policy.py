"""The configuration of requests, prepared once for the request path; it never changes afterwards.

An option that needs no preparation is read from its section where it is used: a new one touches the option table and
its use, nothing between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenwsgi.config.settings import Settings
from greenwsgi.options.table.limits import LimitsOptions
from greenwsgi.serve.deadlines import NEVER
from greenwsgi.wire.protocol import WireLimits
from greenwsgi.wsgi.forwarded_headers import Forwarding, configured
from greenwsgi.wsgi.header_rules import HeaderRules, header_rules

LONGEST_REQUEST_LINE = 16384


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """The rules for all requests of a worker. `RequestPolicy.of(settings)` makes it."""

    settings: Settings
    limits: LimitsOptions
    """The section of that name, which the request path reads most."""
    wire: WireLimits
    """What protocols may take in."""
    send_timeout: float
    """Seconds that each write may wait; 0 is socket-timeout."""
    harakiri: float
    """Seconds that a request may take; infinite for no limit."""
    harakiri_for: tuple[tuple[re.Pattern[str], float], ...]
    """Other limits, in seconds, for paths that match a pattern. The first match applies."""
    forwarding: Forwarding | None
    """Finds the real client behind proxies; None if no proxy is trusted."""
    header_rules: HeaderRules | None
    """The operator's changes to response headers; None without any."""
    end_on_disconnect: bool
    """A request whose client has left is ended."""
    gateway_errors: bool
    """wsgi.errors goes to the gateway, where its protocol can carry it."""

    @classmethod
    def of(cls, settings: Settings) -> RequestPolicy:
        """The policy of this configuration. Raises UsageError for header rules that cannot be followed."""
        limits = settings.limits
        return cls(
            settings=settings,
            limits=limits,
            wire=wire_limits(settings),
            send_timeout=settings.listening.so_send_timeout,
            harakiri=limits.harakiri or NEVER,
            harakiri_for=tuple((re.compile(path), seconds or NEVER) for path, seconds in limits.harakiri_for),
            forwarding=configured(settings.proxies),
            header_rules=header_rules(settings.responses),
            end_on_disconnect=limits.end_on_disconnect,
            gateway_errors=settings.logging.fastcgi_stderr,
        )

    def allowed(self, path: str) -> float:
        """Seconds that a request for this path may take."""
        for pattern, seconds in self.harakiri_for:
            if pattern.search(path):
                return seconds
        return self.harakiri


def wire_limits(settings: Settings) -> WireLimits:
    """What the protocols may take in, by the options of several sections."""
    limits, processes = settings.limits, settings.processes
    return WireLimits(
        head=limits.buffer_size,
        request_line=min(limits.buffer_size, LONGEST_REQUEST_LINE),
        body=limits.limit_post,
        requests=processes.async_ * processes.processes,
        commands=settings.proxies.dynamic_apps,
        cgi=bool(settings.cgi.cgi),
        underscores=settings.sockets.underscore_headers,
    )
