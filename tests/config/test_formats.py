"""One configuration in five formats, and what is none in any of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from greenwsgi.config import external_sources, placeholders, read_toml, read_yaml
from greenwsgi.config.load import load
from greenwsgi.config.settings import Assignment, Settings, build
from greenwsgi.config.show_config import show
from greenwsgi.config.sources import FORMATS
from greenwsgi.errors import Origin, UsageError
from tests.config.test_settings import CONFIGURATIONS, serving

Pairs = list[tuple[str, str]]
IN_A_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def by_key(pairs: Pairs) -> list[tuple[str, list[str]]]:
    return [(key, [text for _, text in members]) for key, members in groupby(pairs, lambda pair: pair[0])]


def ini(pairs: Pairs) -> str:
    return "\n".join(["[uwsgi]", *(f"{key} = {text}" for key, text in pairs)])


def as_yaml(pairs: Pairs) -> str:
    lines = [f"  {key}: {json.dumps(text, ensure_ascii=False)}" for key, text in pairs]
    return "\n".join(["uwsgi:", *lines])


def as_json(pairs: Pairs) -> str:
    members = (f'"{key}":\n {json.dumps(texts)}' for key, texts in by_key(pairs))
    return f'{{"uwsgi": {{{", ".join(members)}}}}}'


def xml(pairs: Pairs) -> str:
    return "".join(["<uwsgi>", *(f"<{key}>{escape(text)}</{key}>\n" for key, text in pairs), "</uwsgi>"])


def toml(pairs: Pairs) -> str:
    lines = [f"{key} = {json.dumps(texts, ensure_ascii=False)}" for key, texts in by_key(pairs)]
    return "\n".join(["[tool.greenwsgi]", *lines])


WRITERS: dict[str, Callable[[Pairs], str]] = {"ini": ini, "yaml": as_yaml, "json": as_json, "xml": xml, "toml": toml}


def read_back(text: str, extension: str) -> Settings:
    Path(f"x.{extension}").write_text(text, "utf-8")
    return load([f"x.{extension}"], {}).settings


def expressible(pair: tuple[str, str]) -> bool:
    """Not so: what is empty, which xml has as 1, and names that say what to read."""
    return bool(pair[1])


@IN_A_FOLDER
@given(CONFIGURATIONS)
def test_five_formats_give_equal_settings(written: Pairs) -> None:
    pairs = sorted({key: (key, text.replace("%", "%%")) for key, text in filter(expressible, written)}.values())
    pairs += [pair for pair in pairs if pair[0] in ("env", "pythonpath")]
    pairs.sort()
    expected = build(Assignment(key, text.replace("%%", "%"), Origin("")) for key, text in pairs)
    for extension, write in WRITERS.items():
        assert read_back(write(pairs), extension) == expected, extension


@IN_A_FOLDER
@given(CONFIGURATIONS)
def test_what_is_shown_can_be_read_again(written: Pairs) -> None:
    here = build(Assignment(key, text, Origin("")) for key, text in written)
    assert read_back(show(here), "ini") == serving(here)


READ: list[tuple[str, str, Pairs]] = [
    (
        "yaml",
        "uwsgi:\n  umask: 022\n  a: on\n  b: 12:30\n  c: 0660\n  d: ~\n  e:\n",
        [("umask", "022"), ("a", "on"), ("b", "12:30"), ("c", "0660"), ("d", "~"), ("e", "")],
    ),
    (
        "yaml",
        "uwsgi:\n  http: :8000\n  listen: @(/x)\n  chdir: %(base)/x\n  env: [A=1, B=2]\n",
        [("http", ":8000"), ("listen", "@(/x)"), ("chdir", "%(base)/x"), ("env", "A=1"), ("env", "B=2")],
    ),
    (
        "yaml",
        "x: &a [p, q]\ny: 1\n---\nuwsgi:\n  env: *a\n  env:\n  - r\n",
        [("env", "p"), ("env", "q"), ("env", "r")],
    ),
    (
        "yaml",
        "uwsgi:\n    threads: 4\n    logformat : uWSGI: %(method) -> %(status)\n    b: 'q' # c\nend: 1\n",
        [("threads", "4"), ("logformat", "uWSGI: %(method) -> %(status)"), ("b", "q")],
    ),
    ("yaml", "uwsgi:\n    threads: 4\n    vacuum=True\n    b: 1\n", [("threads", "4")]),
    ("yaml", "uwsgi:\n", []),
    (
        "json",
        '{"uwsgi": {"a": true, "b": false, "c": null, "d": [1, "x"], "e": 1.50, "f": -0, "a": 2}}',
        [("a", "1"), ("b", "0"), ("c", "0"), ("d", "1"), ("d", "x"), ("e", "1.50"), ("f", "-0"), ("a", "2")],
    ),
    (
        "xml",
        "<!-- x --><uwsgi><master/><a>1 &lt; 2</a>\n<b><![CDATA[<x>]]></b></uwsgi>",
        [("master", "1"), ("a", "1 < 2"), ("b", "<x>")],
    ),
    ("xml", '<?xml version="1.0" encoding="iso-8859-1"?><x><y><a>0</a></y><uwsgi><a> 1 </a></uwsgi></x>', [("a", "1")]),
    (
        "xml",
        '<uwsgi><app mountpoint="/x"><script>m</script></app><app>n</app></uwsgi>',
        [("mount", "/x=m"), ("mount", "/=n")],
    ),
    (
        "toml",
        '[uwsgi]\na = 0o660 # 0o7\nb = "0o660"\nc = [0o022, 1_000]\nd = true\ne = 1.50\nf = 2020-01-01\n',
        [("a", "660"), ("b", "0o660"), ("c", "022"), ("c", "1000"), ("d", "true"), ("e", "1.50"), ("f", "2020-01-01")],
    ),
    ("toml", '[project]\nname = "x"\n[tool.greenwsgi]\na = """\nx\'"0o1 """\n', [("a", "x'\"0o1")]),
]


