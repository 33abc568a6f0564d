"""Binding: every address form, and every way in which it can be refused."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenwsgi.errors import Origin, UsageError
from greenwsgi.process.listeners import Listener, backlog_warning, bind, is_path

ORIGIN = Origin("app.ini", 4)

Bind = Callable[..., Listener]


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bind]:
    """Binds in a folder of its own, and closes what it bound."""
    monkeypatch.chdir(tmp_path)
    made: list[Listener] = []

    def bind_it(text: str, mode: int | None = None, protocol: str = "http") -> Listener:
        made.append(bind(protocol, text, ORIGIN, 16, mode))
        return made[-1]

    yield bind_it
    for listener in made:
        listener.close()


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        bind("http", text, ORIGIN, 16).close()
    assert caught.value.origin == ORIGIN
    assert "\n" not in str(caught.value)
    return str(caught.value)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "family", "host"),
    [
        (":0", socket.AF_INET, "0.0.0.0"),
        ("127.0.0.1:0", socket.AF_INET, "127.0.0.1"),
        ("localhost:0", socket.AF_INET, "127.0.0.1"),
        pytest.param(
            "[::1]:0",
            socket.AF_INET6,
            "::1",
            marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine"),
        ),
    ],
)
def test_tcp(bound: Bind, text: str, family: int, host: str) -> None:
    listener = bound(text)
    address = listener.socket.getsockname()
    assert listener.socket.family == family
    assert address[0] == host
    assert address[1] > 0
    shown = "0.0.0.0" if text == ":0" else text.removesuffix(":0")
    assert listener.bound.name == f"{shown}:{address[1]}"
    assert listener.bound.fd == listener.socket.fileno()
    assert listener.bound.protocol == "http"
    assert not listener.socket.get_inheritable()
    with socket.create_connection((host, address[1]), 10):
        listener.socket.accept()[0].close()


@pytest.mark.parametrize("text", ["app.sock", "./app.sock"])
def test_unix(bound: Bind, tmp_path: Path, text: str) -> None:
    listener = bound(text)
    path = tmp_path / "app.sock"
    assert listener.bound.name == str(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listener.close()
    assert not path.exists()


def test_unix_by_absolute_path_with_a_mode(bound: Bind, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    bound(str(path), mode=0o660)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_dead_servers_socket_is_replaced(bound: Bind, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "app.sock"))
    bound("app.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "app.sock"))


def test_a_live_servers_socket_is_not(bound: Bind) -> None:
    bound("app.sock")
    assert refusal("app.sock") == "app.ini:4: app.sock: another process listens there"


def test_a_full_backlog_is_alive_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clients = []
    with socket.socket(socket.AF_UNIX) as live:
        live.bind("app.sock")
        live.listen(0)
        while True:
            client = socket.socket(socket.AF_UNIX)
            clients.append(client)
            client.setblocking(False)
            if client.connect_ex("app.sock"):
                break
        assert refusal("app.sock") == "app.ini:4: app.sock: another process listens there"
    for client in clients:
        client.close()


def test_a_file_that_is_no_socket_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").write_text("precious")
    assert refusal("data") == "app.ini:4: data: there is a file of that name, and it is no socket"
    assert (tmp_path / "data").read_text() == "precious"


def test_a_socket_that_became_anothers_is_left_alone(bound: Bind, tmp_path: Path) -> None:
    ours = bound("app.sock")
    os.rename("app.sock", "moved")
    bound("app.sock")
    ours.close()
    assert (tmp_path / "app.sock").is_socket()


def test_a_port_in_use(bound: Bind) -> None:
    name = bound("127.0.0.1:0").bound.name
    assert refusal(name) == f"app.ini:4: {name}: another process listens there"


def test_a_port_that_was_just_left(bound: Bind) -> None:
    """Connections of the server before are in TIME_WAIT there."""
    before = bind("http", "127.0.0.1:0", ORIGIN, 16)
    client = socket.create_connection(before.socket.getsockname())
    before.socket.accept()[0].close()
    assert client.recv(1) == b""
    client.close()
    before.close()
    assert bound(before.bound.name).bound.name == before.bound.name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("127.0.0.1:http", "'http' is no port"),
        ("127.0.0.1:", "'' is no port"),
        ("127.0.0.1:65536", "'65536' is no port"),
        ("127.0.0.1:-1", "'-1' is no port"),
        ("127.0.0.1:٣", "is no port"),
        ("::1:80", "an IPv6 address needs brackets: [::1]:80"),
        ("a..b:80", "no address for host 'a..b'"),
        ("192.0.2.1:80", "Cannot assign requested address"),
        ("/no/such/folder/app.sock", "No such file or directory"),
        ("/" + "x" * 200, "too long"),
    ],
)
def test_refused(text: str, why: str) -> None:
    assert why in refusal(text)


def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert refusal("web.example:80") == (
        "app.ini:4: web.example:80: no address for host 'web.example': Name or service not known"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/run/a.sock", True), ("a.sock", True), ("./a:b", True), ("/a:1", True), (":80", False), ("a.sock:1", False)],
)
def test_is_path(text: str, expected: bool) -> None:
    assert is_path(text) is expected


def test_backlog_warning(tmp_path: Path) -> None:
    most = tmp_path / "somaxconn"
    most.write_text("128\n")
    assert backlog_warning(128, str(most)) == ""
    assert "net.core.somaxconn is 128" in backlog_warning(129, str(most))
    assert backlog_warning(129, str(tmp_path / "none")) == ""


def test_accepted_connections_do_not_wait_for_acknowledgements(bound: Bind) -> None:
    listener = bound("127.0.0.1:0")
    with (
        socket.socket(fileno=os.dup(listener.bound.fd)) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
