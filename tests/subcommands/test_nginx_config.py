"""The server block: what nginx itself says of it, and what stands in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from greenwsgi.cli import main
from greenwsgi.config.settings import Assignment, build
from greenwsgi.errors import Origin, UsageError
from greenwsgi.subcommands.nginx_config import block
from tests.live.client import free_port
from tests.live.nginx import binary
from tests.test_migrating import FAMILIES, OF_SEARXNG


def made(*pairs: tuple[str, str], name: str = "_") -> str:
    return "\n".join(block(build(Assignment(key, text, Origin("x.ini", 1)) for key, text in pairs), name)) + "\n"


CONFIGURATIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "nothing at all": (),
    "a unix socket": (("socket", "/run/app.sock"), ("harakiri", "30")),
    "uwsgi on a port": (("uwsgi-socket", ":3031"),),
    "HTTP": (("http-socket", "0.0.0.0:8080"), ("keepalive-timeout", "10"), ("limit-post", "1000000")),
    "HTTP behind the local proxy": (("http-socket", "/run/x.sock"), ("trusted-proxy", "unix")),
    "IPv6": (("http-socket", "[::]:8080"),),
    "static files": (("socket", ":1"), ("static-map", "/static=/srv/static"), ("static-map", "/media/=/srv/media/")),
    "static files that are no path": (("socket", ":1"), ("static-map", "/x;}=/srv"), ("static-map", "/y=/s r v")),
    "static files of everything": (("socket", ":1"), ("static-map", "/=/srv"), ("static-map", "//=/srv")),
    "static files of one path twice": (("socket", ":1"), ("static-map", "/s=/a"), ("static-map", "/s/=/b")),
    "FastCGI": (("fastcgi-socket", ":9000"),),
    "SCGI": (("scgi-socket", ":9000"),),
    "any protocol": (("auto-socket", ":3032"),),
    "any protocol, with TLS or without": (("auto-socket", ":3032,c,k"),),
    "HTTPS": (("https-socket", "[::1]:8443,c,k"),),
    "uwsgi over TLS": (("suwsgi-socket", ":3033,c,k"),),
    "a short head": (("socket", ":1"), ("buffer-size", "4096")),
    "a very short head": (("socket", ":1"), ("buffer-size", "100")),
}


def check(text: str, tmp_path: Path) -> None:
    """Does nginx take it?"""
    for included in ("uwsgi_params", "fastcgi_params", "scgi_params"):
        (tmp_path / included).write_text("")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ access_log off;\n{text}}}\n")
    tried = subprocess.run(
        [binary(), "-t", "-p", f"{tmp_path}/", "-c", "nginx.conf", "-e", "stderr"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert tried.returncode == 0, f"{tried.stderr}\n{text}"


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_nginx_takes_it(name: str, tmp_path: Path) -> None:
    check(made(*CONFIGURATIONS[name]), tmp_path)


@pytest.mark.parametrize("family", sorted(FAMILIES.iterdir()), ids=lambda family: family.name)
def test_nginx_takes_what_goes_with_real_configurations(
    family: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in OF_SEARXNG.items():
        monkeypatch.setenv(variable, value)
    assert main(["nginx", str(family)]) == 0
    check(capsys.readouterr().out, tmp_path)


@pytest.mark.parametrize(
    ("option", "address", "line"),
    [
        ("auto-socket", ":1", "uwsgi_pass greenwsgi;"),
        ("auto-socket", ":1,c,k", "uwsgi_pass greenwsgi;"),
        ("suwsgi-socket", ":1,c,k", "uwsgi_pass suwsgi://greenwsgi;"),
        ("https-socket", ":1,c,k", "proxy_pass https://greenwsgi;"),
        ("https", "[::]:1,c,k", "server [::1]:1;"),
        ("http-socket", "[2001:db8::1]:1", "server [2001:db8::1]:1;"),
        ("http-socket", ":1", "proxy_pass http://greenwsgi;"),
        ("fastcgi-socket", "app.sock", "fastcgi_pass greenwsgi;"),
        ("scgi-socket", ":1", "scgi_pass greenwsgi;"),
    ],
)
def test_each_protocol_is_spoken_as_it_is_listened_for(option: str, address: str, line: str) -> None:
    assert line in made((option, address))


def test_a_socket_that_only_sends_on_or_wants_a_proxy_header_is_passed_over() -> None:
    https = ("https-socket", ":8443,c,k")
    assert "server 127.0.0.1:8443;" in made(("http-to-https", ":80"), https)
    behind = (("http-socket", ":8080"), ("proxy-protocol", ":8080"))
    assert "server 127.0.0.1:8443;" in made(*behind, https)
    assert "server 127.0.0.1:8080;" in made(("http-socket", ":8080"), ("enable-proxy-protocol", "true"), https)


def test_the_first_static_map_of_a_path_is_the_one() -> None:
    text = made(*CONFIGURATIONS["static files of one path twice"])
    assert "location /s/ {\n        alias /a/;" in text
    assert "/b/" not in text


def test_times_and_sizes_fit() -> None:
    text = made(
        *(("socket", "/run/app.sock"), ("harakiri", "30"), ("harakiri-for", "^/report 120"), ("socket-timeout", "10")),
        *(("limit-post", "8m"), ("buffer-size", "32768"), ("static-map", "/s=/srv/s")),
        name="example.org",
    )
    for line in (
        "server unix:/run/app.sock;  # x.ini:1",
        "server_name example.org;",
        "client_max_body_size 8m;",
        "large_client_header_buffers 4 8k;",
        "uwsgi_read_timeout 125s;",
        "uwsgi_send_timeout 15s;",
        "uwsgi_pass greenwsgi;",
        "location /s/ {",
        "alias /srv/s/;",
    ):
        assert line in text


def test_kept_connections_are_closed_by_nginx_first() -> None:
    assert "keepalive_timeout 5s;" in made(("http-socket", ":1"), ("keepalive-timeout", "10"))
    assert "keepalive_timeout 60s;" in made(("http-socket", ":1"))


def test_the_protocol_that_carries_most_is_chosen_and_a_path_before_a_port() -> None:
    text = made(("http-socket", ":8080"), ("uwsgi-socket", ":3031"), ("uwsgi-socket", "/run/app.sock"))
    assert "server unix:/run/app.sock;" in text


def test_without_harakiri_the_reader_is_told() -> None:
    assert "set harakiri" in made(("socket", ":1"))
    assert "set harakiri" in made(("socket", ":1"), ("harakiri", "5"), ("harakiri-for", "^/x 0"))


def test_a_proxy_that_is_not_believed_is_told_of() -> None:
    assert "trusted-proxy = 127.0.0.1" in made(("http-socket", ":1"))
    assert "trusted-proxy = ::1" in made(("http-socket", "[::]:1"))
    assert "trusted-proxy = unix" in made(("http-socket", "/run/x.sock"))
    assert "trusted-proxy" not in made(("socket", ":1"))


@pytest.mark.parametrize(
    "pairs",
    [
        [("socket", "@app")],
        [("socket", "/run/app.sock"), ("abstract-socket", "true")],
        [("socket", "127.0.0.1:0")],
        [("socket", "fd://3")],
        [("socket", "10.0.*:3031")],
        [("http-to-https", ":80")],
        [("http-socket", ":80"), ("proxy-protocol", "all")],
    ],
)
def test_some_sockets_alone_cannot_be_reached(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(UsageError, match="no socket here that nginx can reach"):
        made(*pairs)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.ini").write_text("[uwsgi]\nsocket = 127.0.0.1:3031\n")
    assert main(["nginx", str(tmp_path / "x.ini")]) == 0
    assert "server 127.0.0.1:3031;  #" in capsys.readouterr().out
    (tmp_path / "y.ini").write_bytes(b"[uwsgi]\nsocket = /run/caf\xe9\x1b.sock\n")
    assert main(["nginx", str(tmp_path / "y.ini")]) == 0
    assert "server unix:/run/caf\\udce9\\x1b.sock;" in capsys.readouterr().out
    assert main(["nginx", str(tmp_path / "nowhere.ini")]) == 2
    assert "cannot read" in capsys.readouterr().err
