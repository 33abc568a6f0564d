"""gevent's monkey-patching: patch first, check that it is in effect, and list modules imported before it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

from greenwsgi.errors import BootError

_early: frozenset[str] = frozenset()
"""The modules that were imported before the patch."""


def patch() -> None:
    """Patch the standard library for gevent. Must run before the application, and before nearly everything else.

    Signals stay the standard library's: a worker sets its handlers itself, and the zygote never runs the hub.
    """
    import os

    global _early
    _early = frozenset(sys.modules)

    import gevent
    from gevent import monkey

    monkey.patch_all()
    if "GEVENT_TRACK_GREENLET_TREE" not in os.environ:
        # To record in each greenlet, for debugging, which one spawned it takes 2 us, more than the spawn itself.
        gevent.config.track_greenlet_tree = False


def check() -> None:
    """Raise BootError unless socket, ssl, threading, time and subprocess are really gevent's.

    It checks the objects, not gevent's record of patches, so it also finds modules that were imported again or
    restored.
    """
    wrong = [name for name, patched in _state().items() if not patched]
    if wrong:
        raise BootError(
            f"not patched for gevent: {', '.join(wrong)}; something replaced them or imported them too early,"
            " and every blocking call would stop all requests of its worker"
        )


def unpatched() -> list[str]:
    """What was imported before the patch and still holds something unpatched: `requests.sessions.socket`.

    A line in a .pth file or sitecustomize is how that happens. The standard library's own modules are gevent's care.
    """
    return sorted(_held(_originals()))


def _originals() -> dict[int, object]:
    """The functions and classes that gevent has replaced, by identity."""
    from gevent import monkey

    found: dict[int, object] = {}
    for name, items in monkey.saved.items():  # type: ignore[attr-defined]  # missing in gevent's stubs
        module = sys.modules.get(name)
        for attribute, original in items.items():
            if callable(original) and getattr(module, attribute, original) is not original:
                found[id(original)] = original
    return found


def _held(originals: dict[int, object]) -> Iterator[str]:
    own = {"greenwsgi", "gevent", "greenlet", "__main__", *sys.stdlib_module_names}
    for name in _early:
        module = sys.modules.get(name)
        if not isinstance(module, ModuleType) or name.partition(".")[0] in own:
            continue
        for attribute, value in list(vars(module).items()):
            bases = value.__mro__ if isinstance(value, type) else (value,)
            if any(id(base) in originals for base in bases):
                yield f"{name}.{attribute}"


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