@pytest.mark.parametrize(("name", "text", "expected"), READ)
def test_read(name: str, text: str, expected: Pairs) -> None:
    section = "uwsgi"
    found = FORMATS[name](text, "x", section, lambda text: None)
    assert [(one.key, one.text) for one in found] == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ini", "\n[uwsgi]\nenv = A=1\n\nenv = A=2\n"),
        ("yaml", "x:\n  env: 0\nuwsgi:\n  env: A=2\n"),
        ("json", '{"x": {"env": 0},\n "uwsgi": {\n  "a": "env",\n"env": "A=1", \n"env": "A=2"}}'),
        ("xml", "<uwsgi>\n\n<a/>\n\n<env>A=2</env></uwsgi>"),
        ("toml", '[x]\nenv = "A=1"\n[uwsgi] # y\n\n"env" = [\n"A=2"]\n'),
    ],
)
def test_every_format_knows_its_lines(name: str, text: str) -> None:
    *_, last = FORMATS[name](text, "x", "uwsgi", pytest.fail)
    assert (last.key, last.text) == ("env", "A=2")
    line = text.split("\n")[last.origin.line - 1]
    assert "env" in line
    assert "A=1" not in line


SECTIONS = {
    "ini": "[uwsgi]\nname = uwsgi\n[prod]\nname = prod\n",
    "yaml": "uwsgi:\n  name: uwsgi\nprod:\n  name: prod\n",
    "json": '{"uwsgi": {"name": "uwsgi"}, "prod": {"name": "prod"}}',
    "xml": '<x><uwsgi id="uwsgi"><name>uwsgi</name></uwsgi><uwsgi id="prod"><name>prod</name></uwsgi></x>',
    "toml": '[uwsgi]\nname = "uwsgi"\n[prod]\nname = "prod"\n',
}


@pytest.mark.parametrize("name", SECTIONS)
def test_sections(name: str) -> None:
    for section in ("uwsgi", "prod"):
        found = FORMATS[name](SECTIONS[name], "x", section, pytest.fail)
        assert [(one.key, one.text) for one in found] == [("name", section)]
    told: list[str] = []
    assert FORMATS[name](SECTIONS[name], "x", "none", told.append) == []
    assert told == ["x: there is no section [none]; the file has [uwsgi], [prod]"] or name == "xml"
    assert len(told) == 1


