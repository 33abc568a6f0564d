"""Many servers: the Emperor, legions, subscriptions, Zerg, routers for other servers."""

from __future__ import annotations

from collections.abc import Iterator

from greenwsgi.options.option_spec import Option, Reason
from greenwsgi.options.uwsgi_only.row_format import accepted, refused

_EMPEROR = "there is no Emperor: run one greenwsgi for each file, as with a template unit greenwsgi@.service of systemd"
_LEGION = "there are no legions: nothing would keep two nodes from doing the same; use keepalived, Consul or Kubernetes"
_ANNOUNCE = "the server announces itself to nobody: name its address in the configuration of what stands in front"
_ZERG = "sockets are not handed from server to server: SIGHUP reloads without losing a connection"
_ROUTER = "it passes nothing on to other servers: nginx or HAProxy does"


def _router(name: str, own: str) -> Iterator[Option]:
    """The options that uWSGI's three routers have in common, and those of one of them."""
    yield from refused(_ROUTER, f"{name} =: pass connections on to other servers, from there")
    yield from accepted(
        Reason.TUNES,
        f"""
        {name}-processes {name}-workers =: how many processes it has
        {name}-zerg =: take servers from a Zerg
        {name}-use-cache [=]: find servers in the cache
        {name}-use-pattern =: find servers by a pattern
        {name}-use-base =: find servers in a folder
        {name}-fallback =: the server that answers when others do not
        {name}-use-code-string =: find servers by code
        {name}-use-socket [=]: the server's socket
        {name}-to =: the server
        {name}-gracetime =: when to try a dead one again
        {name}-events =: how many events it takes at once
        {name}-quiet =: say nothing of failed connections
        {name}-cheap: stop it while there is no server
        {name}-subscription-server =: servers that announce themselves
        {name}-timeout =: how long it waits
        {name}-stats {name}-stats-server {name}-ss =: its figures
        {name}-harakiri =: end it when it is stuck
        {name}-buffer-size =: its buffer
        {own}
        """,
    )


