"""Logs, alarms, figures: what there is no value for."""

from __future__ import annotations

from greenwsgi.options.option_spec import Reason
from greenwsgi.options.uwsgi_only.row_format import accepted, later

ROWS = (
    *later(
        "Not yet; access lines are uWSGI's default ones, and all go where the log goes",
        """
        log-format logformat =: the form of access lines
        log-format-strftime logformat-strftime: fill in the time by strftime
        log-x-forwarded-for: write the address of X-Forwarded-For
            | with trusted-proxy it is REMOTE_ADDR, and so the line's
        log-sendfile =: write lines for files
        log-ioerror =: write lines for requests with errors of the connection
        req-logger logger-req =: where access lines go
        log-req-encoder =: how they are changed on the way
        log-req-route =: which lines go to which logger
        """,
    ),
    *later(
        "Not yet; the log goes to standard error, or to the file of logto",
        """
        logger =: where the log goes
        logto2 =: the file that the log goes to, opened as the user | use logto
        log-syslog [=]: log to syslog
        log-socket =: log to a socket
        log-encoder =: how lines are changed on the way
        log-route =: which lines go to which logger
        log-drain =: lines to leave out
        log-filter =: the only lines to write
        log-prefix [=]: what lines begin with
        log-truncate: empty the file at the start
        log-maxsize =: begin a new file at this size | use logrotate with copytruncate
        log-backupname =: the old file's name
        logfile-chown: give the file to the user
        logfile-chmod =: the mode of the file
        touch-logrotate =: begin a new file when this one is touched
        touch-logreopen =: open the file again when this one is touched
        rsyslog-packet-size =: the longest message to syslog
        rsyslog-split-messages: split longer ones
        """,
    ),
    *accepted(
        Reason.ALWAYS,
        """
        log-date logdate [=]: begin each line of the log with the time
        """,
    ),
    *accepted(
        Reason.DESIGN,
        """
        log-master: let the master write the log | each line is written whole, by the process that logs it
        log-master-bufsize =: the longest line through the master
        log-master-stream: send lines to the master as a stream
        log-master-req-stream: send access lines so
        threaded-logger: let a thread write the log
        """,
    ),
    *later(
        "There are no alarms yet; watch the log",
        """
        alarm =: somebody to tell, and how
        alarm-cheap =: tell them from the main thread
        alarm-freq =: how often at most
        alarm-fd =: tell them when a descriptor can be read
        alarm-segfault segfault-alarm =: tell them of a crash
        alarm-backlog backlog-alarm lq-alarm alarm-lq alarm-listen-queue listen-queue-alarm =: tell of a full backlog
        alarm-msg-size =: the longest message
        alarm-log log-alarm =: tell them of lines that match
        not-alarm-log not-log-alarm =: but not of these
        metric-alarm alarm-metric metric-threshold =: tell them when a metric is too high
        """,
    ),
    *later(
        "There are no figures yet",
        """
        stats stats-server =: tell figures in JSON there
        stats-http: tell them with an HTTP head
        stats-minified stats-min: tell them without blanks
        stats-push =: send them there
        stats-pusher-default-freq stats-pushers-default-freq =: how often
        stats-no-cores: leave the cores out
        stats-no-metrics: leave the metrics out
        enable-metrics: keep metrics
        metric =: a metric of one's own
        metrics-dir metric-dir =: write metrics to a folder
        metrics-dir-restore metric-dir-restore: read them from there at the start
        metrics-no-cores: keep none for cores
        snmp [=]: answer SNMP
        snmp-community =: SNMP's password
        rrdtool =: write RRD files
        rrdtool-freq =: how often
        rrdtool-lib =: the library for that
        carbon =: send figures to Carbon
        carbon-timeout =: how long that may take
        carbon-freq =: how often
        carbon-id =: what the server is called there
        carbon-no-workers: leave the workers out
        carbon-max-retry =: how often to try again
        carbon-retry-delay =: and when
        carbon-root =: what names begin with
        carbon-hostname-dots =: what stands for dots
        carbon-name-resolve carbon-resolve-names: look the address up
        carbon-idle-avg =: the average of a time without requests
        carbon-use-metrics: send metrics
        """,
    ),
)