DEEP = 100_000
REFUSED = [
    (
        "yaml",
        "uwsgi:\n  a: {b: c}\n",
        "x:2: a: found names and values, wanted a text, a number, true, false, or a list",
    ),
    ("yaml", "uwsgi:\n  a: [[b]]\n", "x:2: a: found a list in a list, wanted"),
    ("yaml", "uwsgi:\n  a: *b\n", "x:2: *b is no anchor"),
    ("yaml", "uwsgi:\n  - a\n", "x:1: uwsgi: wanted options below it"),
    ("yaml", "{{ x }}\nuwsgi: [\n", "x:"),
    ("yaml", "uwsgi: &a\n  b: &c [*a, *a]\n", "x:2: b: found names and values"),
    ("yaml", "[" * DEEP, "x:1: this is not a configuration: it is nested too deep"),
    ("yaml", "\x07", "x: this is not YAML"),
    ("json", "{", "x:1: this is not JSON: Expecting property name"),
    ("json", "[]", 'x:1: wanted {"uwsgi": {...}}'),
    ("json", '{"uwsgi": 1}', "x:1: uwsgi: wanted an object"),
    ("json", '{"uwsgi":\n{"": 1}}', "x:2: found '', wanted the name of an option"),
    ("json", "[" * DEEP, "x: this is not a configuration: it is nested too deep"),
    ("xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><uwsgi/>", "x:1: found <!DOCTYPE, wanted <uwsgi>"),
    ("xml", "<uwsgi>\n<a>", "x:2: this is not XML: no element found"),
    ("xml", "<uwsgi>\nabc<a/></uwsgi>", "x:2: found 'abc', wanted <name>value</name>"),
    ("xml", "<uwsgi><a/>b</uwsgi>", "x:1: found 'b', wanted <name>value</name>"),
    ("xml", "<uwsgi><a><b/></a></uwsgi>", "x:1: a: found <b>, wanted a text"),
    ("xml", "<a>" * DEEP, "x:1: this is not a configuration: it is nested too deep"),
    ("xml", "<?xml version='1.0' encoding='klingon'?><uwsgi/>", "x:1: this is not XML: unknown encoding"),
    ("toml", "[uwsgi]\na = \n", "x:2: this is not TOML: Invalid value"),
    ("toml", "[uwsgi]\na = {b = 1}\n", "x:2: a: found names and values"),
    ("toml", "[uwsgi]\na = " + "[" * DEEP, "x: this is not a configuration: it is nested too deep"),
]


