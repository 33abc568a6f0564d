"""All the sockets that the server listens on, in the order in which they are numbered.

First those of the configuration as they were written, then those of socket activation. Without any, standard input, if
it is a listening socket; else the default address.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import replace
from typing import Any

from greenwsgi.clock import Clock
from greenwsgi.config import option_rules
from greenwsgi.config.settings import Settings
from greenwsgi.errors import Origin, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.options.listen_addresses import Descriptor, read_place
from greenwsgi.options.table.sockets import PROTOCOL_NAMES
from greenwsgi.options.value_types import Address
from greenwsgi.process.lifecycle import user_identity
from greenwsgi.process.lifecycle.user_identity import NOBODY_ELSE, Identity, Owner
from greenwsgi.process.listening import binding, inherited_sockets
from greenwsgi.process.listening.binding import Listener
from greenwsgi.process.supervision import log_messages
from greenwsgi.shared.messages import HANDSHAKE

_SOMAXCONN = "/proc/sys/net/core/somaxconn"


def listen(
    settings: Settings,
    environ: MutableMapping[str, str],
    log: ServerLog,
    made: Callable[[Listener], Any],
    who: Identity = NOBODY_ELSE,
) -> list[Listener]:
    """Listen wherever the settings say; each listener is given to `made` as soon as there is one.

    environ: the process's own; the variables of socket activation are taken out of it. who: the server's user, whose
    the socket files are, unless chown-socket says otherwise. Raises UsageError.
    """
    doors = _Doors(settings, owner_of(settings, who), made)
    sockets, warning = inherited_sockets.passed(environ, os.getpid())
    if warning:
        log.warning(warning)
    if not settings.listens_by_default:
        for address in settings.listeners:
            doors.open(address)
    doors.take(sockets)
    if not doors.listeners:
        doors.open_default(log)
    _check(settings, [one.bound.text for one in doors.listeners])
    _tell(settings, doors.listeners, log)
    return doors.listeners


class Refusal:
    """How the listeners end when the server stops: no new connection begins, workers accept what waits in the queues,
    and as soon as that is done the kernel refuses new ones.
    """

    def __init__(self, listeners: Iterable[Listener], clock: Clock) -> None:
        self._listeners = list(listeners)
        self._clock = clock
        self._since: float | None = None

    def __call__(self, at_once: bool) -> None:
        """To be called again and again. at_once: no worker will accept anything, so what waits is reset."""
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
            for one in self._listeners:
                one.quiet()
        for one in self._listeners:
            settled = one.bound.near or now >= self._since + HANDSHAKE
            if at_once or (settled and not binding.waiting(one.bound.fd)):
                one.refuse()


class _Doors:
    """The listeners that there are so far."""

    def __init__(self, settings: Settings, owner: Owner | None, made: Callable[[Listener], Any]) -> None:
        self.listeners: list[Listener] = []
        self._settings = settings
        self._options = settings.listening
        self._owner = owner
        self._made = made

    def open(self, address: Address) -> None:
        """One that was written."""
        self._add(self._open(address), text=address.text, tls=address.certificate is not None)

    def _open(self, address: Address) -> Listener:
        try:
            place = read_place(address.text, abstract=self._options.abstract_socket)
        except ValueError as error:
            raise UsageError(f"{address.text}: {error}", address.origin) from None
        if isinstance(place, Descriptor):
            return inherited_sockets.adopt(place.fd, address, self._options)
        return binding.bind(address, place, self._options, self._owner)

    def take(self, sockets: Iterable[inherited_sockets.Passed]) -> None:
        """Those of socket activation: of the protocol they are named after, or else of the default one."""
        taken = {one.bound.fd for one in self.listeners}
        for one in sockets:
            if one.fd in taken:  # named in the configuration too, as fd://N
                continue
            protocol = one.name if one.name in PROTOCOL_NAMES else self._settings.sockets.protocol
            address = Address(protocol, one.name or f"fd://{one.fd}", Origin("LISTEN_FDS"))
            self._add(inherited_sockets.adopt(one.fd, address, self._options), text="")

    def open_default(self, log: ServerLog) -> None:
        found = inherited_sockets.standard_input(self._settings.sockets.protocol, self._options)
        if found is not None:
            self._add(found, text="")
            return
        address = self._settings.listeners[0]
        self.open(address)
        log.info(f"no socket given: serving {log_messages.address(self.listeners[0].bound)}")

    def _add(self, listener: Listener, *, text: str, tls: bool = False) -> None:
        """text: the address as it was configured, "" for none."""
        listener = replace(listener, bound=replace(listener.bound, text=text, tls=tls))
        self._made(listener)
        self.listeners.append(listener)


def owner_of(settings: Settings, who: Identity) -> Owner | None:
    """The owner for socket files, None to leave it as it is.

    uWSGI binds as the user that it becomes, and so `chmod-socket = 660` lets that user's web server in. We bind before.
    """
    if settings.listening.chown_socket:
        return user_identity.owner(settings.listening.chown_socket, settings.origin("chown-socket"))
    if who.owner == NOBODY_ELSE.owner:
        return None
    return Owner(*who.owner, str(who), settings.origin("gid" if who.uid is None else "uid"))


def _check(settings: Settings, texts: Iterable[str]) -> None:
    numbers = set(option_rules.socket_numbers(settings, texts))
    for number, _ in settings.listening.map_socket:
        if number not in numbers:
            has = f"there are {len(numbers)}, counted from 0"
            raise UsageError(f"map-socket: there is no socket {number}; {has}", settings.origin("map-socket"))


def _tell(settings: Settings, listeners: Iterable[Listener], log: ServerLog) -> None:
    for one in listeners:
        if not one.bound.text:
            log.info(f"inherited {log_messages.address(one.bound)} (descriptor {one.bound.fd})")
    if warning := backlog_warning(settings.listening.listen):
        log.warning(warning)
    used = {one.text for one in settings.listeners}
    for number, shared in enumerate(settings.sockets.shared_socket):
        if shared.text not in used:
            log.warning(f"{shared.origin}: shared-socket {shared.text}: no socket is given as ={number}")


def backlog_warning(backlog: int, somaxconn: str = _SOMAXCONN) -> str:
    """What to tell the operator if the kernel keeps fewer connections waiting than `listen` asks for, else ""."""
    try:
        with open(somaxconn) as file:
            most = int(file.read())
    except (OSError, ValueError):
        return ""
    if backlog <= most:
        return ""
    return f"listen {backlog} is more than the kernel allows: net.core.somaxconn is {most}, and so is the backlog"
