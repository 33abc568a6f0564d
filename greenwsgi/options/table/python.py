"""The application, and the Python that it sees."""

from __future__ import annotations

from dataclasses import dataclass

from greenwsgi.options.option_spec import Reason, option
from greenwsgi.options.value_kinds import FLAG, MOUNTS, NAMES, PATH, PATHS, TEXT, VARIABLES


@dataclass(frozen=True, kw_only=True)
class PythonOptions:
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
    mount: tuple[str, ...] = option(
        "mount",
        kind=MOUNTS,
        default=(),
        help="An application for requests whose SCRIPT_NAME is PATH; / is for all others. May be repeated.",
    )
    manage_script_name: bool = option(
        "manage-script-name",
        kind=FLAG,
        default=False,
        help="Find mounts by PATH_INFO: what they match of it moves to SCRIPT_NAME.",
    )
    no_default_app: bool = option(
        "no-default-app",
        kind=FLAG,
        default=False,
        help="Answer 404 where no mount fits, even if there is an application for all others.",
    )
    import_: tuple[str, ...] = option(
        "import",
        *("pyimport", "py-import", "python-import"),
        *("shared-import", "shared-pyimport", "shared-py-import", "shared-python-import"),
        metavar="MODULE",
        kind=PATHS,
        default=(),
        help="Import this module, or file, before the application. May be repeated.",
    )
    pymodule_alias: tuple[str, ...] = option(
        "pymodule-alias",
        "post-pymodule-alias",
        metavar="NAME=MODULE",
        kind=VARIABLES,
        default=(),
        help="Give a module, or file, another name that it can be imported by. May be repeated.",
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
    unenv: tuple[str, ...] = option(
        "unenv",
        kind=NAMES,
        default=(),
        help="Remove this environment variable before the application is imported. May be repeated.",
    )
    chdir: str = option(
        "chdir",
        metavar="FOLDER",
        kind=PATH,
        default="",
        help="Change to this folder before the application is imported.",
    )
    chdir2: str = option(
        "chdir2",
        metavar="FOLDER",
        kind=PATH,
        default="",
        help="Change to this folder once the application is imported.",
    )
    pyargv: str = option(
        "pyargv",
        metavar="WORDS",
        kind=TEXT,
        default="",
        help="What the application finds in sys.argv behind the program's name.",
    )
    py_executable: str = option(
        "py-executable",
        "py-sys-executable",
        metavar="FILE",
        kind=PATH,
        default="",
        help="What the application finds as sys.executable.",
    )
    wsgi_disable_file_wrapper: bool = option(
        "wsgi-disable-file-wrapper",
        kind=FLAG,
        default=False,
        help="Leave wsgi.file_wrapper out of environ.",
    )
    need_app: bool = option(
        "need-app",
        kind=FLAG,
        default=False,
        help="Do not start without an application.",
        reason=Reason.ALWAYS,
        note="The server never does.",
    )