@pytest.mark.parametrize(("name", "text", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_refused(name: str, text: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        FORMATS[name](text, "x", "uwsgi", lambda text: None)
    assert str(caught.value).startswith(expected)


def test_both_tables_of_a_toml_file() -> None:
    told: list[str] = []
    found = read_toml.read("[uwsgi]\na = 1\n[tool.greenwsgi]\na = 2\n", "x", warn=told.append)
    assert [one.text for one in found] == ["1"]
    assert told == ["x: [uwsgi] is read, and [tool.greenwsgi] is not"]


def test_what_is_read_line_by_line_is_told() -> None:
    told: list[str] = []
    read_yaml.read("uwsgi:\n  a: 1\n  b=2\n  c: 3\n", "x", warn=told.append)
    assert told == [
        "x:3: found 'b=2', wanted `name: value`; as in uWSGI nothing is read from here on",
        "x:4: this is not YAML: could not find expected ':'; it is read line by line, as uWSGI does",
    ]


# Whatever the bytes

SNIPPETS = [b"[uwsgi]\n", b"uwsgi:\n", b'{"uwsgi": {', b"<uwsgi>", b"</uwsgi>", b"}}", b"if-env = HOME\n", b"endif\n"]
SNIPPETS += [b"for = a b\n", b"x = %(x)", b"%(y z + 1)", b"$(HOME)", b"%p", b"\n", b"  a: ", b" = ", b"&a", b"*a"]
SNIPPETS += [b"set = a=b\n", b"ini = :\n", b"include = x.ini\n", b"<a>", b"</a>", b'"', b"\xff", b"\0"]
BYTES = st.lists(st.sampled_from(SNIPPETS) | st.binary(max_size=8), max_size=30).map(b"".join)


@IN_A_FOLDER
@given(st.sampled_from([*WRITERS, "js", "yml"]), BYTES)
@example("yaml", b"? a")
@example("yaml", b"%YAML 9.9\n---\n")
@example("yaml", b"!!python/object:os.system x")
@example("xml", b"\xff\xfe<\0")
@example("toml", b"a.a=1\na.a.a=2")
@example("ini", b"[uwsgi]\nif-hostname-match = (\nx=1\nendif")
@example("ini", b"[uwsgi]\nx = @(fd://99999)\n")
@example("ini", b"[uwsgi]\nif-hostname-match = a{99999999999}\nx=1\nendif")
@example("ini", b"[uwsgi]\nharakiri-for = a{99999999999} 5")
@example("ini", b"[uwsgi]\nharakiri-for = " + b"(" * 5000 + b")" * 5000 + b" 5")
@example("yaml", b'uwsgi:\n  a: "\\UFFFFFFFF"')
@example("yaml", b'uwsgi:\n  a: "\\U00110000"')
@example("yaml", b'uwsgi:\n  env: "A=\\uD800"')
@example("yaml", b"%YAML " + b"9" * 5000 + b".1\n---\nuwsgi:\n  a: 1")
@example("toml", b"[uwsgi]\na = " + b"9" * 5000)
@example("toml", b"[uwsgi]\na = 0x" + b"9" * 5000)
@example("json", b'{"uwsgi": {"ini": "\\ud800.ini"}}')
@example("json", b'{"uwsgi": {"\\ud800": "1"}}')
def test_any_bytes_give_settings_or_one_line(extension: str, data: bytes) -> None:
    Path(f"x.{extension}").write_bytes(data)
    error = ""
    try:
        load([f"x.{extension}"], {"HOME": "/root"})
    except UsageError as caught:
        error = str(caught)
    assert len(error) < 700


BOMBS: dict[str, Any] = {
    "a placeholder": "a = 0123456789\n" + "".join(f"{chr(98 + n)} = {f'%({chr(97 + n)})' * 10}\n" for n in range(9)),
    "itself": "a = x%(a)\n",
    "a long line": "a = " + "x" * 10_000_000,
    "a long name": "x" * 10_000_000,
    "a value beyond what the kernel takes": "a = " + "x" * 200_000,
    "for": "for-times = 999999999\na = %(_)\nendfor\n",
    "much of for": "for-times = 9999\na = 1\na = 2\na = 3\nendfor\n",
    "much text of for": "for-times = 9999\na = " + "x" * 1000 + "\nendfor\n",
    "many lines": "a=1\n" * 100_000,
    "options that make each other": "declare-option = a=b=$1\ndeclare-option = b=a=$1\na = x\n",
    "an option that doubles": "declare-option = a=a=$1$1;a=$1$1\na = x\n",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_one_line(bomb: str) -> None:
    Path("x.ini").write_text(f"[uwsgi]\n{bomb}")
    with pytest.raises(UsageError) as caught:
        load(["x.ini"], {})
    assert len(str(caught.value)) < 300


def test_a_bomb_in_the_environment_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"^command line: env: what 'A= \$\(A\)' stands for has no end$"):
        load(["--env", "A= $(A)"], {"A": " $(A)"})


def test_many_unknown_names_are_soon_told() -> None:
    Path("x.ini").write_text("[uwsgi]\n" + "".join(f"proceses{n} = 1\n" for n in range(5000)))
    told = load(["x.ini"], {}).warnings
    assert len(told) == 51
    assert told[-1] == "x.ini:52: and 4950 more unknown options from here on"


def test_limits_are_what_the_page_says() -> None:
    assert (external_sources.MAX_BYTES, placeholders.MAX_TEXT) == (1 << 20, 128 << 10)
