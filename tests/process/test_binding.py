"""Binding: every address form, and every way in which it can be refused."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.listen_addresses import Descriptor, read_place
from greenwsgi.options.table.listening import ListeningOptions
from greenwsgi.options.value_types import Address
from greenwsgi.process.lifecycle.user_identity import Owner
from greenwsgi.process.listening import binding
from greenwsgi.process.listening.binding import Listener

ORIGIN = Origin("app.ini", 4)

Bind = Callable[..., Listener]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")


def bind(text: str, owner: Owner | None = None, **options: Any) -> Listener:
    place = read_place(text)
    assert not isinstance(place, Descriptor)
    return binding.bind(Address("http", text, ORIGIN), place, ListeningOptions(listen=16, **options), owner)


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bind]:
    """Binds in a folder of its own, and closes what it bound."""
    monkeypatch.chdir(tmp_path)
    made: list[Listener] = []

    def bind_it(text: str, owner: Owner | None = None, **options: Any) -> Listener:
        made.append(bind(text, owner, **options))
        return made[-1]

    yield bind_it
    for listener in made:
        listener.close()


def refusal(text: str, owner: Owner | None = None, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        bind(text, owner, **options).close()
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
    bound(str(path), chmod_socket=0o660)
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
    before = bind("127.0.0.1:0")
    client = socket.create_connection(before.socket.getsockname())
    before.socket.accept()[0].close()
    assert client.recv(1) == b""
    client.close()
    before.close()
    assert bound(before.bound.name).bound.name == before.bound.name


@pytest.mark.parametrize(
    ("text", "why"),
    [
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


def test_accepted_connections_do_not_wait_for_acknowledgements(bound: Bind) -> None:
    listener = bound("127.0.0.1:0")
    with (
        socket.socket(fileno=os.dup(listener.bound.fd)) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# What the options say


def option_of(listener: Listener, level: int, name: int) -> int:
    return listener.socket.getsockopt(level, name)


@needs_linux
@pytest.mark.parametrize(
    ("options", "level", "name", "expected"),
    [
        ({}, socket.IPPROTO_TCP, socket.TCP_NODELAY, True),
        ({"tcp_nodelay": False}, socket.IPPROTO_TCP, socket.TCP_NODELAY, False),
        ({}, socket.SOL_SOCKET, socket.SO_KEEPALIVE, False),
        ({"so_keepalive": True}, socket.SOL_SOCKET, socket.SO_KEEPALIVE, True),
        ({}, socket.SOL_SOCKET, socket.SO_REUSEPORT, False),
        ({"reuse_port": True}, socket.SOL_SOCKET, socket.SO_REUSEPORT, True),
        ({"so_sndbuf": 20000}, socket.SOL_SOCKET, socket.SO_SNDBUF, 40000),  # Linux doubles it: for its book-keeping
        ({"so_rcvbuf": 20000}, socket.SOL_SOCKET, socket.SO_RCVBUF, 40000),
        ({}, socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 0),
        ({"tcp_fast_open": 7}, socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 7),
    ],
    ids=str,
)
def test_socket_options(bound: Bind, options: dict[str, Any], level: int, name: int, expected: int) -> None:
    assert option_of(bound("127.0.0.1:0", **options), level, name) == expected


@needs_linux
def test_listen_is_the_backlog(bound: Bind) -> None:
    """TCP_INFO of a listening socket has it where a connection has its count of selective acknowledgements."""
    info = bound("127.0.0.1:0").socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    assert int.from_bytes(info[28:32], sys.byteorder) == 16


@needs_linux
def test_defer_accept_leaves_silent_connections_in_the_kernel(bound: Bind) -> None:
    listener = bound("127.0.0.1:0", defer_accept=5)
    listener.socket.setblocking(False)
    with socket.create_connection(listener.socket.getsockname()) as client:
        with pytest.raises(BlockingIOError):
            listener.socket.accept()
        client.sendall(b"x")
        listener.socket.setblocking(True)
        listener.socket.accept()[0].close()


def test_reuse_port_lets_another_in(bound: Bind) -> None:
    name = bound("127.0.0.1:0", reuse_port=True).bound.name
    bound(name, reuse_port=True)
    assert "another process listens there" in refusal(name)


@needs_linux
def test_freebind(bound: Bind) -> None:
    assert "Cannot assign requested address" in refusal("192.0.2.1:0")
    assert bound("192.0.2.1:0", freebind=True).bound.name.startswith("192.0.2.1:")


@needs_linux
def test_the_first_interface_that_begins_so(bound: Bind) -> None:
    assert bound("127.0.*:0").bound.name.startswith("127.0.0.1:")
    assert "no interface has such an address; there are" in refusal("203.0.113.*:0")


@needs_linux
def test_abstract(bound: Bind, tmp_path: Path) -> None:
    name = f"greenwsgi-{os.getpid()}"
    assert bound(f"@{name}").bound.name == f"@{name}"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{name}")
    assert list(tmp_path.iterdir()) == []
    assert refusal(f"@{name}") == f"app.ini:4: @{name}: another process listens there"


def test_without_vacuum_the_file_stays(bound: Bind, tmp_path: Path) -> None:
    bound("app.sock").close(vacuum=False)
    assert (tmp_path / "app.sock").is_socket()


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o177])
def test_a_mode_is_the_mode_whatever_the_umask(umask: int, bound: Bind, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        bound("app.sock", chmod_socket=0o666)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "app.sock").stat().st_mode) == 0o666
    assert os.listdir(tmp_path) == ["app.sock"]


def test_no_name_shows_where_a_socket_was_made(bound: Bind, tmp_path: Path) -> None:
    listener = bound("app.sock", chmod_socket=0o666)
    assert listener.bound.name == str(tmp_path / "app.sock")
    assert listener.socket.getsockname() == "app.sock", "what ss shows"
    assert os.getcwd() == str(tmp_path)


@needs_linux
def test_where_we_are_may_be_closed_to_us(bound: Bind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sudo -u www-data` in root's home: we could not come back."""
    open_it = os.open

    def refuse_here(path: str, *args: Any, **named: Any) -> int:
        if path == ".":
            raise PermissionError(13, "Permission denied")
        return open_it(path, *args, **named)

    monkeypatch.setattr(os, "open", refuse_here)
    bound(str(tmp_path / "app.sock"), chmod_socket=0o666)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "app.sock"))


