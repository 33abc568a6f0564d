"""Every form of address with a real server on it, and the sockets that others open for it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.live.client import PATIENCE, Answer, free_port, http_request, read_answer, uwsgi_packet
from tests.live.holders import Held
from tests.live.server import HELLO, Server
from tests.live.test_mistakes import check, run

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away and become somebody else")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")

WHO = """
import os

def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{os.environ.get('LISTEN_FDS')} {environ['SERVER_PORT']} {os.getpid()}".encode()]
"""

LAUNCHER = """
import os, sys
count, names, *command = sys.argv[1:]
for index, fd in enumerate(map(int, os.environ.pop("SOCKETS").split(","))):
    os.dup2(fd, 3 + index)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = count
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execv(sys.executable, [sys.executable, "-m", "greenwsgi", *command])
"""
"""Does what systemd does for a unit with a .socket: the sockets are 3, 4, ..., then exec."""


def uwsgi_by(sock: socket.socket) -> Answer:
    with sock:
        sock.sendall(uwsgi_packet("/"))
        return read_answer(sock)


def http_by(sock: socket.socket) -> Answer:
    with sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return read_answer(sock)


def unix(address: str | Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(str(address))
    return sock


def tcp(port: int, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, port), PATIENCE)


def test_many_sockets_at_once() -> None:
    """Each form, each with its own protocol; what is chosen by the system is in the log."""
    any_port = free_port()
    options = [
        *("--http-socket", f":{any_port}"),
        *("--http-socket", "localhost:0"),
        *("--http-socket", "127.0.*:0"),
        *("--socket", "rel.sock"),
        *("--http-socket", "./http.sock"),
        *("--shared-socket", "unused.sock", "--shared-socket", "shared.sock", "--uwsgi-socket", "=1"),
    ]
    name = f"greenwsgi-live-{os.getpid()}"
    if sys.platform == "linux":
        options += ["--socket", f"@{name}"]
    with Server(*options, http=False) as server:
        ports = re.findall(r"http://127\.0\.0\.1:(\d+)|http://localhost:(\d+)", server.log)
        assert len(ports) == 2
        for port in [any_port, *(int(one or other) for one, other in ports)]:
            assert http_request(port, "GET", "/").body == b"hello"
        assert http_by(unix(server.folder / "http.sock")).body == b"hello"
        assert uwsgi_by(unix(server.folder / "rel.sock")).body == b"hello"
        assert uwsgi_by(unix(server.folder / "shared.sock")).body == b"hello"
        assert not (server.folder / "unused.sock").exists()
        if sys.platform == "linux":
            assert uwsgi_by(unix(f"\0{name}")).body == b"hello"


def test_ipv6() -> None:
    port = free_port()
    try:
        socket.create_server(("::1", port), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with Server("--http-socket", f"[::1]:{port}", http=False):
        assert http_by(tcp(port, "::1")).body == b"hello"


def test_protocol_is_for_plain_sockets() -> None:
    with Server("--socket", "a.sock", "--socket-protocol", "http", http=False) as server:
        assert http_by(unix(server.folder / "a.sock")).body == b"hello"


def test_a_stale_socket_is_replaced_and_files_have_their_mode() -> None:
    with Server("--socket", "a.sock", "--chmod-socket=600", "--umask", "027", http=False) as server:
        assert stat.S_IMODE((server.folder / "a.sock").stat().st_mode) == 0o600
        server.kill()  # at once, so that the file stays
        assert (server.folder / "a.sock").is_socket()
        with Server("--socket", str(server.folder / "a.sock"), "--chmod-socket", http=False):
            assert stat.S_IMODE((server.folder / "a.sock").stat().st_mode) == 0o666
            assert uwsgi_by(unix(server.folder / "a.sock")).body == b"hello"


def test_umask_is_everybodys() -> None:
    app = "import os\nopen('made', 'w').close()\n" + HELLO
    with Server("--umask", "027", "--socket", "a.sock", "--pidfile", "x.pid", app=app, http=False) as server:
        for name, mode in {"made": 0o640, "a.sock": 0o750, "x.pid": 0o640}.items():
            assert stat.S_IMODE((server.folder / name).stat().st_mode) == mode, name


def test_without_vacuum_files_stay(tmp_path: Path) -> None:
    sock, pidfile = tmp_path / "a.sock", tmp_path / "x.pid"
    with Server("--socket", str(sock), "--pidfile", str(pidfile), "--vacuum=false", http=False) as server:
        pid = server.pid
    assert sock.is_socket()
    assert pidfile.read_text() == f"{pid}\n"


@needs_root
@pytest.mark.parametrize("drops", [False, True], ids=["root", "uid"])
def test_chown(drops: bool) -> None:
    """What only root may do is done before root's rights are dropped."""
    nobody = 65534
    if drops:
        try:
            subprocess.run([sys.executable, "-c", ""], user=nobody, timeout=PATIENCE, check=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this Python lies where only root may look")
    server = Server("--socket", "a.sock", "--chown-socket=54321:54322", http=False)
    if drops:
        server.command += ["--uid", str(nobody)]
        server.folder.chmod(0o777)
    with server:
        found = (server.folder / "a.sock").stat()
        assert (found.st_uid, found.st_gid) == (54321, 54322)
        assert drops or uwsgi_by(unix(server.folder / "a.sock")).body == b"hello"


def test_a_reload_keeps_every_socket() -> None:
    with Server("--socket", "a.sock", "--http-socket", "127.0.0.1:0", http=False) as server:
        port = int(re.findall(r"http://127\.0\.0\.1:(\d+)", server.log)[0])
        before = (server.folder / "a.sock").stat().st_ino
        server.signal(1)
        server.wait_for(r"generation 2 serves")
        assert (server.folder / "a.sock").stat().st_ino == before
        assert uwsgi_by(unix(server.folder / "a.sock")).body == b"hello"
        assert http_by(tcp(port)).body == b"hello"


def test_map_socket() -> None:
    """Each socket is served by the workers that it is mapped to, and by no other."""
    sockets = ("--http-socket", "127.0.0.1:0") * 2
    options = ("--processes", "3", "--map-socket", "0:1", "--map-socket", "1:2,3", *sockets)
    with Server(*options, app=WHO, http=False) as server:
        first, second = (int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", server.log))
        served = [{http_by(tcp(port)).text.split()[2] for _ in range(40)} for port in (first, second)]
        assert len(served[0]) == 1
        assert not served[0] & served[1]


def test_map_socket_counts_no_address_of_the_http_router() -> None:
    """Whose requests go to socket 0."""
    ports = [free_port() for _ in range(3)]
    sockets = [f"--{name}=127.0.0.1:{port}" for name, port in zip(("http", *["http-socket"] * 2), ports, strict=True)]
    with Server("--processes=2", "--map-socket=0:1", "--map-socket=1:2", *sockets, app=WHO, http=False):
        router, first, second = ({http_by(tcp(port)).text.split()[2] for _ in range(20)} for port in ports)
        assert len(first) == len(second) == 1
        assert router == first != second


def test_map_socket_and_overload() -> None:
    """A worker that does not serve a socket has no room for its connections: they are queued, and shed."""
    app = """
import gevent

def app(environ, start_response):
    start_response("200 OK", [])
    yield b"waiting"
    gevent.sleep(600)
"""
    sockets = ("--http-socket", "127.0.0.1:0") * 2
    options = ("--processes", "3", "--map-socket", "0:1,2", "--map-socket", "1:3", *sockets)
    with Server(*options, "--async", "1", "--queue-timeout", "1", app=app, http=False) as server:
        first, _ = (int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)", server.log))
        with Held(first, "/", 2) as held:
            held.wait_for(b"waiting")
            assert http_by(tcp(first)).status == 503
        server.stop(signal.SIGQUIT)


def test_reuse_port_lets_a_second_server_in() -> None:
    with (
        Server("--reuse-port") as old,
        Server("--reuse-port", "--http-socket", f"127.0.0.1:{old.http_port}", http=False),
    ):
        old.stop()
        for _ in range(20):
            assert http_by(tcp(old.http_port)).body == b"hello"


# Sockets that others have opened


@contextlib.contextmanager
def launched(listeners: list[socket.socket], names: str, *options: str, app: str = WHO) -> Iterator[Server]:
    """A server that was started as systemd starts one."""
    fds = []
    for one in listeners:
        fds.append(os.dup(one.fileno()))
        os.set_inheritable(fds[-1], True)
    server = Server(
        str(len(fds)),
        names,
        *options,
        app=app,
        http=False,
        command=(sys.executable, "-c", LAUNCHER),
        env={"SOCKETS": ",".join(map(str, fds))},
        passed=fds,
    )
    try:
        with server:
            yield server
    finally:
        for fd in fds:
            os.close(fd)


def test_socket_activation(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        socket.create_server(str(path), family=socket.AF_UNIX) as plain,
        closing(socket.socket()),
        launched([web, plain], "http:app.socket", "--http-socket", "own.sock") as server,
    ):
        port = web.getsockname()[1]
        answer = http_by(tcp(port))
        assert answer.text.split()[:2] == ["None", str(port)], "the variables are not for the application"
        assert uwsgi_by(unix(path)).status == 200
        assert http_by(unix(server.folder / "own.sock")).status == 200
        assert f"inherited http://127.0.0.1:{port}" in server.log
        server.signal(1)
        server.wait_for(r"generation 2 serves")
        assert http_by(tcp(port)).status == 200
        server.stop()
        with tcp(port) as early:  # they wait for the next server that systemd starts
            accepted, address = web.accept()
            accepted.close()
            assert address == early.getsockname()
    assert path.is_socket(), "it is systemd's"


def test_socket_activation_alone() -> None:
    """With no address given there is no default one beside it; connections that came before the start are served."""
    with socket.create_server(("127.0.0.1", 0)) as web:
        early = tcp(web.getsockname()[1])
        with launched([web], "", "--protocol", "http") as server:
            assert http_by(early).status == 200
            assert "127.0.0.1:8000" not in server.log


def test_a_descriptor() -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:
        fd = web.fileno()
        with Server("--http-socket", f"fd://{fd}", http=False, passed=[fd]):
            assert http_by(tcp(web.getsockname()[1])).body == b"hello"


def test_standard_input() -> None:
    """inetd's way; programs that the application starts do not get the socket."""
    app = "import os\n" + HELLO.replace('b"hello"', 'os.readlink("/proc/self/fd/0")[-5:].encode()')
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        Server("--protocol", "http", app=app, http=False, stdin=web.fileno()) as server,
    ):
        found = http_by(tcp(web.getsockname()[1])).body
        assert found == b"/null" or sys.platform != "linux"
        assert "inherited http://127.0.0.1:" in server.log


def test_standard_input_is_only_taken_when_no_address_is_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as web, Server(stdin=web.fileno()) as server:
        assert server.get("/").body == b"hello"
        assert "inherited" not in server.log


# Mistakes: one line, where it was written, and the end


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("chmod-socket = 888", r"x\.ini:4: chmod-socket: found '888', wanted an octal mode"),
        ("chown-socket = no-one-has-this", r"x\.ini:4: chown-socket no-one-has-this: no such user"),
        ("chown-socket = a:b:c", r"x\.ini:4: chown-socket: found 'a:b:c', wanted user, user:group or :group"),
        ("umask = 9", r"x\.ini:4: umask: found '9', wanted an octal mask"),
        ("map-socket = 0:1,2", r"x\.ini:4: map-socket: there is no worker 2; there are 1"),
        ("map-socket = 7:1", r"x\.ini:4: map-socket: there is no socket 7"),
        ("map-socket = all", r"x\.ini:4: map-socket: found 'all'"),
        ("socket = fd://77", r"x\.ini:4: fd://77: descriptor 77 is no listening socket"),
        ("socket = =3", r"x\.ini:4: =3: no such shared-socket"),
        ("socket = a.sock", r"x\.ini:4: a\.sock: this address is given twice"),
        ("socket = ::1:80", r"x\.ini:4: ::1:80: an IPv6 address needs brackets"),
        ("http = 203.0.113.*:80", r"x\.ini:4: 203\.0\.113\.\*:80: no interface has such an address"),
    ],
)
def test_mistake(line: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HELLO)
    (tmp_path / "x.ini").write_text(f"[uwsgi]\nwsgi-file = app.py\nsocket = a.sock\n{line}\n")
    check(run(["--ini", "x.ini"], tmp_path), expected)
    assert not (tmp_path / "a.sock").exists()
