"""Configuration, and what is printed instead of serving: what there is no value for."""

from __future__ import annotations

from greenwsgi.options.option_spec import Reason
from greenwsgi.options.uwsgi_only.row_format import accepted, later, refused

ROWS = (
    *refused(
        "what it holds would be missing; write it as ini",
        """
        inject-before =: put this text before the file
        inject-after =: put this text after the file
        """,
    ),
    *refused(
        "what it forbids would be allowed; check the files that are included",
        """
        blacklist =: options that may not follow
        whitelist =: the only ones that may
        """,
    ),
    *accepted(
        Reason.TUNES,
        """
        end-blacklist: the end of blacklist
        end-whitelist: the end of whitelist
        """,
    ),
    *later(
        "Not yet",
        """
        force-cwd =: the folder to start in | use chdir
        print iprint =: print this at the start
        """,
    ),
    *refused(
        "it ends instead of serving",
        """
        exit [=]: end
        """,
    ),
    *refused(
        "it is about uWSGI's own program; greenwsgi is a Python package",
        """
        cflags: print the compiler's flags
        dot-h: print the C header
        config-py: print the build script
        build-plugin =: build a plugin
        binary-append-data =: append data to the program
        print-sym print-symbol =: print a symbol of the program
        dump-options: list the options | run greenwsgi options
        python-version: the version of the Python within | run python --version
        plugins-list plugin-list: list the plugins
        loop-list loops-list: which loops (gevent, asyncio ...) it was built with
        clock-list clocks-list: list the clocks
        alarm-list alarms-list: list the kinds of alarms
        logger-list loggers-list: list the kinds of loggers
        cheaper-algo-list cheaper-algos-list cheaper-list: list what decides how many workers there are
        """,
    ),
)
