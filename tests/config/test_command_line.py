"""The command line: getopt's habits."""

from __future__ import annotations

import pytest

from greenwsgi.config import command_line
from greenwsgi.errors import UsageError

READ: list[tuple[str, list[tuple[str, str]]]] = [
    ("", []),
    ("--processes 4", [("processes", "4")]),
    ("--processes=4", [("processes", "4")]),
    ("--workers 4", [("workers", "4")]),
    ("--process 4", [("processes", "4")]),
    ("--workers=4", [("workers", "4")]),
    ("--async=", [("async", "")]),
    ("-p 4", [("processes", "4")]),
    ("-p4", [("processes", "4")]),
    ("-M", [("master", "")]),
    ("-Mp4", [("master", ""), ("processes", "4")]),
    ("-MLp 4", [("master", ""), ("disable-logging", ""), ("processes", "4")]),
    ("--master", [("master", "")]),
    ("--master=false", [("master", "false")]),
    ("--lazy-a", [("lazy-apps", "")]),
    ("--chmod-socket", [("chmod-socket", "")]),
    ("--chmod-socket=660", [("chmod-socket", "660")]),
    ("-C660", [("chmod-socket", "660")]),
    ("-C -M", [("chmod-socket", ""), ("master", "")]),
    ("--env A=b=c --env=D=e", [("env", "A=b=c"), ("env", "D=e")]),
    ("--module --processes", [("module", "--processes")]),  # getopt: the next word, whatever it looks like
    ("-H venv -w pkg.mod -s :3031", [("virtualenv", "venv"), ("module", "pkg.mod"), ("socket", ":3031")]),
    ("x.ini", [("ini", "x.ini")]),
    ("/etc/x.ini:prod", [("ini", "/etc/x.ini:prod")]),
    ("http://conf:80/x.yaml", [("yaml", "http://conf:80/x.yaml")]),
    ("https://conf/x.ini:prod", [("ini", "https://conf/x.ini:prod")]),
    ("exec:///etc/x.ini", [("ini", "exec:///etc/x.ini")]),
    (
        "x.yaml y.yml:prod a.json b.js c.xml pyproject.toml:tool.x",
        [
            ("yaml", "x.yaml"),
            ("yml", "y.yml:prod"),
            ("json", "a.json"),
            ("js", "b.js"),
            ("xml", "c.xml"),
            ("toml", "pyproject.toml:tool.x"),
        ],
    ),
    ("-y x -j y -x z -S a=b --ini -", [("yaml", "x"), ("json", "y"), ("xml", "z"), ("set", "a=b"), ("ini", "-")]),
    ("-p 4 x.ini --master", [("processes", "4"), ("ini", "x.ini"), ("master", "")]),
    ("app.py", [("wsgi-file", "app.py")]),
    ("../srv/app.wsgi", [("wsgi-file", "../srv/app.wsgi")]),
    ("app.py:make", [("wsgi-file", "app.py"), ("callable", "make")]),
    ("pkg.mod:app", [("module", "pkg.mod:app")]),
    ("mod:factory('x')", [("module", "mod:factory('x')")]),
    ("-- app.py x.ini", [("wsgi-file", "app.py"), ("ini", "x.ini")]),
]

FOUR_ROUTERS = "--fastrouter-processes, --fastrouter-zerg, --fastrouter-use-cache, --fastrouter-use-pattern"
REFUSED = [
    ("--procesess 4", "unknown option --procesess, did you mean --processes?"),
    ("--max_requests=5", "unknown option --max_requests, did you mean --max-requests?"),
    ("--xyzzy", "unknown option --xyzzy"),
    ("--=4", "unknown option --"),
    ("--ve", "option --ve is ambiguous: --venv, --version"),
    (
        "--emperor-wrapper-",
        "option --emperor-wrapper- is ambiguous: --emperor-wrapper-override, --emperor-wrapper-fallback",
    ),
    ("--fastrouter-", "option --fastrouter- is ambiguous: " + FOUR_ROUTERS + ", ..."),
    ("--wor=4", "option --wor is ambiguous: --workers, --worker-reload-mercy, --worker-mount, --worker-exec"),
    ("--processes", "option --processes needs a value: --processes N"),
    ("--process", "option --processes needs a value: --processes N"),
    ("-p", "option -p needs a value: -p N"),
    ("-MZ", "unknown option -Z"),
    (
        "http://conf/app.py",
        "what is at 'http://conf/app.py'? its end tells no format; if it is an ini: --ini 'http://conf/app.py'",
    ),
    ("exec://show", "what is at 'exec://show'? its end tells no format; if it is an ini: --ini 'exec://show'"),
    ("-", "what is '-'? wanted FILE.ini, APP.py, PACKAGE.MODULE:NAME or an option"),
    ("true", "what is 'true'? wanted FILE.ini, APP.py, PACKAGE.MODULE:NAME or an option"),
    (":8000", "what is ':8000'? wanted FILE.ini, APP.py, PACKAGE.MODULE:NAME or an option"),
    ("localhost:8000", "what is 'localhost:8000'? wanted FILE.ini, APP.py, PACKAGE.MODULE:NAME or an option"),
]


@pytest.mark.parametrize(("line", "expected"), READ)
def test_read(line: str, expected: list[tuple[str, str]]) -> None:
    assignments = list(command_line.read(line.split()))
    assert [(one.key, one.text) for one in assignments] == expected
    assert {one.origin for one in assignments} <= {command_line.ORIGIN}


@pytest.mark.parametrize(("line", "expected"), REFUSED)
def test_refused(line: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        list(command_line.read(line.split()))
    assert str(caught.value) == f"command line: {expected}"


def test_an_empty_word_is_refused() -> None:
    with pytest.raises(UsageError, match="what is ''"):
        list(command_line.read([""]))
