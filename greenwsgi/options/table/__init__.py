"""The option table: one dataclass a section; a section's docstring is its title."""

from __future__ import annotations

from dataclasses import dataclass, field

from greenwsgi.options.table.cgi import CgiOptions
from greenwsgi.options.table.cheaper import CheaperOptions
from greenwsgi.options.table.config import ConfigOptions
from greenwsgi.options.table.hooks import HookOptions
from greenwsgi.options.table.limits import LimitsOptions
from greenwsgi.options.table.listening import ListeningOptions
from greenwsgi.options.table.logging import LoggingOptions
from greenwsgi.options.table.machine import MachineOptions
from greenwsgi.options.table.processes import ProcessesOptions
from greenwsgi.options.table.proxies import ProxiesOptions
from greenwsgi.options.table.python import PythonOptions
from greenwsgi.options.table.responses import ResponsesOptions
from greenwsgi.options.table.sockets import SocketsOptions
from greenwsgi.options.table.tls import TlsOptions


@dataclass(frozen=True, kw_only=True)
class Sections:
    """All sections, in the order in which they are shown."""

    python: PythonOptions = field(default_factory=PythonOptions)
    cgi: CgiOptions = field(default_factory=CgiOptions)
    sockets: SocketsOptions = field(default_factory=SocketsOptions)
    tls: TlsOptions = field(default_factory=TlsOptions)
    listening: ListeningOptions = field(default_factory=ListeningOptions)
    processes: ProcessesOptions = field(default_factory=ProcessesOptions)
    cheaper: CheaperOptions = field(default_factory=CheaperOptions)
    machine: MachineOptions = field(default_factory=MachineOptions)
    hooks: HookOptions = field(default_factory=HookOptions)
    proxies: ProxiesOptions = field(default_factory=ProxiesOptions)
    limits: LimitsOptions = field(default_factory=LimitsOptions)
    responses: ResponsesOptions = field(default_factory=ResponsesOptions)
    logging: LoggingOptions = field(default_factory=LoggingOptions)
    config: ConfigOptions = field(default_factory=ConfigOptions)
