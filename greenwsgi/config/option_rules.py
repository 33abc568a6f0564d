"""Checks that need more than one option."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from greenwsgi.config.settings import Settings, Warn, silent
from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.catalog import OPTIONS
from greenwsgi.options.listen_addresses import Place, Tcp, is_public, read_place
from greenwsgi.options.option_spec import ChangeNeeds
from greenwsgi.wire import response_head
from greenwsgi.wire.registry import row_of


def check(settings: Settings, warn: Warn) -> None:
    """Raise UsageError when the server cannot start with these settings; warn when one of them loses to another."""
    python = settings.python
    if not (python.wsgi_file or python.module or python.mount or settings.cgi.cgi):
        raise UsageError("there is nothing to serve: give --wsgi-file FILE or --module PACKAGE.MODULE:NAME (or --help)")
    _check_addresses(settings)
    for listener in settings.listeners:
        if not row_of(listener.protocol).scheme and not settings.proxies.uwsgi_allow and is_public(listener.text):
            warn(
                f"{listener.origin}: {listener.protocol} on {listener.text}: every client that"
                " reaches that address can pretend to be anybody; name the web servers with uwsgi-allow, or listen on"
                " 127.0.0.1 or a unix socket"
            )
    _check_worker_map(settings)
    _check_proxy_protocol(settings, warn)
    _check_http_to(settings)
    _check_cheaper(settings)
    _check_header_rules(settings)
    if python.wsgi_file and python.module:
        warn(f"wsgi-file {python.wsgi_file} and module {python.module} are both given: the file is served")


def _check_addresses(settings: Settings) -> None:
    """Does each mean a place, and each another one? Port 0 is another each time."""
    known: set[Place] = set()
    for listener in settings.listeners:
        try:
            place = read_place(listener.text, abstract=settings.listening.abstract_socket)
        except ValueError as error:
            raise UsageError(f"{listener.text}: {error}", listener.origin) from None
        if place in known and not (isinstance(place, Tcp) and place.port == 0):
            raise UsageError(f"{listener.text}: this address is given twice", listener.origin)
        known.add(place)


def _check_http_to(settings: Settings) -> None:
    """uWSGI's router may hand requests to its own server, which is what we do, or to another, which we cannot."""
    own = {spelling for listener in settings.listeners for spelling in _spellings(listener.text)}
    for target in settings.sockets.http_to:
        if target not in own:
            raise UsageError(
                f"http-to {target} is no socket of this server, and requests are not handed to others: nginx does that",
                settings.origin("http-to"),
            )


def _spellings(address: str) -> tuple[str, ...]:
    """The ways to reach a listener of this machine from itself."""
    host, colon, port = address.rpartition(":")
    if "/" in address or not colon or host not in ("", "0.0.0.0", "127.0.0.1", "localhost", "[::]"):
        return (address,)
    return (address, f":{port}", f"127.0.0.1:{port}", f"localhost:{port}")


def _check_cheaper(settings: Settings) -> None:
    rules, most = settings.cheaper, settings.processes.processes
    if rules.cheaper >= most > 1 or rules.cheaper > most:
        raise UsageError(f"cheaper {rules.cheaper}: processes must be more; it is {most}", settings.origin("cheaper"))
    if rules.cheaper_initial > most:
        raise UsageError(
            f"cheaper-initial {rules.cheaper_initial}: processes is only {most}", settings.origin("cheaper-initial")
        )


def _check_header_rules(settings: Settings) -> None:
    """Headers that only the protocol may say are not added, and Content-Length is not removed."""
    for text, origin in _written(settings, "add-header", settings.responses.add_header):
        name = text.partition(":")[0].strip()
        meaning = response_head.meaning(name)
        if meaning == response_head.LENGTH:
            raise UsageError("add-header Content-Length: each answer has its own", origin)
        if meaning in (response_head.DROP, response_head.UPGRADE):
            raise UsageError(f"add-header {name}: only the protocol may say that", origin)
    for name, origin in _written(settings, "del-header", settings.responses.del_header):
        if response_head.meaning(name.strip()) == response_head.LENGTH:
            raise UsageError("del-header Content-Length: the answer would have no end", origin)


