"""Configuration, and what is printed instead of serving: what there is no value for."""

from __future__ import annotations

from greenwsgi.options.foreign.rows import accepted, later, refused
from greenwsgi.options.spec import Reason

ROWS = (
    *refused(
        "what it holds would be missing; write it as ini",
        """
        xml xmlconfig -x =: read options from this XML file
        yaml yml -y =: read options from this YAML file
        json js -j =: read options from this JSON file
        config =: read options from this file, whatever its form
        include =: read this file here
        inherit =: read this file as a template
        inject-before =: put this text before the file
        inject-after =: put this text after the file
        fallback-config =: the configuration for when this one fails
        declare-option declare-option2 =: make an option
        resolve =: put a host's address into a placeholder
        set -S =: set an option or a placeholder
        set-placeholder set-ph =: set a placeholder
        envdir early-envdir =: variables from a folder's files
        unenv =: remove a variable
        """,
    ),
    *refused(
        "what it guards would always count, or never; write the lines that are meant",
        """
        for =: repeat lines for each word
        for-glob =: repeat lines for each file
        for-times =: repeat lines so often
        for-readline =: repeat lines for each line of a file
        endfor end-for [=]: the end of a repetition
        if-opt =: lines for when an option is set
        if-not-opt =: lines for when it is not
        if-env ifenv =: lines for when a variable is set
        if-not-env =: lines for when it is not
        if-reload: lines for a reload
        if-not-reload: lines for the first start
        if-hostname =: lines for this host
        if-not-hostname =: lines for other hosts
        if-hostname-match =: lines for hosts that match
        if-not-hostname-match =: lines for those that do not
        if-exists ifexists =: lines for when this exists
        if-not-exists =: lines for when it does not
        if-plugin ifplugin =: lines for when a plugin is there
        if-not-plugin =: lines for when it is not
        if-file =: lines for when this file exists
        if-not-file =: lines for when it does not
        if-dir ifdir if-directory =: lines for when this folder exists
        if-not-dir =: lines for when it does not
        endif end-if [=]: the end of such lines
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
        force-cwd =: the folder to start in | chdir
        print iprint =: print this at the start
        """,
    ),
    *refused(
        "it ends instead of serving",
        """
        get =: print an option's value and end
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
        dump-options: list the options | greenwsgi options
        python-version: print Python's version | python --version
        plugins-list plugin-list: list the plugins
        loop-list loops-list: list the loop engines
        clock-list clocks-list: list the clocks
        alarm-list alarms-list: list the kinds of alarms
        logger-list loggers-list: list the kinds of loggers
        cheaper-algo-list cheaper-algos-list cheaper-list: list what decides how many workers there are
        """,
    ),
)
