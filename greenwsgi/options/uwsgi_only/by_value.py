"""Options whose status depends on the value."""

from __future__ import annotations

import re

from greenwsgi.options.option_spec import Status, Verdict

_OUR_PLUGINS = re.compile(
    r"python[0-9._]*|cgi|gevent[0-9_]*|greenlet|asyncio|tornado|http|corerouter|router_\w+|cache|rpc|signal|ping|spooler|"
    r"symcall|logfile|logsocket|logpipe|syslog|rsyslog|systemd_logger|stats_pusher_\w+|cheaper_\w+|transformation_\w+|"
    r"carbon|nagios|rrdtool|zergpool|ugreen|alarm_\w+|emperor_\w+|fastrouter|rawrouter|sslrouter|http_\w+|yaml|json|xml"
)
_LANGUAGES = re.compile(
    r"php[0-9.]*|psgi|perl|rack|ruby[0-9._]*|rbthreads|fiber|lua[0-9._]*|luajit|jvm\w*|ring|jwsgi|mono|v8|go|gccgo|"
    r"gridfs|rados|glusterfs|webdav|xslt|pypy\w*|cplusplus|cobra|objc\w*|servlet|erlang"
)


def plugins(text: str) -> Verdict | None:
    """Nothing is lost with plugins whose work is done here without; a site in another language would be gone."""
    for name in re.split(r"[,\s]+", text):
        plain = re.sub(r"^\d+:|(_plugin)?\.so$", "", name.rpartition("/")[2]).lower()
        if _LANGUAGES.fullmatch(plain):
            return Verdict(
                Status.REFUSED,
                f"{plain} answers requests, and only Python applications and CGI programs are served here.",
            )
        if plain and not _OUR_PLUGINS.fullmatch(plain):
            return Verdict(Status.LATER, f"There are no plugins, and what {plain} does is not done.")
    return None


_HARMLESS_ACTIONS = re.compile(
    "donotlog|donotoffload|log|logvar|continue|last|goto|setprocname|alarm|signal|mulefunc|addheader|disableheaders|gzip|"
    "chunked|cachestore|memcachedstore|setscheme|setmethod|seturi|setpathinfo|fixpathinfo|setqs|sethome|addvar"
)


def route(text: str) -> Verdict | None:
    """A route that only logs less or adds something can be missing for now; any other may be what guards the site."""
    return route_run(text.strip().partition(" ")[2])


def route_run(text: str) -> Verdict | None:
    """The same, for an action without a condition."""
    action = text.strip().partition(":")[0]
    if _HARMLESS_ACTIONS.fullmatch(action):
        return Verdict(Status.LATER, f"Routing does not work yet: {action} is not done.")
    return None


def zero(text: str) -> Verdict | None:
    """Modifier 0 is Python's: what all requests have here anyway. 9 is CGI's, and makes no difference either."""
    if text.strip() == "9":
        return Verdict(Status.ACCEPTED, "What lies below the paths of cgi goes to programs by any modifier.")
    if text.strip() in ("", "0"):
        return Verdict(Status.ACCEPTED, "0 is WSGI, and that is what is served.")
    return None


def loop(text: str) -> Verdict | None:
    """gevent's loop is the one there is."""
    if text.strip() in ("gevent", ""):
        return Verdict(Status.ACCEPTED, "gevent's is the one there is.")
    return None