def _written(settings: Settings, name: str, values: Iterable[str]) -> list[tuple[str, Origin]]:
    """Each value of a repeatable option of texts, and where it was written."""
    option = OPTIONS.find(name)
    origins = {one.text: one.origin for one in settings.assignments if OPTIONS.find(one.key) is option}
    return [(value, origins.get(value, Origin(name))) for value in values]


def _check_worker_map(settings: Settings) -> None:
    most = settings.processes.processes
    for _, workers in settings.listening.map_socket:
        if absent := [number for number in workers if not 1 <= number <= most]:
            raise UsageError(
                f"map-socket: there is no worker {absent[0]}; there are {most}, counted from 1",
                settings.origin("map-socket"),
            )


def _check_proxy_protocol(settings: Settings, warn: Warn) -> None:
    """Are there such sockets, and may only those connect whose word counts?"""
    proxies, known = settings.proxies, {listener.text for listener in settings.listeners}
    for text in proxies.proxy_protocol:
        if text != "all" and text not in known:
            there = ", ".join(sorted(known))
            raise UsageError(
                f"proxy-protocol: no socket is {text}; there are {there}", settings.origin("proxy-protocol")
            )
    if proxies.http_enable_proxy_protocol and not any(listener.router for listener in settings.listeners):
        origin = settings.origin("http-enable-proxy-protocol")
        warn(f"{origin}: http-enable-proxy-protocol is about http and https; for http-socket: enable-proxy-protocol")
    for listener in settings.listeners:
        if (
            not proxies.proxy_protocol_from
            and is_public(listener.text)
            and takes_proxy_headers(settings, listener.protocol, listener.text)
        ):
            warn(
                f"{listener.origin}: PROXY protocol on {listener.text}: every client that"
                " reaches that address can pretend to be anybody; name the proxies with proxy-protocol-from"
            )


def socket_numbers(settings: Settings, texts: Iterable[str]) -> list[int]:
    """The number that map-socket has for each socket, by the address as it was written.

    http, https and http-to-https are no sockets for uWSGI: its router hands what comes there to socket 0. So they go
    with that one.
    """
    routed = {one.text for one in settings.listeners if one.router}
    numbers = count()
    return [0 if text in routed else next(numbers) for text in texts]


def takes_proxy_headers(settings: Settings, protocol: str, text: str) -> bool:
    """May connections to the socket of that protocol, whose address was written so, begin with a PROXY header?

    uWSGI's http-enable-proxy-protocol is its router's: an http-socket goes on without.
    """
    proxies = settings.proxies
    if proxies.enable_proxy_protocol and row_of(protocol).scheme:
        return True
    if proxies.http_enable_proxy_protocol and any(one.router and one.text == text for one in settings.listeners):
        return True
    return _is_named(settings, text)


def needs_proxy_headers(settings: Settings, text: str) -> bool:
    """Is a connection to the socket of that address refused if it has none?

    As under uWSGI it is not where only the options of uWSGI's names announce them, so health checks come in: that
    gives nothing away, since every peer could write a header. proxy-protocol-from says who must.
    """
    return bool(settings.proxies.proxy_protocol_from) or _is_named(settings, text)


def _is_named(settings: Settings, text: str) -> bool:
    return "all" in settings.proxies.proxy_protocol or text in settings.proxies.proxy_protocol


def check_reload(started: Settings, serving: Settings, wanted: Settings, warn: Warn, tell: Warn = silent) -> None:
    """`check`, for settings read again while the server runs.

    started: what the master began with, and still has wherever a change needs a restart. serving: what the generation
    has that serves now. Tells by name what has changed and what it takes to have it; warns of each change that takes a
    restart.
    """
    check(wanted, warn)
    changed: dict[ChangeNeeds, list[str]] = {rule: [] for rule in ChangeNeeds}
    for entry in OPTIONS:
        had = started if entry.option.reload is ChangeNeeds.RESTART else serving
        before, after = (getattr(getattr(one, entry.section), entry.field) for one in (had, wanted))
        if before != after:
            changed[entry.option.reload].append(entry.option.name)
    if named := changed[ChangeNeeds.WORKERS]:
        tell(f"changed, for the new workers: {', '.join(named)}")
    if named := changed[ChangeNeeds.LIVE]:
        tell(f"changed, as soon as the new workers serve: {', '.join(named)}")
    for name in changed[ChangeNeeds.RESTART]:
        warn(f"{name} has changed, but needs a restart; it stays as it was")
