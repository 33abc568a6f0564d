"""Options of uWSGI without a value here: their names, what they are for, and what becomes of them.

A row leaves this room when its option gets a value, in options/table.
"""

from __future__ import annotations

from greenwsgi.options.option_spec import Option
from greenwsgi.options.uwsgi_only import (
    application,
    clusters,
    configuration,
    directives,
    monitoring,
    processes,
    services,
    sockets,
    web,
)

FOREIGN: dict[str, tuple[Option, ...]] = {
    "python": application.ROWS,
    "sockets": sockets.ROWS,
    "processes": processes.ROWS,
    "web": web.ROWS,
    "services": services.ROWS,
    "logging": monitoring.ROWS,
    "clusters": clusters.ROWS,
    "config": directives.ROWS + configuration.ROWS,
}
"""By section: those of options/table, and some more."""

TITLES = {"web": "Requests and files", "services": "Services beside the application", "clusters": "Many servers"}