def test_a_file_that_comes_in_between_is_kept(bound: Bind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server that starts at the same time, say."""
    link = os.link

    def link_late(*names: Any, **folders: Any) -> None:
        (tmp_path / "app.sock").write_text("precious")
        link(*names, **folders)

    monkeypatch.setattr(os, "link", link_late)
    assert refusal("app.sock", chmod_socket=0o666) == "app.ini:4: app.sock: another process listens there"
    assert (tmp_path / "app.sock").read_text() == "precious"
    assert os.listdir(tmp_path) == ["app.sock"]


def test_a_link_that_leads_nowhere_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink("nothing", "app.sock")
    assert "there is a symbolic link of that name, which leads nowhere" in refusal("app.sock")
    assert os.listdir(tmp_path) == ["app.sock"]


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_what_is_no_socket_is_kept(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if kind == "fifo":
        os.mkfifo("place")
    elif kind == "folder":
        os.mkdir("place")
    path = os.devnull if kind == "device" else "place"
    assert refusal(path) == f"app.ini:4: {path}: there is a {kind} of that name, and it is no socket"


@needs_root
def test_a_socket_that_is_given_away(bound: Bind, tmp_path: Path) -> None:
    bound("app.sock", Owner(54321, 54322, "", ORIGIN))
    found = (tmp_path / "app.sock").stat()
    assert (found.st_uid, found.st_gid) == (54321, 54322)
    bound("other.sock", Owner(-1, 54322, "", ORIGIN))
    found = (tmp_path / "other.sock").stat()
    assert (found.st_uid, found.st_gid) == (os.geteuid(), 54322)


def test_a_socket_that_may_not_be_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "chown", refuse)
    assert refusal("app.sock", Owner(0, 0, "chown-socket root:root", ORIGIN)) == (
        "app.ini:4: app.sock: chown-socket root:root: Operation not permitted"
    )
    assert list(tmp_path.iterdir()) == [], "what was bound is gone again"
