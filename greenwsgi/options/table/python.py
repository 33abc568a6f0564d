"""The application, and the Python that it sees."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.kinds import FLAG, PATH, PATHS, TEXT, VARIABLES
from greenwsgi.options.spec import Reason, option


@dataclass(frozen=True, kw_only=True)
class Python:
    """Application"""

    wsgi_file: str = option(
        "wsgi-file",
        "file",
        metavar="FILE",
        kind=PATH,
        default="",
        help="The file that has the application.",
    )
    module: str = option(
        "module",
        "wsgi",
        short="w",
        metavar="MODULE",
        kind=TEXT,
        default="",
        help="The module that has it: pkg.mod, pkg.mod:name or pkg.mod:factory().",
    )
    callable: str = option(
        "callable",
        metavar="NAME",
        kind=TEXT,
        default="",
        help="The application's name in there; if none is given, application or app.",
    )
    pythonpath: tuple[str, ...] = option(
        "pythonpath",
        "python-path",
        "pp",
        metavar="FOLDER",
        kind=PATHS,
        default=(),
        help="Look for modules in this folder too. May be repeated.",
    )
    virtualenv: str = option(
        "virtualenv",
        "home",
        "venv",
        "pyhome",
        short="H",
        metavar="FOLDER",
        kind=PATH,
        default="",
        help="Use the packages of this virtual environment.",
    )
    env: tuple[str, ...] = option(
        "env",
        kind=VARIABLES,
        default=(),
        help="Set this environment variable for the application. May be repeated.",
    )
    chdir: str = option(
        "chdir",
        metavar="FOLDER",
        kind=PATH,
        default="",
        help="Change to this folder before the application is imported.",
    )
    need_app: bool = option(
        "need-app",
        kind=FLAG,
        default=False,
        help="Do not start without an application.",
        reason=Reason.ALWAYS,
        note="The server never does.",
    )
