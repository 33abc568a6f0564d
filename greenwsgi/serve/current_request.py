"""The current request: which exchange does this greenlet belong to? Found in constant time, at no cost for requests.

A request's own greenlet is its key in `Service.running`. A greenlet that was spawned for a request by gevent, at any
depth, is noted when it is spawned. The note ends with the request: a greenlet that lives longer belongs to none.
Raw greenlets and native threads are not noted.

A context variable would not do: gevent starts each greenlet with an empty context, so what a request spawns would not
have it. And each request would pay for it (250 ns), since the context has to be empty again before the next request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary, ref

from gevent import Greenlet
from greenlet import getcurrent

from greenwsgi.clock import SystemClock
from greenwsgi.serve.deadlines import NEVER
from greenwsgi.serve.service import RunningExchange


class CurrentRequests:
    """Knows the request of each greenlet of a worker. `running`: Service.running."""

    def __init__(self, running: Mapping[Any, RunningExchange]) -> None:
        self._running = running
        self._spawned: WeakKeyDictionary[Greenlet[..., Any], ref[RunningExchange]] = WeakKeyDictionary()

    def start(self) -> None:
        """Note greenlets from now on."""
        Greenlet.add_spawn_callback(self._note)

    def stop(self) -> None:
        """Note no more greenlets."""
        Greenlet.remove_spawn_callback(self._note)

    def find(self) -> RunningExchange | None:
        """The request that this code runs for; None if there is none."""
        current = getcurrent()
        found = self._running.get(current)
        if found is None and (noted := self._spawned.get(current)) is not None:  # type: ignore[call-overload]
            found = noted()
            if found is not None and self._running.get(found.greenlet) is not found:
                return None
        return found

    def set_harakiri(self, seconds: float) -> None:
        """Give the current request so many seconds from now; 0 is no limit. `environ["greenwsgi.harakiri"]`.

        Raises RuntimeError outside of a request.
        """
        request = self.find()
        if request is None:
            raise RuntimeError("greenwsgi.harakiri can only be called in the greenlet of a request or one it spawned")
        request.postpone(SystemClock.monotonic() + seconds if seconds > 0 else NEVER)

    def _note(self, spawned: Greenlet[..., Any]) -> None:
        """Called by gevent for each greenlet that is spawned, in the greenlet that spawns it."""
        request = self.find()
        if request is not None:
            self._spawned[spawned] = ref(request)
