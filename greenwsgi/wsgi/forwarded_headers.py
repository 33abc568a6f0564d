"""The real client behind proxies: X-Forwarded-* and RFC 7239 Forwarded, only from peers that are trusted.

REMOTE_ADDR is compared with the list: over HTTP it is the socket's peer, over uwsgi the address that the web server
sends. If it is on the list, the headers name the client, `hops` proxies further out. From other peers the headers are
ignored, since any client can send them. The options also say which headers the proxies really set: one that they only
pass on is the client's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from greenwsgi.options.table.proxies import ProxiesOptions

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PAIR = re.compile(
    r'\s*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)=("(?:[^"\\]|\\.)*"|[!#$%&\'*+\-.^_`|~0-9A-Za-z:\[\]]+)\s*(?:;|$)'
)
_HOST = re.compile(r"(?:[A-Za-z0-9.\-_~]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?\Z")
_CACHE_LIMIT = 4096


class TrustList:
    """Addresses, networks and `unix`; `*` is every peer. Raises ValueError for anything else."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._networks: list[_Network] = []
        self._unix = self._all = False
        for entry in entries:
            if entry == "unix":
                self._unix = True
            elif entry == "*":
                self._all = True
            else:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._networks) or self._unix or self._all

    def __contains__(self, address: str) -> bool:
        """Whether the peer at `address` is trusted; "" is the address of a unix socket."""
        known = self._known.get(address)
        if known is None:
            known = self._judge(address)
            if len(self._known) < _CACHE_LIMIT:
                self._known[address] = known
        return known

    def _judge(self, address: str) -> bool:
        if self._all:
            return True
        if not address:
            return self._unix
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network or parsed in network for network in self._networks)


Forwarding = Callable[[dict[str, Any], str], str]
"""Rewrites the variables of a request in place, given its scheme; returns the scheme to use."""


def configured(proxies: ProxiesOptions) -> Forwarding | None:
    """What the options `trusted-proxy...` say; None if no proxy is trusted."""
    trusted = TrustList(proxies.trusted_proxy)
    return forwarding(trusted, proxies.trusted_proxy_headers, proxies.trusted_proxy_count) if trusted else None


def forwarding(trusted: TrustList, headers: Iterable[str], hops: int) -> Forwarding:
    """The function for these options. headers: those that the proxies set, of for, proto, host, port, forwarded."""
    wanted = frozenset(headers)

    def rewrite(variables: dict[str, Any], scheme: str) -> str:
        if variables.get("REMOTE_ADDR", "") not in trusted:
            return scheme
        said = _rfc7239(variables, hops) if "forwarded" in wanted else _x_forwarded(variables, wanted, hops)
        return _apply(variables, said, scheme)

    return rewrite


def _nth_from_right(text: str, hops: int) -> str:
    """The entry that the outermost of `hops` trusted proxies wrote; what is left of it is not trusted."""
    entries = [entry.strip() for entry in text.split(",")]
    return entries[-min(hops, len(entries))]


def _x_forwarded(variables: Mapping[str, str], wanted: frozenset[str], hops: int) -> dict[str, str]:
    said = {}
    for name in wanted & {"for", "proto", "host", "port"}:
        text = variables.get(f"HTTP_X_FORWARDED_{name.upper()}", "")
        if text:
            said[name] = _nth_from_right(text, hops)
    return said


def _rfc7239(variables: Mapping[str, str], hops: int) -> dict[str, str]:
    """RFC 7239 4: comma-separated elements of `name=value` pairs; nothing from a malformed one.

    It is read from the right, element by element: what the client wrote is left of them, and may open a quote that
    would contain them. After a comma within a quoted value, no text is a well-formed element up to the end.
    """
    text = variables.get("HTTP_FORWARDED", "")
    said: dict[str, str] = {}
    for _ in range(hops):
        if not text.strip(" \t,"):
            break
        said, comma = {}, len(text)
        while not said and comma >= 0:
            comma = text.rfind(",", 0, comma)
            said = _element(text, comma + 1)
        text = text[: max(comma, 0)]
    return said


def _element(text: str, at: int) -> dict[str, str]:
    """The pairs from `at` to the end of the text; none if that is not an element."""
    said = {}
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            return {}
        value = match[2]
        said[match[1].lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        at = match.end()
    return said


def _apply(variables: dict[str, str], said: Mapping[str, str], scheme: str) -> str:
    """Use what is well formed; the rest stays as the socket had it."""
    address, port = _address(said.get("for", ""))
    if address:
        variables["REMOTE_ADDR"] = address
        variables["REMOTE_PORT"] = port
    proto = said.get("proto", "").lower()
    if proto in ("http", "https"):
        scheme = proto
        variables["SERVER_PORT"] = _default_port(scheme)
    host = said.get("host", "")
    if _HOST.match(host):
        variables["HTTP_HOST"] = host
        variables["SERVER_NAME"], port = _split_port(host)
        variables["SERVER_PORT"] = port or _default_port(scheme)
    port = said.get("port", "")
    if _is_port(port):
        variables["SERVER_PORT"] = port
    return scheme


def _default_port(scheme: str) -> str:
    return "443" if scheme == "https" else "80"


def _is_port(text: str) -> bool:
    return len(text) <= 5 and text.isascii() and text.isdigit() and 0 < int(text) < 65536


def _split_port(host: str) -> tuple[str, str]:
    name, separator, port = host.rpartition(":")
    return (name, port) if separator and port.isdigit() else (host, "")


def _address(text: str) -> tuple[str, str]:
    """Address and port of `1.2.3.4`, `1.2.3.4:56`, `::1`, `[::1]`, `[::1]:56`; nothing for `unknown` or `_hidden`."""
    name, port = text, ""
    if text.startswith("["):
        name, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        name, _, port = text.partition(":")
    try:
        return str(ipaddress.ip_address(name)), port if _is_port(port) else ""
    except ValueError:
        return "", ""
