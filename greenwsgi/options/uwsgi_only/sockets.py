"""Sockets, the HTTP router, TLS: what there is no value for."""

from __future__ import annotations

from greenwsgi.options.option_spec import Reason
from greenwsgi.options.uwsgi_only.by_value import zero
from greenwsgi.options.uwsgi_only.row_format import accepted, later, refused

_MODIFIER = "only Python applications are served here, and their modifier is 0"

ROWS = (
    *accepted(
        Reason.KERNEL,
        """
        thunder-lock: take turns at accepting connections | the kernel wakes one worker for each connection
        no-defer-accept: accept connections before they have data | they are, unless defer-accept is given
        shutdown-sockets: shut sockets down before they are closed
        """,
    ),
    *refused(
        _MODIFIER,
        """
        http-socket-modifier1 =: who answers requests on http-socket
        http-socket-modifier2 =: who answers requests on http-socket
        https-socket-modifier1 =: who answers requests on https-socket
        https-socket-modifier2 =: who answers requests on https-socket
        fastcgi-modifier1 =: who answers requests on fastcgi-socket
        fastcgi-modifier2 =: who answers requests on fastcgi-socket
        scgi-modifier1 =: who answers requests on scgi-socket
        scgi-modifier2 =: who answers requests on scgi-socket
        http-modifier1 =: who answers requests on http
        http-modifier2 =: who answers requests on http
        """,
        judge=zero,
    ),
    *refused(
        _MODIFIER,
        """
        remap-modifier =: give requests of one modifier to another
        """,
    ),
    *refused(
        "it is not spoken yet; serve HTTP or uwsgi there, with http-socket or uwsgi-socket",
        """
        puwsgi-socket =: listen there and speak uwsgi on connections that stay
        """,
    ),
    *refused(
        "write it as https = ADDRESS,CERTIFICATE,KEY[,CIPHERS[,CA]]",
        """
        https2 =: listen there and speak HTTPS, with named settings
        """,
    ),
    *refused(
        "its hosts would get another's certificate; name each with sni",
        """
        sni-dir =: a folder of certificates, one for each host
        """,
    ),
    *accepted(
        Reason.TUNES,
        """
        https-export-cert: give the application the client's certificate | it always has it, as HTTPS_CC
        https-session-context =: the name of the TLS session cache
        ssl-verbose: log more of TLS errors
        ssl-tmp-dir =: a folder for TLS files
        sni-dir-ciphers =: the ciphers for those
        """,
    ),
    *accepted(
        Reason.SAFER,
        """
        ssl-enable3 ssl-enable-sslv3: allow SSL 3
        ssl-enable-tlsv1: allow TLS 1.0
        """,
    ),
    *later(
        "Not yet",
        """
        ssl-verify-depth [=]: how long a client certificate's chain may be | OpenSSL's own limit holds
        ssl-option: set an OpenSSL option by its number | TLS is as strict as Python's default
        tcp-fast-open-client tcp-fastopen-client: TCP Fast Open towards other servers
        udp =: a UDP server for logs, SNMP and the cache
        """,
    ),
    *accepted(
        Reason.NO_ROUTER,
        """
        http-processes http-workers =: how many router processes there are
        http-timeout =: how long the router waits for a worker or a client
            | clients have socket-timeout, the application has harakiri
        http-connect-timeout =: how long the router waits for a worker's connection
        http-events =: how many events the router takes at once
        http-buffer-size =: the router's buffer | the longest request head is buffer-size
        http-gracetime =: when the router tries a dead worker again
        http-quiet =: say nothing of failed connections to workers
        http-cheap: stop the router while there is no worker
        http-harakiri =: end a stuck router
        http-uid =: run the router as this user | the workers run as uid
        http-gid =: run the router as this group | the workers run as gid
        http-stats http-stats-server http-ss =: figures of the router
        """,
    ),
    *accepted(
        Reason.ALWAYS,
        """
        http-keepalive [=]: keep HTTP connections | for as long as keepalive-timeout says
        http-auto-chunked: send responses of unknown length in chunks
        http-chunked-input: take request bodies in chunks
        http-raw-body: give the application request bodies without a length
        http-manage-expect [=]: answer Expect: 100-continue
        """,
    ),
    *later(
        "Not yet",
        """
        http-websockets: let WebSockets through | they come with the uwsgi module
        http-auto-gzip: compress what the application marks | let nginx do it, with gzip
        http-var =: a variable for every request | a WSGI middleware can add it to environ
        http-server-name-as-http-host =: SERVER_NAME is the Host header
        http-manage-source: let Icecast's SOURCE through
        http-manage-rtsp: let RTSP through
        """,
    ),
    *refused(
        "this server's own application answers on http, which passes nothing on; put nginx in front of several servers",
        """
        http-use-socket [=]: the socket of the server that answers
        http-use-cache [=]: find the server in the cache
        http-use-pattern =: find the server by a pattern
        http-use-base =: find the server in a folder
        http-use-code-string =: find the server by code
        http-fallback =: the server that answers when others do not
        http-zerg =: servers of a Zerg
        http-subscription-server =: servers that announce themselves
        http-stud-prefix =: clients' addresses as stud sends them
        """,
    ),
    *accepted(
        Reason.TUNES,
        """
        http-subscription-fallback-key =: the key for servers of last resort
        http-resubscribe =: announce servers further on
        """,
    ),
)
