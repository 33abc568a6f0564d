"""Telling systemd how the server is (Type=notify and Type=notify-reload; sd_notify(3)).

What is told follows from the fleet alone, at each look, so it is true whatever asked for a reload or a stop.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping

from greenwsgi.log.server_log import ServerLog
from greenwsgi.process.supervision import log_messages
from greenwsgi.process.supervision.fleet import Fleet, GenerationStage, Stop

VARIABLE = "NOTIFY_SOCKET"
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
RELOADING = "RELOADING=1"
STOPPING = "STOPPING=1"


def told(fleet: Fleet) -> str:
    """What systemd should know now; "" before the first generation serves."""
    if fleet.stop is not Stop.NO:
        return STOPPING
    serving = fleet.at(GenerationStage.SERVING)
    if serving is None:
        return ""
    if fleet.reload_wanted is not None or fleet.at(GenerationStage.RISING):
        return RELOADING
    status = f"generation {serving.number} serves with {log_messages.strength(serving)}"
    return f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}"


class SystemdNotifier:
    """Tells the socket that NOTIFY_SOCKET names, each thing once; does nothing if it is not set."""

    def __init__(self, fleet: Fleet, environ: Mapping[str, str], log: ServerLog) -> None:
        self._fleet = fleet
        self._address = environ.get(VARIABLE, "")
        self._log = log
        self._told = ""
        self._reloads = fleet.reloads

    def look(self) -> None:
        """Tell what has changed. One that cannot be told is given up, with a line in the log.

        Who asks for a reload waits for the word that it began, even if it was refused since the last look, and even if
        another one was under way.
        """
        if not self._address:
            return
        now = told(self._fleet)
        if now in (STOPPING, ""):
            self._reloads = self._fleet.reloads
        if self._reloads != self._fleet.reloads and self._tell(RELOADING):
            self._told, self._reloads = RELOADING, self._fleet.reloads
        if now not in ("", self._told) and self._tell(now):
            self._told = now

    def _tell(self, what: str) -> bool:
        """False: not yet, or never."""
        if what == RELOADING:  # systemd tells by the time that it is not the reload before
            what += f"\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(what.encode(), _socket_address(self._address))
        except BlockingIOError:  # its queue is full
            return False
        except OSError as error:
            if error.errno in _SHORTAGES:
                return False
            self._log.warning(f"{VARIABLE} {self._address}: {error.strerror}; nothing more is told there")
            self._address = ""
            return False
        return True


def _socket_address(text: str) -> str:
    """A path, or an abstract name."""
    return "\0" + text[1:] if text.startswith("@") else text
