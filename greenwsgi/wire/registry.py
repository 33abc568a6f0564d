"""PROTOCOLS: what greenwsgi can speak. A new protocol is one module here and one row in this table."""

from __future__ import annotations

from greenwsgi.wire.fastcgi import FastCgi, FastCgiNph
from greenwsgi.wire.http1 import Http1
from greenwsgi.wire.protocol import ProtocolRow
from greenwsgi.wire.scgi import Scgi, ScgiNph
from greenwsgi.wire.uwsgi import Uwsgi

AUTO = ProtocolRow("auto", Http1, "", "whichever of the others the first bytes tell")
"""Stands for the protocol of a connection that has not said a word."""

PROTOCOLS: dict[str, ProtocolRow] = {
    row.name: row
    for row in (
        ProtocolRow("http", Http1, "http", "HTTP/1.0 and 1.1, from browsers and proxies"),
        ProtocolRow("uwsgi", Uwsgi, "", "uwsgi packets, from nginx uwsgi_pass and its like"),
        ProtocolRow("fastcgi", FastCgi, "", "FastCGI, from nginx fastcgi_pass, Apache mod_proxy_fcgi and their like"),
        ProtocolRow("fastcgi-nph", FastCgiNph, "", "FastCGI whose answers begin with a status line as in HTTP"),
        ProtocolRow("scgi", Scgi, "", "SCGI, from nginx scgi_pass, Apache mod_proxy_scgi and their like"),
        ProtocolRow("scgi-nph", ScgiNph, "", "SCGI whose answers begin with a status line as in HTTP"),
    )
}


def row_of(name: str) -> ProtocolRow:
    """The row of that name, AUTO among them."""
    return AUTO if name == AUTO.name else PROTOCOLS[name]
