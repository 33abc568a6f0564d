"""Which sockets there are, and in which order; what was open before we started."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenwsgi.config.settings import Assignment, Settings, build
from greenwsgi.errors import Origin, UsageError
from greenwsgi.log.server_log import ServerLog
from greenwsgi.options.table.listening import ListeningOptions
from greenwsgi.process.lifecycle.user_identity import NOBODY_ELSE, Identity
from greenwsgi.process.listening import inherited_sockets
from greenwsgi.process.listening.binding import Listener
from greenwsgi.process.listening.listeners import Refusal, backlog_warning, listen
from greenwsgi.shared.messages import HANDSHAKE
from greenwsgi.shared.resources import Resources

Start = Callable[..., list[Listener]]

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def settings(text: str) -> Settings:
    """From lines `key = value`; line numbers are their origins."""
    lines = (line.partition("=") for line in text.split("; ")) if text else ()
    return build(
        Assignment(key.strip(), value.strip(), Origin("app.ini", number))
        for number, (key, _, value) in enumerate(lines, 1)
    )


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    wall = monotonic


class Log(ServerLog):
    def __init__(self) -> None:
        super().__init__(-1)
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    warning = error = info


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Log) -> Iterator[Start]:
    """Listens as `text` says, in a folder of its own; all is closed at the end."""
    monkeypatch.chdir(tmp_path)
    made: list[Listener] = []

    def start_it(text: str, environ: dict[str, str] | None = None, who: Identity = NOBODY_ELSE) -> list[Listener]:
        return listen(settings(text), {} if environ is None else environ, log, made.append, who)

    yield start_it
    for one in made:
        one.close()


def refusal(start: Start, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        start(text, environ)
    return str(caught.value)


def described(listeners: list[Listener]) -> list[tuple[str, str]]:
    return [(one.bound.protocol, one.bound.name) for one in listeners]


def open_socket() -> int:
    """A listening TCP socket that somebody else made, inheritable as such are."""
    fd = socket.create_server(("127.0.0.1", 0)).detach()
    os.set_inheritable(fd, True)
    return fd


def test_any_number_each_with_its_protocol_in_the_order_written(start: Start, tmp_path: Path) -> None:
    found = start("http = 127.0.0.1:0; socket = a.sock; http = 127.0.0.1:0; uwsgi-socket = b.sock; protocol = http")
    assert [one.bound.protocol for one in found] == ["http", "http", "http", "uwsgi"]
    assert [one.bound.name for one in found][1::2] == [f"{tmp_path}/a.sock", f"{tmp_path}/b.sock"]
    assert found[0].bound.name != found[2].bound.name


def test_shared_sockets_are_counted_from_0(start: Start, tmp_path: Path, log: Log) -> None:
    found = start(
        "shared-socket = a.sock; shared-socket = b.sock; shared-socket = c.sock; http = =1; uwsgi-socket = =0"
    )
    assert described(found) == [("http", f"{tmp_path}/b.sock"), ("uwsgi", f"{tmp_path}/a.sock")]
    assert "app.ini:3: shared-socket c.sock: no socket is given as =2" in log.lines


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http = =0", "app.ini:1: =0: no such shared-socket; there is none"),
        ("shared-socket = a; http = =1", "app.ini:2: =1: no such shared-socket; there are 1, counted from 0"),
        ("shared-socket = a; http = =x", "app.ini:2: =x: no such shared-socket; there are 1, counted from 0"),
        ("http = fd://999", "app.ini:1: fd://999: descriptor 999 is no listening socket: Bad file descriptor"),
        ("http = a:x", "app.ini:1: a:x: 'x' is no port; write host:port, or a path with a slash for a unix socket"),
        ("http = a; map-socket = 1:1", "app.ini:2: map-socket: there is no socket 1; there are 1, counted from 0"),
        ("http = a; chown-socket = no-one", "app.ini:2: chown-socket no-one: no such user: no-one"),
        ("http = a; chown-socket = 0:no-one", "app.ini:2: chown-socket 0:no-one: no such group: no-one"),
    ],
)  # fmt: skip
def test_refused(start: Start, text: str, said: str) -> None:
    assert refusal(start, text) == said


def test_a_descriptor_that_is_a_file(start: Start, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert refusal(start, f"http = fd://{fd}").endswith("is no listening socket: Socket operation on non-socket")
    finally:
        os.close(fd)


def test_a_descriptor_that_takes_no_connections(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        fd = datagrams.fileno()
        assert refusal(start, f"http = fd://{fd}").endswith("is no listening socket: it takes no connections")
    one, other = socket.socketpair()
    with one, other:
        fd = os.dup(one.fileno())
        assert refusal(start, f"http = fd://{fd}").endswith("is no listening socket: Invalid argument")
        os.close(fd)


def test_a_descriptor(start: Start) -> None:
    fd = open_socket()
    (found,) = start(f"http = fd://{fd}")
    assert found.bound.fd == fd
    assert found.bound.name == "{}:{}".format(*found.socket.getsockname())
    assert not os.get_inheritable(fd)
    assert found.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.fixture
def two() -> Iterator[int]:
    """Standard error, which is as it was afterwards."""
    before = os.dup(2)
    yield 2
    os.dup2(before, 2)
    os.close(before)


def test_a_standard_descriptor_that_is_no_socket_stays_open(start: Start, two: int) -> None:
    """The error is to be written there."""
    before = os.fstat(two)
    assert refusal(start, f"http = fd://{two}").endswith("is no listening socket: Socket operation on non-socket")
    assert os.path.samestat(os.fstat(two), before)


def test_a_standard_descriptor_gets_another_number(start: Start, two: int) -> None:
    os.dup2(fd := open_socket(), two)
    os.close(fd)
    (found,) = start(f"http = fd://{two}")
    assert found.bound.fd == found.socket.fileno() > 2
    assert not os.get_inheritable(found.bound.fd)
    assert os.path.samestat(os.fstat(two), os.stat(os.devnull))
    socket.create_connection(found.socket.getsockname(), 10).close()


def test_a_bound_descriptor_is_made_to_listen(start: Start) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        fd = sock.detach()
    (found,) = start(f"http = fd://{fd}")
    socket.create_connection(found.socket.getsockname(), 10).close()


@needs_root
@pytest.mark.parametrize(
    ("text", "who", "whose"),
    [
        ("socket = a.sock", Identity(54321, 54322, ()), (54321, 54322)),
        ("socket = a.sock", Identity(None, 54322, ()), (0, 54322)),
        ("socket = a.sock", Identity(54321, None, None), (54321, 0)),
        ("socket = a.sock; chown-socket = 54323", Identity(54321, 54322, ()), (54323, 0)),
    ],
)
def test_socket_files_are_the_servers_users(
    start: Start, tmp_path: Path, text: str, who: Identity, whose: tuple[int, int]
) -> None:
    start(text, who=who)
    found = (tmp_path / "a.sock").stat()
    assert (found.st_uid, found.st_gid) == whose


def test_a_socket_that_cannot_be_the_users(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_it(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse_it)
    with pytest.raises(UsageError) as caught:
        start("socket = a.sock; uid = 54321", who=Identity(54321, None, None))
    assert str(caught.value) == "app.ini:2: a.sock: uid 54321: Operation not permitted"


# Socket activation


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> int:
    """Three sockets with numbers in a row; the first number."""
    fds = [open_socket() for _ in range(3)]
    first = 1 + max(int(fd) for fd in os.listdir("/dev/fd"))  # after all others: none is taken from its owner
    for index, fd in enumerate(fds):
        os.dup2(fd, first + index)
        os.close(fd)
    monkeypatch.setattr(inherited_sockets, "_FIRST_PASSED", first)
    return first


def activation(names: str = "", pid: int = 0) -> dict[str, str]:
    said = {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": "3", "HOME": "/"}
    return said | ({"LISTEN_FDNAMES": names} if names else {})


def test_activated_sockets_come_behind_those_written(start: Start, three: int, log: Log) -> None:
    environ = activation("http:app.socket:")
    found = start("http = a.sock", environ)
    assert [one.bound.protocol for one in found] == ["http", "http", "uwsgi", "uwsgi"]
    assert [one.bound.fd for one in found[1:]] == [three, three + 1, three + 2]
    assert environ == {"HOME": "/"}, "they are for us and for none that we start"
    assert len([line for line in log.lines if line.startswith("inherited ")]) == 3


def test_activated_sockets_alone_and_by_the_default_protocol(start: Start, three: int) -> None:
    assert [one.bound.protocol for one in start("protocol = http", activation())] == ["http"] * 3


def test_an_activated_socket_that_is_named_too(start: Start, three: int) -> None:
    found = start(f"http = fd://{three + 1}", activation())
    assert [(one.bound.protocol, one.bound.fd - three) for one in found] == [("http", 1), ("uwsgi", 0), ("uwsgi", 2)]


def test_activation_of_another_process(start: Start, log: Log) -> None:
    environ = activation(pid=1)
    assert described(start("http = a.sock", environ))[0][1].endswith("a.sock")
    assert environ == {"HOME": "/"}
    assert any("LISTEN_FDS is for process 1, which is not this one" in line for line in log.lines)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"LISTEN_FDS": "x", "LISTEN_PID": "1"}, "LISTEN_FDS: 'x' is no number"),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "-1"}, "LISTEN_PID: '-1' is no number"),
        ({"LISTEN_FDS": "1"}, "LISTEN_PID: '' is no number"),
    ],
)
def test_activation_that_makes_no_sense(start: Start, environ: dict[str, str], said: str) -> None:
    assert refusal(start, "http = a.sock", environ) == said


# Over a re-exec


def reopened(fd: int) -> int:
    """The same socket by another number, as if its Python object had ended with the program before."""
    moved = os.dup(fd)
    os.set_inheritable(moved, True)
    return moved


def test_what_is_kept_is_the_same_afterwards(start: Start, three: int, tmp_path: Path) -> None:
    before = start("http = a.sock; http = 127.0.0.1:0", activation("http:http:http"))
    said = json.loads(json.dumps(Resources(tuple(one.bound for one in before)).plain()))
    assert not any(os.get_inheritable(one.bound.fd) for one in before), "that is the business of who executes"
    for one in said:
        one["fd"] = reopened(one["fd"])
    after = [inherited_sockets.taken_over(one, ListeningOptions()) for one in Resources.read(said).listeners]
    assert [replace(one.bound, fd=0) for one in after] == [replace(one.bound, fd=0) for one in before]
    assert [one.bound.own for one in after] == [True, True, False, False, False]
    assert not any(os.get_inheritable(one.bound.fd) for one in after)
    for one in after:
        one.close()
    assert not (tmp_path / "a.sock").exists()


def test_only_our_own_sockets_refuse(start: Start, three: int) -> None:
    listeners = start("http = 127.0.0.1:0", activation())
    refuse = Refusal(listeners, Clock())
    refuse(False)
    refuse(False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(listeners[0].socket.getsockname(), 10)
    socket.create_connection(listeners[1].socket.getsockname(), 10).close()


def connected(listener: Listener) -> socket.socket:
    client = socket.socket(listener.socket.family)
    client.settimeout(10)
    client.connect(listener.socket.getsockname())
    client.sendall(b"hello")
    return client


def refused(listener: Listener) -> bool:
    """Is a new client refused? If not, it gets no answer, and is not let in either."""
    with socket.socket(listener.socket.family) as late:
        late.settimeout(0.1)
        try:
            late.connect(listener.socket.getsockname())
        except TimeoutError:
            return False
        except ConnectionRefusedError:
            return True
    raise AssertionError("it was let in")


@linux
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_what_waits_in_the_queue_is_left_to_the_workers_before_new_clients_are_refused(start: Start, host: str) -> None:
    (listener,) = start(f"http = {host}:0")
    with connected(listener) as early, connected(listener) as second:
        refuse = Refusal([listener], Clock())
        refuse(False)
        assert not refused(listener)  # its first packet is dropped, and it would send it again
        refuse(False)
        for client in (early, second):
            with listener.socket.accept()[0] as accepted:
                assert accepted.recv(5) == b"hello"
                accepted.sendall(b"bye")
            assert client.recv(5) == b"bye"
        refuse(False)
        assert refused(listener)


@pytest.mark.parametrize("text", ["http = a.sock", pytest.param("http = @greenwsgi-test-refusal", marks=linux)])
def test_a_unix_socket_refuses_at_once_and_keeps_its_queue(start: Start, text: str) -> None:
    (listener,) = start(text)
    with connected(listener) as early:
        refuse = Refusal([listener], Clock())
        refuse(False)
        refuse(False)
        assert refused(listener)
        with listener.socket.accept()[0] as accepted:
            assert accepted.recv(5) == b"hello"
            accepted.sendall(b"bye")
        assert early.recv(5) == b"bye"


@linux
def test_a_handshake_from_afar_gets_the_time_to_end(start: Start) -> None:
    (listener,) = start("http = 0.0.0.0:0")
    clock = Clock()
    refuse = Refusal([listener], clock)
    refuse(False)
    assert not refused(listener)
    clock.now += HANDSHAKE
    refuse(False)
    assert refused(listener)


def test_a_stop_at_once_leaves_nobody_waiting(start: Start) -> None:
    (listener,) = start("http = 0.0.0.0:0")
    with connected(listener) as early:
        Refusal([listener], Clock())(True)
        with pytest.raises(ConnectionResetError):
            early.recv(5)
        assert refused(listener)


def test_backlog_warning(tmp_path: Path) -> None:
    most = tmp_path / "somaxconn"
    most.write_text("128\n")
    assert backlog_warning(128, str(most)) == ""
    assert "net.core.somaxconn is 128" in backlog_warning(129, str(most))
    assert backlog_warning(129, str(tmp_path / "none")) == ""
