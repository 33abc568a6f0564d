"""Loading the application in a zygote, or under lazy-apps in a worker, and undoing what an import may have changed."""

from __future__ import annotations

import signal

from greenwsgi.config.settings import Settings
from greenwsgi.errors import EXIT_APP_FAILED, BootError, UsageError
from greenwsgi.shared import descriptor_numbers
from greenwsgi.wsgi.load_applications import load
from greenwsgi.wsgi.types import Application


def find_application(settings: Settings) -> Application:
    """The application that the settings name; beside programs there need be none. What it raises passes.

    Raises BootError for a mistake in its name: that has the status of an application that cannot be loaded.
    """
    try:
        application = load(settings.python, needed=not settings.cgi.cgi)
    except UsageError as error:
        raise BootError(str(error), EXIT_APP_FAILED) from None
    _take_signals_back()
    descriptor_numbers.open_standard()  # standard descriptors that the import has closed
    return application


def _take_signals_back() -> None:
    """Undo what an import may have set for SIGCHLD and SIGPIPE.

    A zygote that ignores SIGCHLD would not see its workers die. A handler of the application's stays: gevent calls it,
    in workers. SIGPIPE would end a worker, with all its requests, for one client.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # gevent's function: subprocess watches for children again
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
