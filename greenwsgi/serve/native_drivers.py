"""Native drivers and gevent: those that can cooperate are configured to; for the others a warning is logged.

Monkey-patching reaches Python code only. A driver written in C waits in C, and blocks the whole worker. It is handled
when the application imports it, however late; a driver that is not used is not imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Said = Callable[[str], None]
Imported = Callable[[ModuleType, Said], None]
"""Called with a module that has just been imported, and with a function that logs a warning."""


def _psycopg2(extensions: Any, say: Said) -> None:
    """psycopg2's wait callback: it connects asynchronously and calls `wait` whenever it must wait."""
    from gevent.socket import wait_read, wait_write

    def wait(connection: Any) -> None:
        while (state := connection.poll()) != extensions.POLL_OK:
            (wait_read if state == extensions.POLL_READ else wait_write)(connection.fileno())

    if extensions.get_wait_callback() is None:  # psycogreen or the application may have set one
        extensions.set_wait_callback(wait)


def _grpc(grpc: ModuleType, say: Said) -> None:
    """grpc's support of gevent. It must be initialised before any channel exists, so directly after the import."""
    from grpc.experimental import gevent as grpc_gevent

    grpc_gevent.init_gevent()


def blocks(advice: str) -> Imported:
    """The handler of a driver that always blocks: it logs a warning with `advice`."""

    def warn(module: ModuleType, say: Said) -> None:
        say(f"{module.__name__} waits in native code: each of its calls stops all requests of its worker; {advice}")

    return warn


DRIVERS: Mapping[str, Imported] = {
    "psycopg2.extensions": _psycopg2,
    "grpc": _grpc,
    "MySQLdb": blocks("PyMySQL does not (pymysql.install_as_MySQLdb() takes its place)"),
    "_mysql_connector": blocks("mysql.connector does not with use_pure=True"),
    "pyodbc": blocks("run its calls in gevent.get_hub().threadpool"),
    "cx_Oracle": blocks("oracledb does not in its thin mode"),
    "pymssql": blocks("python-tds does not"),
    "ibm_db": blocks("run its calls in gevent.get_hub().threadpool"),
}
"""The handler of each driver, by the full name of the module whose import it follows."""


class DriverWatch(MetaPathFinder):
    """Calls the handlers in `drivers`, each directly after the import of its module. `start` calls those due already.

    say: logs a warning.
    """

    def __init__(self, say: Said, drivers: Mapping[str, Imported] = DRIVERS) -> None:
        self._say = say
        self._drivers = dict(drivers)

    def start(self) -> None:
        for name in [one for one in self._drivers if one in sys.modules]:
            self.imported(sys.modules[name])
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders find, with a loader that calls `imported`; None for all but the drivers."""
        if fullname not in self._drivers:
            return None
        finders = [one for one in sys.meta_path if one is not self and hasattr(one, "find_spec")]
        found = (one.find_spec(fullname, path, target) for one in finders)
        spec = next((one for one in found if one is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _NotifyingLoader(spec.loader, self.imported)
        return spec

    def imported(self, module: ModuleType) -> None:
        """Call the handler, once for each module. If the handler fails, a warning is logged and the import succeeds."""
        act = self._drivers.pop(module.__name__, None)
        if act is None:
            return
        try:
            act(module, self._say)
        except Exception as error:  # other versions of the driver may differ
            self._say(f"{module.__name__} could not be made green: {type(error).__name__}: {error}")


class _NotifyingLoader(Loader):
    """Wraps a loader and calls `done` after it. The module keeps the original loader, for pickle and inspect."""

    def __init__(self, loader: Loader, done: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._done = done

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._done(module)
