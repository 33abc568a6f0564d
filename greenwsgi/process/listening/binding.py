"""One listening socket: bound at a place, told what the options say, and closed again."""

from __future__ import annotations

import array
import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from greenwsgi.errors import UsageError
from greenwsgi.options.listen_addresses import Abstract, Tcp, Unix
from greenwsgi.options.table.listening import ListeningOptions
from greenwsgi.options.value_types import Address
from greenwsgi.process.lifecycle.user_identity import Owner
from greenwsgi.shared import safe_paths
from greenwsgi.shared.resources import BoundListener
from greenwsgi.shared.safe_paths import Spot

_IP_FREEBIND = 15
_SIOCGIFADDR = 0x8915
_ATTACH_FILTER = 26
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load the flags, byte 13 of the TCP header
    (0x45, 0, 1, 0x02),  # SYN: the next instruction, else the one after it
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # accept
)
"""A classic BPF program; each instruction is code, jump if true, jump if false, argument (struct sock_filter)."""
TAKEN = "another process listens there"
_LONGEST_PATH = 107 if sys.platform == "linux" else 103
"""Bytes of a unix socket's path that a client can connect to: sun_path, without the NUL at its end."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket of the master, with what is passed on about it."""

    socket: socket.socket
    bound: BoundListener

    def quiet(self) -> None:
        """Let no new connection begin, if the socket is ours, whatever else holds it. What waits can still be accepted.

        A TCP listener drops the first packet of a handshake, which clients send again after a second; those that are
        under way are completed. A unix socket refuses at once.
        """
        if not self.bound.own:
            return
        with suppress(OSError):  # a system that cannot do that
            if self.socket.family == socket.AF_UNIX:
                self.socket.shutdown(socket.SHUT_RD)
            elif sys.platform == "linux":
                _drop_syn(self.socket)

    def refuse(self) -> None:
        """Have the kernel refuse new connections, even if other processes hold the socket; only if it is ours.

        The queue of a TCP listener is reset. While the server stops no process would accept new ones: their clients
        would wait for its end, and then be reset.
        """
        if self.bound.own:
            with suppress(OSError):  # it is refusing already; a system that cannot do that
                self.socket.shutdown(socket.SHUT_RDWR)

    def close(self, *, vacuum: bool = True) -> None:
        """Stop listening and, under vacuum, remove a unix socket's file if it is still ours."""
        self.socket.close()
        if vacuum and self.bound.file:
            safe_paths.remove(self.bound.name, self.bound.file)


def bind(
    address: Address, place: Tcp | Unix | Abstract, options: ListeningOptions, owner: Owner | None = None
) -> Listener:
    """Bind and listen. owner: the owner for socket files. Raises UsageError if the place cannot be had."""
    try:
        if isinstance(place, Unix):
            return _bind_unix(address, place.path, options, owner)
        listening, name = _bind_tcp(place, options) if isinstance(place, Tcp) else _bind_abstract(place, options)
    except UsageError as error:
        raise UsageError(f"{address.text}: {error.text}", error.origin or address.origin) from None
    except OSError as error:
        why = TAKEN if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise UsageError(f"{address.text}: {why}", address.origin) from None
    return Listener(listening, BoundListener(listening.fileno(), address.protocol, name, address.text))


def name_of(listening: socket.socket) -> str:
    """What people call a socket: `127.0.0.1:8000`, `[::1]:8000`, `/run/app.sock`, `@app`."""
    address = listening.getsockname()
    if isinstance(address, tuple):
        return f"[{address[0]}]:{address[1]}" if listening.family == socket.AF_INET6 else f"{address[0]}:{address[1]}"
    if isinstance(address, bytes):
        return "@" + os.fsdecode(address[1:]) if address[:1] == b"\0" else os.fsdecode(address)
    return address or "a socket without a name"


def tune(listening: socket.socket, options: ListeningOptions) -> None:
    """Set what connections inherit from their listener. Raises UsageError for what this system does not have."""
    if options.so_sndbuf:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.so_sndbuf)
    if options.so_rcvbuf:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.so_rcvbuf)
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # Without it the second small send of an answer waits 40 ms for the first one's acknowledgement (Nagle), and setting
    # it on each connection would be a system call more.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, options.tcp_nodelay)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, options.so_keepalive)
    if options.defer_accept:
        _only_linux("defer-accept")
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, max(1, round(options.defer_accept)))
    if options.tcp_fast_open:
        _only_linux("tcp-fast-open")
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, options.tcp_fast_open)


