"""Native drivers and gevent: those that can be made green are, those that cannot are named.

Patching reaches Python code only. A driver written in C waits in C, and the whole worker waits with it. What can be
done about it is done at the moment somebody imports the driver, however late; one that nobody uses is not imported.
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
"""Called with a module that has just been imported, and with what logs a warning."""


def _psycopg2(extensions: Any, say: Said) -> None:
    """psycopg2's own way: it connects asynchronously and calls us whenever it has to wait."""
    from gevent.socket import wait_read, wait_write

    def wait(connection: Any) -> None:
        while (state := connection.poll()) != extensions.POLL_OK:
            (wait_read if state == extensions.POLL_READ else wait_write)(connection.fileno())

    if extensions.get_wait_callback() is None:  # psycogreen or the application may have set one
        extensions.set_wait_callback(wait)


def _grpc(grpc: ModuleType, say: Said) -> None:
    """grpc's own way; to be called before any channel exists, so right behind the import."""
    from grpc.experimental import gevent as grpc_gevent

    grpc_gevent.init_gevent()


def blocks(advice: str) -> Imported:
    """Nothing can be done for it but to say so."""

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
"""What is done when one of these has been imported, by its module's full name."""


class DriverWatch(MetaPathFinder):
    """Does what DRIVERS says right behind the import of each; for what was imported before `start`, at once."""

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
        """The spec that the others find, with a loader that tells us when it is done; None for all but the drivers."""
        if fullname not in self._drivers:
            return None
        finders = [one for one in sys.meta_path if one is not self and hasattr(one, "find_spec")]
        found = (one.find_spec(fullname, path, target) for one in finders)
        spec = next((one for one in found if one is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Telling(spec.loader, self.imported)
        return spec

    def imported(self, module: ModuleType) -> None:
        """Once for each: its import may be tried again when it fails, and a driver that cannot be helped goes on."""
        act = self._drivers.pop(module.__name__, None)
        if act is None:
            return
        try:
            act(module, self._say)
        except Exception as error:  # a border: other versions than we know may do without
            self._say(f"{module.__name__} could not be made green: {type(error).__name__}: {error}")


class _Telling(Loader):
    """Another's loader, but for the word behind it. The module gets the real one back: pickles and inspect look."""

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
