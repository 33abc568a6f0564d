"""Applications that the web server names in a request's variables, as under uWSGI; only by the option dynamic-apps.

Any client that reaches the socket can run any code with it, so the wire drops these variables without the option.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from greenwsgi.wsgi.load_application import load
from greenwsgi.wsgi.types import Application, Environ, StartResponse

if TYPE_CHECKING:
    from greenwsgi.options.table.python import PythonOptions


class DynamicApps:
    """A WSGI application that passes each request on to the one its variables name, else to `default`.

    UWSGI_FILE is a file, UWSGI_SCRIPT is `module:callable`, UWSGI_MODULE a module, each with UWSGI_CALLABLE;
    UWSGI_PYHOME (or UWSGI_HOME) is the virtual environment to look in. An application is loaded once for its
    UWSGI_APPID, or else its SCRIPT_NAME, and stays; UWSGI_SETENV (`NAME=VALUE`) is set with every request. UWSGI_CHDIR
    is ignored, since all requests of a worker have the same folder. An exception of loading is that request's error.
    """

    def __init__(self, default: Application, python: PythonOptions) -> None:
        self._default = default
        self._python = python
        self._loaded: dict[tuple[str, ...], Application] = {}
        self._locks: dict[tuple[str, ...], threading.Lock] = defaultdict(threading.Lock)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        name, _, value = environ.get("UWSGI_SETENV", "").partition("=")
        if name:
            os.environ[name] = value
        return self._find(environ)(environ, start_response)

    def _find(self, environ: Environ) -> Application:
        file, script = environ.get("UWSGI_FILE", ""), environ.get("UWSGI_SCRIPT", "")
        module = script or environ.get("UWSGI_MODULE", "")
        if not file and not module:
            return self._default
        key = (environ.get("UWSGI_APPID") or environ.get("SCRIPT_NAME", ""), file, module)
        if key not in self._loaded:
            python = replace(
                self._python,
                wsgi_file=file,
                module="" if file else module,
                callable=environ.get("UWSGI_CALLABLE", ""),
                virtualenv=environ.get("UWSGI_PYHOME") or environ.get("UWSGI_HOME") or self._python.virtualenv,
            )
            with self._locks[key]:  # while an import waits, other requests may need the same application
                if key not in self._loaded:
                    self._loaded[key] = load(python)
        return self._loaded[key]
