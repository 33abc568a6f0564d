"""Checks that need more than one option."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenwsgi.config import command_line, option_rules, read_ini
from greenwsgi.config.load import load
from greenwsgi.config.settings import build, silent
from greenwsgi.errors import UsageError
from greenwsgi.subcommands import SUBCOMMANDS


def warnings(*words: str) -> list[str]:
    said: list[str] = []
    option_rules.check(build(command_line.read(["--wsgi-file", "x.py", *words])), said.append)
    return said


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (("--socket", ":3031"), True),
        (("--socket", "0.0.0.0:3031"), True),
        (("--uwsgi-socket", "[::]:3031"), True),
        (("--uwsgi-socket", "app.example:3031"), True),
        (("--scgi-socket", ":3031"), True),
        (("--socket", ":3031", "--protocol", "scgi-nph"), True),
        (("--scgi-socket", ":3031", "--gateway-allow", "10.0.0.0/8"), False),
        (("--socket", ":3031", "--uwsgi-allow", "10.0.0.0/8"), False),
        (("--socket", "127.0.0.1:3031"), False),
        (("--socket", "localhost:3031"), False),
        (("--socket", "[::1]:3031"), False),
        (("--socket", "/run/app.sock"), False),
        (("--socket", "app.sock"), False),
        (("--http-socket", ":8000"), False),
        (("--socket", ":8000", "--protocol", "http"), False),
    ],
)
def test_a_gateway_s_socket_that_others_can_reach_is_warned_of(words: tuple[str, ...], warned: bool) -> None:
    said = warnings(*words)
    assert bool(said) == warned
    if warned:
        assert "uwsgi-allow" in said[0]


@pytest.mark.parametrize(
    "words",
    [
        ("--socket", "/run/app.sock", "--http-to", "/run/app.sock"),
        ("--socket", ":3031", "--http-to", "127.0.0.1:3031"),
        ("--socket", "127.0.0.1:3031", "--http-to", ":3031", "--http-to", "localhost:3031"),
    ],
)
def test_http_may_be_handed_to_this_server(words: tuple[str, ...]) -> None:
    assert [said for said in warnings("--http", ":80", "--uwsgi-allow", "unix", *words) if "http-to" in said] == []


@pytest.mark.parametrize("target", ["/run/other.sock", "127.0.0.1:3032", "10.0.0.1:3031"])
def test_http_is_not_handed_to_others(target: str) -> None:
    with pytest.raises(UsageError, match=r"http-to .* is no socket of this server"):
        warnings("--http", ":80", "--socket", "127.0.0.1:3031", "--http-to", target)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("socket = 127.0.0.1:99999", "x.ini:1: 127.0.0.1:99999: '99999' is no port; the highest is 65535"),
        ("socket = ::1:3031", r"x.ini:1: ::1:3031: an IPv6 address needs brackets: [::1]:3031"),
        ("http-socket = :80\nsocket = :http", "x.ini:2: :http: 'http' is no port"),
        ("socket = @", "x.ini:1: @: an abstract socket needs a name"),
        ("http = a.sock\nsocket = a.sock", "x.ini:2: a.sock: this address is given twice"),
        ("http = localhost:80\nhttps-socket = localhost:80,c,k", "x.ini:2: localhost:80: this address is given twice"),
        ("http = [::1]:1\nsocket = [::1]:01", "x.ini:2: [::1]:01: this address is given twice"),
        ("socket = @a\nabstract-socket\nhttp = a", "x.ini:3: a: this address is given twice"),
        ("shared-socket = a\nhttp = =0\nsocket = =0", "x.ini:3: a: this address is given twice"),
    ],
)
def test_an_address_that_is_none_or_another_s(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        option_rules.check(build(read_ini.read(f"{text}\nmodule = app", "x.ini", section="")), silent)
    assert str(caught.value).startswith(said)


def test_port_0_is_another_port_each_time() -> None:
    assert warnings("--http", "127.0.0.1:0", "--socket", "127.0.0.1:0") == []


@pytest.mark.parametrize(
    ("words", "taken", "needed"),
    [
        ("--enable-proxy-protocol", "socket router", ""),
        ("--http-enable-proxy-protocol", "router", ""),
        ("--http-enable-proxy-protocol --proxy-protocol-from 10.0.0.2", "router", "router"),
        ("--enable-proxy-protocol --proxy-protocol-from 10.0.0.2", "socket router", "socket router"),
        ("--proxy-protocol socket --http-enable-proxy-protocol", "socket router", "socket"),
        ("--proxy-protocol all", "socket router", "socket router"),
        ("", "", ""),
    ],
)
def test_who_sends_proxy_headers(words: str, taken: str, needed: str) -> None:
    settings = build(command_line.read(["--http-socket", "socket", "--http", "router", *words.split()]))
    takes = [
        one.text for one in settings.listeners if option_rules.takes_proxy_headers(settings, one.protocol, one.text)
    ]
    assert takes == taken.split()
    assert [text for text in takes if option_rules.needs_proxy_headers(settings, text)] == needed.split()


def test_http_socket_has_nothing_to_do_with_options_of_the_router() -> None:
    settings = load([str(Path(__file__).parent / "fixtures/router_options.ini")], {}).settings
    said: list[str] = []
    option_rules.check(settings, said.append)
    assert not option_rules.takes_proxy_headers(settings, "http", ":8000")
    assert [text.partition(": ")[2] for text in said] == [
        "http-enable-proxy-protocol is about http and https; for http-socket: enable-proxy-protocol"
    ]


@pytest.mark.parametrize(
    ("sockets", "numbers"),
    [
        ("--http :80 --socket :3031", [0, 0]),
        ("--socket :3031 --http :80 --https :443,c,k --http-socket :81 --http-to-https :82", [0, 0, 0, 1, 0]),
        ("--http :80 --http :81", [0, 0]),
        ("--http-socket :80 --https-socket :443,c,k --auto-socket :1", [0, 1, 2]),
    ],
)
def test_sockets_are_numbered_without_those_of_the_router(sockets: str, numbers: list[int]) -> None:
    settings = build(command_line.read(sockets.split()))
    assert option_rules.socket_numbers(settings, [one.text for one in settings.listeners]) == numbers


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["add-header = Content-Length: 5"], "app.ini:3: add-header Content-Length: each answer has its own"),
        (
            ["add-header = X: y", "add-header = Transfer-Encoding: chunked"],
            "app.ini:4: add-header Transfer-Encoding: only",
        ),
        (
            ["add-header = keep-alive: timeout=5", "add-header = X: y"],
            "app.ini:3: add-header keep-alive: only the protocol may say that",
        ),
        (["add-header = Upgrade: h2c"], "app.ini:3: add-header Upgrade: only the protocol"),
        (
            ["del-header = X", "rem-header = content-length"],
            "app.ini:4: del-header Content-Length: the answer would have no end",
        ),
        (["add-header = X Y: z"], "app.ini:3: add-header: found 'X Y: z', wanted NAME: VALUE"),
    ],
)
def test_a_header_rule_that_must_not_be_is_told_with_its_place(
    lines: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The start, a reload and `greenwsgi check` say the same."""
    file = tmp_path / "app.ini"
    file.write_text("\n".join(["[uwsgi]", "module = app", *lines]))
    with pytest.raises(UsageError, match=expected):
        option_rules.check(load([str(file)], {}).settings, silent)
    assert SUBCOMMANDS["check"].run([str(file)]) == 2
    assert expected.partition("app.ini:")[2] in capsys.readouterr().out