ROWS = (
    *refused(
        _EMPEROR,
        """
        emperor =: run a server for each file of a folder
        early-emperor: do so before anything else
        emperor-broodlord =: ask for help under load
        emperor-proxy-socket =: be a proxy for the Emperor
        """,
    ),
    *accepted(
        Reason.TUNES,
        """
        emperor-wrapper =: the program that runs a vassal
        emperor-wrapper-override =: the same, tried first
        emperor-wrapper-fallback =: the same, tried last
        emperor-nofollow: do not follow links
        emperor-procname =: the Emperor's name
        emperor-freq =: how often the folder is looked at
        emperor-required-heartbeat =: how often vassals must be heard of
        emperor-curse-tolerance =: how long a cursed vassal may live
        emperor-pidfile =: the Emperor's process id
        emperor-tyrant: run each vassal as the owner of its file
        emperor-tyrant-nofollow: do not follow links for that
        emperor-stats emperor-stats-server =: the Emperor's figures
        emperor-throttle =: how long a bad vassal waits
        emperor-max-throttle =: how long at most
        emperor-magic-exec: run files that can be run
        emperor-on-demand-extension emperor-on-demand-ext =: the file with the socket of a vassal started on demand
        emperor-on-demand-directory emperor-on-demand-dir =: the folder of those sockets
        emperor-on-demand-exec =: the command that tells the socket
        emperor-extra-extension emperor-extra-ext =: another ending of vassals' files
        emperor-no-blacklist: never put a vassal off
        emperor-use-clone =: run vassals in namespaces
        emperor-graceful-shutdown: end vassals gracefully
        imperial-monitor-list imperial-monitors-list: list the kinds of folders
        vassals-inherit =: a template for vassals
        vassals-inherit-before =: the same, read first
        vassals-include =: a file for vassals
        vassals-include-before =: the same, read first
        vassals-start-hook =: a shell command the emperor runs for each new vassal
        vassals-stop-hook =: a command after it has ended
        vassals-set vassal-set =: an option for every vassal
        vassal-sos =: ask the Emperor for help
        vassal-sos-backlog =: the backlog that needs help
        heartbeat =: tell the Emperor of being alive
        hook-emperor-start =: an action when the Emperor starts
        hook-emperor-stop =: an action when it stops us
        hook-emperor-reload =: an action when it reloads us
        hook-emperor-lost =: an action when it is gone
        hook-as-vassal =: an action in a new vassal
        hook-as-emperor =: an action in the Emperor then
        hook-as-gateway =: an action in each router
        exec-as-vassal =: a command in a new vassal
        exec-as-emperor =: a command in the Emperor then
        mount-as-vassal =: a mount in a new vassal
        mount-as-emperor =: a mount in the Emperor then
        umount-as-vassal =: unmount in a new vassal
        umount-as-emperor =: unmount in the Emperor then
        call-as-vassal =: a C function in a new vassal
        call-as-vassal1 =: the same, with its name
        call-as-vassal3 =: the same, with its name, user and group
        call-as-emperor =: a C function in the Emperor then
        call-as-emperor1 =: the same, with the vassal's name
        call-as-emperor2 =: the same, with its process id too
        call-as-emperor4 =: the same, with its user and group too
        """,
    ),
    *refused(
        _LEGION,
        """
        legion legion-mcast =: this node's legion: address, valor and secret
        legion-cron cron-legion =: run a command at certain times, on one node
        unique-legion-cron unique-cron-legion =: the same, never twice at once
        legion-attach-daemon =: run a program on one node
        legion-smart-attach-daemon =: the same, by its pidfile
        legion-smart-attach-daemon2 =: the same, reloaded with the server
        """,
    ),
    *accepted(
        Reason.TUNES,
        """
        legion-node =: another node
        legion-freq =: how often nodes talk
        legion-tolerance =: how long one may be silent
        legion-death-on-lord-error =: how long a failed lord is dead
        legion-skew-tolerance =: how far clocks may differ
        legion-lord =: an action of a new lord
        legion-unlord =: an action of a former one
        legion-setup =: an action at the start
        legion-death =: an action at the end
        legion-join =: an action when there is a quorum
        legion-node-joined =: an action for a new node
        legion-node-left =: an action for one that left
        legion-quorum =: how many nodes must agree
        legion-scroll =: what a node says of itself
        legion-scroll-max-size =: how long that may be
        legion-scroll-list-max-size =: how long all of it may be
        multicast-ttl =: how far multicasts go
        multicast-loop =: whether they come back
        """,
    ),
    *refused(
        _ANNOUNCE,
        """
        subscribe-to subscribe st =: announce the server to a router
        subscribe2 =: the same, with named settings
        multicast =: announce it to a multicast group
        """,
    ),
    *accepted(
        Reason.TUNES,
        """
        subscribe-freq =: how often
        subscribe-with-modifier1 =: with this modifier
        subscription-tolerance =: how long it may be silent
        subscription-algo =: how routers share the load
        subscription-dotsplit: find servers by parts of the name
        subscription-notify-socket =: a socket for what becomes of it
        subscriptions-sign-check =: check signatures
        subscriptions-sign-check-tolerance =: how far clocks may differ
        subscriptions-sign-skip-uid =: users that need none
        subscriptions-credentials-check =: check credentials
        subscriptions-use-credentials: send credentials
        unsubscribe-on-graceful-reload: take it back at a reload
        start-unsubscribed: wait with it
        weight =: the server's share of the load
        auto-weight =: the same, from the number of workers
        """,
    ),
    *refused(
        _ZERG,
        """
        zerg =: take the sockets from another server
        zerg-server =: hand the sockets to others
        zergpool zerg-pool =: bind sockets and hand them to others
        """,
    ),
    *accepted(
        Reason.TUNES,
        """
        zerg-fallback: bind the sockets if that server is gone
        """,
    ),
    *_router(
        "fastrouter",
        """fastrouter-subscription-slot =: a former option
        fastrouter-post-buffering =: take bodies whole, above this size on disk
        fastrouter-post-buffering-dir =: the folder for that
        fastrouter-uid =: run it as this user
        fastrouter-gid =: run it as this group
        fastrouter-resubscribe =: announce servers further on
        fastrouter-resubscribe-bind =: from this address
        fastrouter-fallback-on-no-key: use the fallback for unknown names too
        fastrouter-subscription-fallback-key =: the name of the fallback""",
    ),
    *_router(
        "rawrouter",
        """rawrouter-subscription-slot =: a former option
        rawrouter-max-retries =: how many servers to try
        rawrouter-xclient: tell the client's address by XCLIENT""",
    ),
    *_router(
        "sslrouter",
        """sslrouter2 =: the same as sslrouter, with named settings
        sslrouter-session-context =: the name of its session cache
        sslrouter-max-retries =: how many servers to try
        sslrouter-sni: find servers by SNI""",
    ),
)
