"""How many workers there are when not all of them are needed."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import ChangeNeeds, Status, option
from greenwsgi.options.value_kinds import FLAG, INTEGER, SECONDS, SIZE, choice

ALGORITHM_NAMES = ("spare", "spare2", "backlog", "busyness", "manual")


@dataclass(frozen=True, kw_only=True)
class CheaperOptions:
    """Workers by need"""

    cheaper: int = option(
        "cheaper",
        kind=INTEGER,
        default=0,
        help="Keep at least this many workers, and more while they are needed, up to processes; 0: always all.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_initial: int = option(
        "cheaper-initial",
        kind=INTEGER,
        default=0,
        help="Start with this many workers; 0: as many as cheaper says.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_step: int = option(
        "cheaper-step",
        kind=INTEGER,
        default=1,
        least=1,
        help="How many workers are added at once.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_overload: int = option(
        "cheaper-overload",
        kind=INTEGER,
        default=3,
        least=1,
        help="How many seconds the need must last; with the algorithm backlog, how many connections must wait.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_algo: str = option(
        "cheaper-algo",
        metavar="NAME",
        kind=choice(*ALGORITHM_NAMES),
        default="spare",
        help="How the need is seen: no worker is spare, connections wait, workers are busy, or by hand (manual).",
        status=Status.PARTIAL,
        note="A worker is as busy as its slots are taken or its loop is late (0.1 s is all); spare is one that is less"
        " than half busy. spare2 is the same as spare.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_rss_limit_soft: int = option(
        "cheaper-rss-limit-soft",
        kind=SIZE,
        default=0,
        most=2**63 - 1,
        help="Add no worker while all together have more resident memory than this; 0 is no such rule.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_rss_limit_hard: int = option(
        "cheaper-rss-limit-hard",
        kind=SIZE,
        default=0,
        most=2**63 - 1,
        help="End a worker, but never below cheaper, while all together have more resident memory than this.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_busyness_max: int = option(
        "cheaper-busyness-max",
        metavar="PERCENT",
        kind=INTEGER,
        default=50,
        most=100,
        help="Busyness: add workers when they are busier than this on average.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_busyness_min: int = option(
        "cheaper-busyness-min",
        metavar="PERCENT",
        kind=INTEGER,
        default=25,
        most=100,
        help="Busyness: end one when they are less busy than this on average.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_busyness_multiplier: int = option(
        "cheaper-busyness-multiplier",
        kind=INTEGER,
        default=10,
        least=1,
        help="Busyness: for how many rounds of cheaper-overload seconds they must be less busy before one is ended.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_busyness_penalty: int = option(
        "cheaper-busyness-penalty",
        kind=INTEGER,
        default=2,
        help="Busyness: so many rounds more, each time that a worker is needed again soon after one was ended.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_busyness_verbose: bool = option(
        "cheaper-busyness-verbose",
        kind=FLAG,
        default=False,
        help="Busyness: log how busy the workers are, each round.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_busyness_backlog_alert: int = option(
        "cheaper-busyness-backlog-alert",
        kind=INTEGER,
        default=33,
        least=1,
        help="Busyness: when more connections than this wait to be accepted, add workers at once.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_busyness_backlog_multiplier: int = option(
        "cheaper-busyness-backlog-multiplier",
        kind=INTEGER,
        default=3,
        least=1,
        help="Busyness: for how many rounds a worker that was added so is kept at least.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_busyness_backlog_step: int = option(
        "cheaper-busyness-backlog-step",
        kind=INTEGER,
        default=1,
        least=1,
        help="Busyness: how many workers are added then.",
        reload=ChangeNeeds.LIVE,
    )
    cheaper_busyness_backlog_nonzero: int = option(
        "cheaper-busyness-backlog-nonzero",
        metavar="SEC",
        kind=INTEGER,
        default=60,
        least=1,
        help="Busyness: add a worker when connections have waited to be accepted for so long without a pause.",
        reload=ChangeNeeds.LIVE,
    )
    cheap: bool = option(
        "cheap",
        kind=FLAG,
        default=False,
        help="Start no worker before the first connection comes.",
        reload=ChangeNeeds.RESTART,
    )
    idle: float = option(
        "idle",
        kind=SECONDS,
        default=0,
        help="End all workers when no request has come for this long, until a connection comes; 0 means never.",
        reload=ChangeNeeds.LIVE,
    )
    die_on_idle: bool = option(
        "die-on-idle",
        kind=FLAG,
        default=False,
        help="Stop the server then.",
        reload=ChangeNeeds.LIVE,
    )
