"""The option table: one dataclass a section; a section's docstring is its title."""

from __future__ import annotations

from dataclasses import dataclass, field

from greenwsgi.options.table.cheaper import Cheaper
from greenwsgi.options.table.config import Config
from greenwsgi.options.table.limits import Limits
from greenwsgi.options.table.listening import Listening
from greenwsgi.options.table.logging import Logging
from greenwsgi.options.table.machine import Machine
from greenwsgi.options.table.moments import Moments
from greenwsgi.options.table.processes import Processes
from greenwsgi.options.table.programs import Programs
from greenwsgi.options.table.proxies import Proxies
from greenwsgi.options.table.python import Python
from greenwsgi.options.table.responses import Responses
from greenwsgi.options.table.sockets import Sockets
from greenwsgi.options.table.tls import Tls


@dataclass(frozen=True, kw_only=True)
class Sections:
    """All sections, in the order in which they are shown."""

    python: Python = field(default_factory=Python)
    programs: Programs = field(default_factory=Programs)
    sockets: Sockets = field(default_factory=Sockets)
    tls: Tls = field(default_factory=Tls)
    listening: Listening = field(default_factory=Listening)
    processes: Processes = field(default_factory=Processes)
    cheaper: Cheaper = field(default_factory=Cheaper)
    machine: Machine = field(default_factory=Machine)
    moments: Moments = field(default_factory=Moments)
    proxies: Proxies = field(default_factory=Proxies)
    limits: Limits = field(default_factory=Limits)
    responses: Responses = field(default_factory=Responses)
    logging: Logging = field(default_factory=Logging)
    config: Config = field(default_factory=Config)
