"""What uWSGI runs or keeps beside the application: caches, queues, tasks, daemons, signals."""

from __future__ import annotations

from greenwsgi.options.option_spec import Reason
from greenwsgi.options.uwsgi_only.row_format import accepted, later, refused

ROWS = (
    *later(
        "There is no cache yet; Redis or memcached can be one",
        """
        cache =: a cache of so many items
        cache2 =: a cache with a name
        cache-blocksize =: the size of an item
        cache-store =: keep it in a file
        cache-store-sync =: how often
        cache-no-expire: never remove old items
        cache-expire-freq =: how often old items are removed
        cache-report-freed-items: log what is removed
        cache-udp-server =: take changes from other servers
        cache-udp-node =: send changes to other servers
        cache-sync =: copy another server's cache at the start
        cache-use-last-modified: note when items change
        add-cache-item =: put an item in at the start
        load-file-in-cache =: put a file in
        load-file-in-cache-gzip =: put it in compressed
        """,
    ),
    *later(
        "It comes with the uwsgi module",
        """
        queue =: a queue that processes share
        queue-blocksize =: the size of an item
        queue-store =: keep it in a file
        queue-store-sync =: how often
        locks =: how many locks there are
        sharedarea -A =: memory that processes share
        rpc-max =: how many functions RPC can have
        signal-bufsize signals-bufsize =: the buffer of signals
        signal-timer timer =: raise a signal every so many seconds
        signal-rbtimer rbtimer =: the same, cheaper
        """,
    ),
    *later(
        "No task is run yet; run them by another worker process (Celery, RQ)",
        """
        spooler -Q =: a process that runs the tasks in this folder
        spooler-external =: a folder whose tasks another server runs
        spooler-ordered: run them in their order
        spooler-chdir =: the folder that they run in
        spooler-processes =: how many processes run them
        spooler-quiet: say less of them
        spooler-max-tasks =: replace a spooler after so many
        spooler-harakiri =: how long a task may take
        spooler-frequency spooler-freq =: how often the folder is looked at
        """,
    ),
    *later(
        "No mule is run yet; run that program beside the server",
        """
        mule [=]: a process beside the workers, with a script of its own
        mules =: so many of them
        farm =: a group of them with a name
        mule-msg-size [=]: the longest message to them
        mule-harakiri =: how long they may take for one
        """,
    ),
    *later(
        "Nothing is run yet; use cron, or a timer of systemd",
        """
        cron =: run a command at certain times
        cron2 =: the same, with named settings
        unique-cron =: the same, never twice at once
        cron-harakiri =: how long it may take
        """,
    ),
    *later(
        "It is not run yet; run it beside the server, with systemd or another container",
        """
        attach-daemon attach-control-daemon =: run a program with the server
        attach-daemon2 =: the same, with named settings
        smart-attach-daemon =: a program that goes to the background, by its pidfile
        smart-attach-daemon2 =: the same, reloaded with the server
        daemons-honour-stdin: leave their standard input open
        """,
    ),
    *refused(
        "it is no server's option, and the server would run",
        """
        signal =: raise signal N in the server of an address
        ping =: ask whether a uwsgi server is alive | ask an HTTP one with curl
        nagios: check a server for Nagios
        extract =: show what an address holds | use curl
        """,
    ),
    *accepted(
        Reason.TUNES,
        """
        ping-timeout =: how long ping waits
        """,
    ),
)
