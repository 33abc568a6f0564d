"""The master and its workers."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import ChangeNeeds, Reason, Status, option
from greenwsgi.options.value_kinds import FLAG, INTEGER, PATH, PATHS, SECONDS, TEXT


@dataclass(frozen=True, kw_only=True)
class ProcessesOptions:
    """Processes"""

    processes: int = option(
        "processes",
        "workers",
        short="p",
        kind=INTEGER,
        default=1,
        least=1,
        most=10_000,
        help="Run this many worker processes; auto: one per usable CPU.",
    )
    async_: int = option(
        "async",
        "gevent",
        kind=INTEGER,
        default=1000,
        least=1,
        most=1_000_000,
        help="How many requests each worker runs at the same time.",
    )
    threads: int = option(
        "threads",
        kind=INTEGER,
        default=1,
        help="Threads of each worker.",
        reason=Reason.GEVENT,
        note="Greenlets stand in for threads; async says how many.",
    )
    master: bool = option(
        "master",
        short="M",
        kind=FLAG,
        default=True,
        help="Have a master process that looks after the workers.",
        reason=Reason.ALWAYS,
        note="Also when this is false.",
        reload=ChangeNeeds.RESTART,
    )
    lazy_apps: bool = option(
        "lazy-apps",
        "lazy",
        kind=FLAG,
        default=False,
        help="Import the application in each worker, not once before they are forked.",
    )
    max_requests: int = option(
        "max-requests",
        short="R",
        kind=INTEGER,
        default=0,
        help="Replace a worker after this many requests; 0 means never.",
        status=Status.PARTIAL,
        note="The successor is ready before the old worker stops accepting, so that one may serve a few more."
        " One worker of the server is replaced at a time.",
    )
    max_requests_delta: int = option(
        "max-requests-delta",
        kind=INTEGER,
        default=0,
        help="Worker 2 may serve this many requests more than worker 1, worker 3 twice as many more, ...",
    )
    min_worker_lifetime: float = option(
        "min-worker-lifetime",
        kind=SECONDS,
        default=10,
        help="No worker is replaced for its requests or its memory before it is this old.",
    )
    max_worker_lifetime: float = option(
        "max-worker-lifetime",
        kind=SECONDS,
        default=0,
        help="Replace a worker when it is this old; 0 means never.",
    )
    max_worker_lifetime_delta: float = option(
        "max-worker-lifetime-delta",
        kind=SECONDS,
        default=0,
        help="Worker 2 may grow this much older than worker 1, worker 3 twice as much, ...",
    )
    reload_on_as: int = option(
        "reload-on-as",
        metavar="MB",
        kind=INTEGER,
        default=0,
        help="Replace a worker whose address space is larger than this; 0 means never.",
    )
    reload_on_rss: int = option(
        "reload-on-rss",
        metavar="MB",
        kind=INTEGER,
        default=0,
        help="Replace a worker whose resident memory is larger than this; 0 means never.",
    )
    evil_reload_on_as: int = option(
        "evil-reload-on-as",
        metavar="MB",
        kind=INTEGER,
        default=0,
        help="Kill a worker, with all that it runs, whose address space is larger than this; 0 means never.",
        reload=ChangeNeeds.LIVE,
    )
    evil_reload_on_rss: int = option(
        "evil-reload-on-rss",
        metavar="MB",
        kind=INTEGER,
        default=0,
        help="Kill a worker, with all that it runs, whose resident memory is larger than this; 0 means never.",
        reload=ChangeNeeds.LIVE,
    )
    mem_collector_freq: float = option(
        "mem-collector-freq",
        kind=SECONDS,
        default=3,
        least=0.1,
        help="How often the master looks at the memory of its workers.",
        reload=ChangeNeeds.LIVE,
    )
    boot_timeout: float = option(
        "boot-timeout",
        kind=SECONDS,
        default=60,
        help="How long the application may take to be imported before it is given up; 0 means for ever.",
    )
    touch_reload: tuple[str, ...] = option(
        "touch-reload",
        metavar="FILE",
        kind=PATHS,
        default=(),
        help="Reload when this file is touched, replaced or made. May be repeated.",
        reload=ChangeNeeds.LIVE,
    )
    touch_workers_reload: tuple[str, ...] = option(
        "touch-workers-reload",
        metavar="FILE",
        kind=PATHS,
        default=(),
        help="The same, but the configuration is not read again.",
        reload=ChangeNeeds.LIVE,
    )
    touch_chain_reload: tuple[str, ...] = option(
        "touch-chain-reload",
        metavar="FILE",
        kind=PATHS,
        default=(),
        help="The same as touch-reload, but one worker after the other is replaced.",
        reload=ChangeNeeds.LIVE,
    )
    reload_mercy: float = option(
        "reload-mercy",
        kind=SECONDS,
        default=60,
        help="How long requests may take to finish when the server stops; then they are cut.",
        reload=ChangeNeeds.LIVE,
    )
    worker_reload_mercy: float = option(
        "worker-reload-mercy",
        kind=SECONDS,
        default=60,
        help="How long requests may take to finish when their worker is replaced; then they are cut.",
    )
    draining_generations: int = option(
        "draining-generations",
        kind=INTEGER,
        default=2,
        help="How many generations may finish their requests at a time after reloads; 0 means any number.",
        note="When one more would, the oldest has one second left, and its requests are cut: each generation holds all"
        " its processes and their memory until its last request has ended.",
        reload=ChangeNeeds.LIVE,
    )
    uid: str = option(
        "uid",
        metavar="USER",
        kind=TEXT,
        default="",
        help="Run as this user, a name or a number, once the sockets are bound. Only root can.",
        reload=ChangeNeeds.RESTART,
    )
    gid: str = option(
        "gid",
        metavar="GROUP",
        kind=TEXT,
        default="",
        help="Run as this group, a name or a number, once the sockets are bound. Only root can.",
        reload=ChangeNeeds.RESTART,
    )
    pidfile: str = option(
        "pidfile",
        metavar="FILE",
        kind=PATH,
        default="",
        help="Write the master's process id there.",
        reload=ChangeNeeds.RESTART,
    )
    master_fifo: tuple[str, ...] = option(
        "master-fifo",
        metavar="FIFO",
        kind=PATHS,
        default=(),
        help="Take commands, single letters, from this named pipe. Of several a digit chooses one, counted from 0.",
        reload=ChangeNeeds.RESTART,
    )
    control_socket: str = option(
        "control-socket",
        metavar="SOCKET",
        kind=PATH,
        default="",
        help="Where `greenwsgi status` and its like reach the server: a unix socket, its owner's alone.",
        note="Without it, it is PIDFILE.control, or else FIFO.control of the first master-fifo.",
        reload=ChangeNeeds.RESTART,
    )
    sigterm_reloads: bool = option(
        "sigterm-reloads",
        kind=FLAG,
        default=False,
        help="Reload at SIGTERM, with one second for what runs, as uWSGI does without die-on-term.",
        reload=ChangeNeeds.RESTART,
    )
    die_on_term: bool = option(
        "die-on-term",
        kind=FLAG,
        default=False,
        help="Stop at SIGTERM.",
        reason=Reason.ALWAYS,
        note="SIGTERM stops, gracefully, unless there is sigterm-reloads; SIGHUP reloads.",
        reload=ChangeNeeds.RESTART,
    )
