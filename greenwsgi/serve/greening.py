"""Making blocking Python cooperative: patch first of all, then prove that it held."""

from __future__ import annotations

from greenwsgi.errors import BootError


def patch() -> None:
    """Patch the standard library for gevent. Must run before the application, and before nearly everything else.

    Signals stay the standard library's: a worker sets its handlers itself, and the zygote never runs the hub.
    """
    import os

    import gevent
    from gevent import monkey

    monkey.patch_all()
    if "GEVENT_TRACK_GREENLET_TREE" not in os.environ:
        # Noting in each new greenlet who spawned it, for debugging, takes 2 us: more than to spawn it does.
        gevent.config.track_greenlet_tree = False


def check() -> None:
    """Raise BootError unless socket, ssl, threading, time and subprocess are really gevent's.

    Looking at the objects, not at gevent's notes of what it patched, also finds a module that somebody imported afresh
    or put back.
    """
    wrong = [name for name, patched in _state().items() if not patched]
    if wrong:
        raise BootError(
            f"not patched for gevent: {', '.join(wrong)}; something replaced them or imported them too early,"
            " and every blocking call would stop all requests of its worker"
        )


def _state() -> dict[str, bool]:
    import socket
    import ssl
    import subprocess
    import threading
    import time

    import gevent
    import gevent.lock
    import gevent.socket
    import gevent.ssl
    import gevent.subprocess
    import gevent.thread

    return {
        "socket": socket.socket is gevent.socket.socket,
        "ssl": ssl.SSLSocket is gevent.ssl.SSLSocket,
        "threading": isinstance(threading.Lock(), gevent.thread.LockType),
        "time": time.sleep.__module__.startswith("gevent"),
        "subprocess": subprocess.Popen is gevent.subprocess.Popen,
    }