def _drop_syn(listening: socket.socket) -> None:
    code = array.array("B", b"".join(struct.pack("@HBBI", *one) for one in _DROP_SYN))
    address, _ = code.buffer_info()
    listening.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(_DROP_SYN), address))


# TCP


def _bind_tcp(place: Tcp, options: ListeningOptions) -> tuple[socket.socket, str]:
    host = _interface(place.host) if place.host.endswith("*") else place.host
    family, address = _resolve(host, place.port)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if options.freebind:
            _only_linux("freebind")
            listening.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        tune(listening, options)
        listening.bind(address)
        listening.listen(options.listen)
    except (OSError, UsageError):
        listening.close()
        raise
    shown = f"[{host}]" if ":" in host else host or "0.0.0.0"
    return listening, f"{shown}:{listening.getsockname()[1]}"


def _resolve(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    """A name with several addresses means its first, IPv4 before IPv6."""
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"no address for host {host!r}: {error.args[-1]}") from None
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address


def _interface(pattern: str) -> str:
    """The first interface's IPv4 address that begins like the pattern, which ends in `*`."""
    import fcntl  # here, since few need it

    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", os.fsencode(name)[:15]))
            except OSError:  # it has no address
                continue
            found.append(socket.inet_ntoa(answer[20:24]))
    for address in found:
        if address.startswith(pattern[:-1]):
            return address
    raise UsageError(f"no interface has such an address; there are {', '.join(found) or 'none'}")


def _only_linux(option: str) -> None:
    if sys.platform != "linux":
        raise UsageError(f"{option} needs Linux")


# Unix


def _bind_unix(address: Address, path: str, options: ListeningOptions, owner: Owner | None) -> Listener:
    absolute = os.path.abspath(path)  # it is removed at the end, wherever the master is by then

    def listen(listening: socket.socket) -> None:
        tune(listening, options)
        listening.listen(options.listen)

    try:
        if os.geteuid() != 0 and owner is None and options.chmod_socket is None:
            listening, file = _bind_plain(path, listen)
        else:
            listening, file = make_socket(path, options.chmod_socket, owner, listen)
    except FileExistsError as error:
        raise UsageError(str(error.strerror)) from None
    return Listener(listening, BoundListener(listening.fileno(), address.protocol, absolute, address.text, file=file))


def _bind_plain(path: str, listen: Callable[[socket.socket], object]) -> tuple[socket.socket, tuple[int, int]]:
    """For a server that is not root, when neither mode nor owner is set: nothing is done by the path after bind."""
    with safe_paths.at(path) as spot:
        clear(spot)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        file = None
        try:
            listening.bind(path)
            file = _file_at(spot)
            listen(listening)
        except BaseException:
            listening.close()
            spot.remove(file)
            raise
        return listening, file


