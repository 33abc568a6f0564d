"""The composition root: the command line becomes Settings, and those a running server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from greenwsgi import __version__
from greenwsgi.config import option_rules
from greenwsgi.config.load import LoadedConfiguration, load
from greenwsgi.config.read_variables import HANDOVER_VARIABLE
from greenwsgi.config.settings import Settings, decode, silent
from greenwsgi.config.show_config import first_texts, printable, show
from greenwsgi.errors import INTERRUPTED_STATUS, PIPE_STATUS, USAGE_STATUS, BootError, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.options.help import help_all, help_on, help_text
from greenwsgi.shared import safe_paths
from greenwsgi.shared.descriptor_numbers import open_standard
from greenwsgi.subcommands import find, helps

Reread = Callable[[Settings], Settings]
"""Reads everything again, for a reload of the server that now serves with those settings. Raises UsageError."""

Serve = Callable[[Settings, ServerLog, Reread, Callable[[], None]], int]
"""Serves, reads the settings again for each reload, calls when it first serves; returns the exit status."""


def main(arguments: Sequence[str] | None = None, serve: Serve | None = None) -> int:
    """Run greenwsgi with these arguments (the process's own, if None) and return its exit status."""
    open_standard()  # or a socket would be taken for input, output or error
    try:
        return run(sys.argv[1:] if arguments is None else arguments, serve or _serve)
    except UsageError as error:
        return _complain(str(error), USAGE_STATUS)
    except BootError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except BrokenPipeError:  # `greenwsgi status app.pid | head -1`: who reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return PIPE_STATUS


def run(arguments: Sequence[str], serve: Serve, failed: tuple[str, ...] = ()) -> int:
    """Do what the arguments ask for, or else what fallback-config does. Raises UsageError and BootError.

    failed: the fallbacks that could not be served either.
    """
    if arguments and (subcommand := find(arguments[0])) is not None:
        return subcommand(arguments[1:])
    if len(arguments) == 2 and arguments[0] in ("--help", "-h") and not arguments[1].startswith("-"):
        print(_help_on(arguments[1]), end="")
        return 0
    if HANDOVER_VARIABLE in os.environ:
        return _go_on(arguments)
    environ = dict(os.environ)  # as it is now: what the server adds for its children is not configuration
    fallback = ""
    try:
        loaded = load(arguments, environ)
        fallback = loaded.fallback
        return _act(loaded, arguments, environ, serve)
    except UsageError as error:
        fallback = fallback or error.fallback
        if not fallback or fallback in failed:
            raise
        ServerLog().error(f"{error}; trying {fallback} (fallback-config)")
        return run([fallback], serve, (*failed, fallback))


def _act(loaded: LoadedConfiguration, arguments: Sequence[str], environ: Mapping[str, str], serve: Serve) -> int:
    """Print what the options want printed, or serve."""
    settings, log = loaded.settings, ServerLog()
    if settings.config.help:
        print(help_text(helps()), end="")
        return 0
    if settings.config.help_all:
        print(help_all(), end="")
        return 0
    if settings.config.version:
        print(f"greenwsgi {__version__}")
        return 0
    if settings.config.asks_another:
        from greenwsgi.subcommands import server_commands

        return server_commands.as_uwsgi_does(settings.config)
    _warn(loaded, log)
    if settings.config.show_config:
        print(printable(show(settings)), end="")
        return 0
    if settings.config.get:
        print(printable("".join(f"{text}\n" for text in first_texts(settings, settings.config.get))), end="")
        return 0
    option_rules.check(settings, log.warning)
    reread = _rereading(arguments, environ, settings, log)
    if settings.logging.daemonize:
        from greenwsgi.process.lifecycle.daemonize import detach

        path = settings.logging.logto or settings.logging.daemonize
        return detach(lambda ready: _serve_to(path, settings, log, reread, serve, ready))
    return _serve_to(settings.logging.logto, settings, log, reread, serve, lambda: None)


def _rereading(arguments: Sequence[str], environ: Mapping[str, str], started: Settings, log: ServerLog) -> Reread:
    def reread(serving: Settings) -> Settings:
        again = load(arguments, environ, reload=True)
        _warn(again, log)
        option_rules.check_reload(started, serving, again.settings, log.warning, log.info)
        return again.settings

    return reread


def _serve_to(
    path: str, settings: Settings, log: ServerLog, reread: Reread, serve: Serve, ready: Callable[[], None]
) -> int:
    """Serve with all output in a file. What goes wrong is told where the server was started, too."""
    with _output_to(path, settings) as let_go:

        def started() -> None:
            if settings.logging.daemonize:
                let_go()
            ready()

        status = serve(settings, log, reread, started)
    return _complain(f"ended with status {status}; {path} says why", status) if path and status else status


def _go_on(arguments: Sequence[str]) -> int:
    """Go on as the next image of a master, which wrote down all that it has; or only rehearse that.

    A configuration that has become wrong since the rehearsal must not end the server: then it goes on with the old one.
    """
    from greenwsgi.process.lifecycle import boot, child_processes, handover

    try:
        rehearses, handed = handover.announced(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if handed.dropped:
        child_processes.hide()
    environ, log = dict(os.environ), ServerLog()
    with log.never_waiting():
        try:
            settings = load(arguments, environ).settings
            option_rules.check(settings, silent)
        except UsageError as error:
            if rehearses:
                raise
            log.error(f"the configuration stays as it was: {error}")
            settings = decode(max(handed.cycles.items())[1].configuration)
        if rehearses:
            return 0
        return boot.serve(settings, log, _rereading(arguments, environ, settings, log), handed)


def _help_on(topic: str) -> str:
    try:
        return help_on(topic)
    except LookupError as error:
        near = f"; did you mean {error.args[0]}?" if error.args[0] else ""
        raise UsageError(f"--help: {topic[:60]!r} is neither a section nor an option{near}") from None


@contextmanager
def _output_to(path: str, settings: Settings) -> Iterator[Callable[[], None]]:
    """Standard output and error go to the end of that file meanwhile; "" leaves them alone.

    As under uWSGI this takes all output: what the application prints and what a crash dumps too. They come back at the
    end, so that the reason of a start that failed is seen where it was started; unless what is yielded was called: then
    nothing holds the terminal any more.
    """
    if not path:
        yield lambda: None
        return
    try:
        file = safe_paths.open_log(path)
    except OSError as error:
        option = "logto" if settings.logging.logto else "daemonize"
        raise UsageError(f"{option} {path}: {error.strerror}", settings.origin(option)) from None
    before = {standard: os.dup(standard) for standard in (1, 2)}
    for standard in before:
        os.dup2(file, standard)
    os.close(file)

    def let_go() -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for kept in (0, *before.values()):
            os.dup2(null, kept, inheritable=kept == 0)
        os.close(null)

    try:
        yield let_go
    finally:
        for standard, kept in before.items():
            os.dup2(kept, standard)
            os.close(kept)


def _serve(settings: Settings, log: ServerLog, reread: Reread, ready: Callable[[], None]) -> int:
    from greenwsgi.process.lifecycle import boot

    return boot.serve(settings, log, reread, ready=ready)


def _warn(loaded: LoadedConfiguration, log: ServerLog) -> None:
    for text in loaded.warnings:
        log.warning(text)


def _complain(text: str, status: int) -> int:
    print(printable(f"greenwsgi: error: {' '.join(text.splitlines())}"), file=sys.stderr)
    return status
