"""Telling systemd how the server is (Type=notify and Type=notify-reload; sd_notify(3)).

What is told follows from the fleet alone, at each look, so it is true whatever asked for a reload or a stop.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from greenwsgi.log.server import ServerLog
from greenwsgi.process import words
from greenwsgi.process.fleet import Fleet, GenerationStage, Stop

VARIABLE = "NOTIFY_SOCKET"


def told(fleet: Fleet) -> str:
    """What systemd should know now; "" before the first generation serves."""
    if fleet.stop is not Stop.NO:
        return "STOPPING=1"
    serving = fleet.at(GenerationStage.SERVING)
    if serving is None:
        return ""
    if fleet.reload_wanted is not None or fleet.at(GenerationStage.RISING):
        return "RELOADING=1"
    status = f"generation {serving.number} serves with {words.strength(serving)}"
    return f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}"


class Notifier:
    """Tells whoever NOTIFY_SOCKET names, each thing once; nobody, if it is not set."""

    def __init__(self, fleet: Fleet, environ: Mapping[str, str], log: ServerLog) -> None:
        self._fleet = fleet
        self._address = environ.get(VARIABLE, "")
        self._log = log
        self._told = ""

    def look(self) -> None:
        """Tell what has changed. One that cannot be told is given up, with a line in the log."""
        if not self._address:
            return
        now = told(self._fleet)
        if now in ("", self._told):
            return
        self._told = now
        if now == "RELOADING=1":  # systemd tells by the time that it is not the reload before
            now += f"\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(now.encode(), _socket_address(self._address))
        except BlockingIOError:  # its queue is full: again at the next look
            self._told = ""
        except OSError as error:
            self._log.warning(f"{VARIABLE} {self._address}: {error.strerror}; nothing more is told there")
            self._address = ""


def _socket_address(text: str) -> str:
    """A path, or an abstract name."""
    return "\0" + text[1:] if text.startswith("@") else text