def make_socket(
    path: str,
    mode: int | None,
    owner: Owner | None,
    listen: Callable[[socket.socket], object],
    *,
    dead_links: bool = False,
) -> tuple[socket.socket, tuple[int, int]]:
    """Make a listening unix socket, and tell its file's device and inode.

    It is bound in a folder of its own and gets mode and owner there, since other users may replace whatever stands at
    the path; when it listens it gets its name. mode: None leaves that to the umask. dead_links: replace a symbolic link
    that leads nowhere.

    Raises OSError, EADDRINUSE if somebody listens there, FileExistsError for a file of another kind; UsageError for an
    owner that may not be given.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:  # clients could not connect to it
        raise OSError(errno.ENAMETOOLONG, "AF_UNIX path too long")
    with safe_paths.at(path) as spot:
        clear(spot, dead_links=dead_links)
        with safe_paths.aside(spot) as made:
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                in_folder(made, listening.bind)
                _give(made, mode, owner)
                listen(listening)
                file = _file_at(made)
                safe_paths.put(made, spot)
            except FileExistsError:
                listening.close()
                raise OSError(errno.EADDRINUSE, "somebody made a file of that name meanwhile") from None
            except BaseException:
                listening.close()
                raise
    return listening, file


def _give(made: Spot, mode: int | None, owner: Owner | None) -> None:
    if mode is not None:
        os.chmod(made.name, mode, dir_fd=made.folder)
    if owner is not None:
        try:
            os.chown(made.name, owner.uid, owner.gid, dir_fd=made.folder, follow_symlinks=False)
        except PermissionError as error:
            raise UsageError(f"{owner.said}: {error.strerror}", owner.origin) from None


def _file_at(spot: Spot) -> tuple[int, int]:
    return safe_paths.file_id(os.lstat(spot.name, dir_fd=spot.folder))


def in_folder(spot: Spot, act: Callable[[str], None]) -> None:
    """Bind or connect by the name alone, in its folder: those calls know no descriptors of folders.

    The kernel keeps the name that a socket is bound by: `ss` and `lsof` show the bare one.
    """
    try:
        here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    except OSError:  # we may not enter where we are, and so could not come back
        act(f"/proc/self/fd/{spot.folder}/{spot.name}")
        return
    try:
        os.fchdir(spot.folder)
        try:
            act(spot.name)
        finally:
            os.fchdir(here)
    finally:
        os.close(here)


def clear(spot: Spot, *, dead_links: bool = False) -> None:
    """Remove the socket that a dead server left there.

    Raises OSError: EADDRINUSE for one that answers, FileExistsError for a file of another kind, which stays.
    """
    there = spot.look()
    if there is None:
        return
    try:
        with safe_paths.at(spot.path, follow=True) as target:
            if not _is_dead(target):
                raise OSError(errno.EADDRINUSE, TAKEN)
    except FileNotFoundError:
        if stat.S_ISLNK(there.st_mode) and not dead_links:
            raise FileExistsError(errno.EEXIST, "there is a symbolic link of that name, which leads nowhere") from None
    spot.remove(safe_paths.file_id(there))


def _is_dead(spot: Spot) -> bool:
    """Is it a socket without a listener? Raises FileExistsError for a file of another kind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            connect(probe, spot)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError as error:
            return error.errno == errno.ECONNREFUSED
        return False


def connect(sock: socket.socket, spot: Spot) -> os.stat_result:
    """Connect to the socket of that name and to no other that takes its place meanwhile; what it looks like.

    Raises OSError, FileExistsError for a file of another kind.
    """
    pinned = spot.open(os.O_PATH) if sys.platform == "linux" and os.path.isdir("/proc/self/fd") else -1
    try:
        found = os.fstat(pinned) if pinned >= 0 else os.lstat(spot.name, dir_fd=spot.folder)
        if not stat.S_ISSOCK(found.st_mode):
            kind = safe_paths.kind(found.st_mode)
            raise FileExistsError(errno.EEXIST, f"there is {kind} of that name, and it is no socket")
        if pinned >= 0:
            sock.connect(f"/proc/self/fd/{pinned}")
        else:
            in_folder(spot, sock.connect)
        return found
    finally:
        if pinned >= 0:
            os.close(pinned)


def _bind_abstract(place: Abstract, options: ListeningOptions) -> tuple[socket.socket, str]:
    """Without the NUL that uWSGI appends to the name, so that clients which write it as it is find it."""
    _only_linux("an abstract socket")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        tune(listening, options)
        listening.bind(b"\0" + os.fsencode(place.name))
        listening.listen(options.listen)
    except (OSError, UsageError):
        listening.close()
        raise
    return listening, f"@{place.name}"


_TCP_INFO = struct.Struct("@8B5I")


def waiting(fd: int) -> int:
    """How many connections wait to be accepted on a TCP listener; 0 where the system does not tell (only Linux does).

    Of a listening socket tcpi_unacked, the thirteenth value of struct tcp_info, is the length of its queue.
    """
    with socket.socket(fileno=os.dup(fd)) as sock:
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        except (OSError, AttributeError):  # a unix socket, another system
            return 0
    return int(_TCP_INFO.unpack(info)[12]) if len(info) == _TCP_INFO.size else 0
