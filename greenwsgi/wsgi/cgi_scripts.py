"""Which CGI program a request's path means, and whether it may be run."""

from __future__ import annotations

import os
import shlex
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from greenwsgi.errors import Origin, UsageError
from greenwsgi.wsgi.cgi_variables import Script

if TYPE_CHECKING:
    from greenwsgi.options.table.cgi import CgiOptions


_DOTS = {".", ".."}


class NotServed(Exception):
    """There is nothing to run for this path."""

    def __init__(self, status: str, reason: str = "") -> None:
        super().__init__(reason or status)
        self.status = status
        """The status line of the answer."""
        self.reason = reason
        """For the log; "" logs nothing."""


@dataclass(frozen=True, slots=True)
class _Mount:
    """One value of the option `cgi`."""

    prefix: str
    """Paths that begin with it mean what is in `root`."""
    root: bytes
    """A folder of programs, or one program."""
    folder: bytes
    """`root`, or the folder of that program."""
    resolved: bytes
    """`root` without symbolic links."""


class Scripts:
    """The programs that the `cgi` options name. Raises UsageError for a path that does not exist."""

    def __init__(self, options: CgiOptions, origin: Origin) -> None:
        # The longest prefix first: it is the one that counts.
        self._mounts = sorted((_mount(text, origin) for text in options.cgi), key=lambda one: -len(one.prefix))
        self._safe = [os.path.realpath(os.fsencode(path)) for path in options.cgi_safe]
        self._index = options.cgi_index
        self._endings = tuple(map(os.fsencode, options.cgi_allowed_ext))
        self._helpers = [(os.fsencode(ending), shlex.split(command)) for ending, command in options.cgi_helper]

    def mounted(self, path: str) -> bool:
        """Whether this path belongs to CGI, even if the answer is 404."""
        return self._find(path) is not None

    def script(self, path: str, above: str = "") -> Script:
        """The program for a path that is mounted. Raises NotServed.

        above: SCRIPT_NAME so far. Over HTTP the path has no dot segment here. A gateway may send one, and it would lead
        PATH_TRANSLATED out of its folder.
        """
        mount = self._find(path)
        if mount is None or "\0" in path or _DOTS.intersection(path.split("/")):
            raise NotServed("404 Not Found")
        try:
            name, script_name, path_info = self._walk(mount, path)
            file = os.path.realpath(name)
            self._check(mount, name, file)
        except OSError as error:  # it does not exist, its name is too long, a loop of links, no permission
            raise NotServed("404 Not Found") from error
        return Script(file, self._command(name, file), above + script_name, path_info, mount.folder)

    def _find(self, path: str) -> _Mount | None:
        for mount in self._mounts:
            if path.startswith(mount.prefix) and path[len(mount.prefix) : len(mount.prefix) + 1] in ("", "/"):
                return mount
        return None

    def _walk(self, mount: _Mount, path: str) -> tuple[bytes, str, str]:
        """Follow the path to the first file. Returns its name, the path up to it, and the rest of the path."""
        name, at = mount.root, len(mount.prefix)
        while stat.S_ISDIR(os.stat(name).st_mode):
            start = at + len(path[at:]) - len(path[at:].lstrip("/"))
            if start == len(path):
                return self._in_folder(name, path[:at])
            end = path.find("/", start) % (len(path) + 1)
            name, at = os.path.join(name, path[start:end].encode("latin-1")), end
        return name, path[:at], path[at:]

    def _in_folder(self, folder: bytes, path: str) -> tuple[bytes, str, str]:
        for index in self._index:
            name = os.path.join(folder, os.fsencode(index))
            if os.path.isfile(name):
                return name, f"{path}/{index}", ""
        raise NotServed("404 Not Found" if self._index else "403 Forbidden")

    def _check(self, mount: _Mount, name: bytes, file: bytes) -> None:
        """Raise NotServed if it may not be run."""
        if not any(file == one or file.startswith(one.rstrip(b"/") + b"/") for one in (mount.resolved, *self._safe)):
            raise NotServed("403 Forbidden", f"{_text(name)} leads out of its folder, to {_text(file)} (cgi-safe)")
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise NotServed("403 Forbidden", f"{_text(name)} is not a regular file")
        if self._endings and not name.endswith(self._endings):
            raise NotServed("403 Forbidden", f"{_text(name)} does not end as cgi-allowed-ext says")
        if not os.access(file, os.R_OK if self._helper(name) else os.X_OK):
            raise NotServed("403 Forbidden", f"{_text(name)} is not executable, and has no cgi-helper")

    def _helper(self, name: bytes) -> list[str]:
        return next((command for ending, command in self._helpers if name.endswith(ending)), [])

    def _command(self, name: bytes, file: bytes) -> tuple[bytes, ...]:
        return (*map(os.fsencode, self._helper(name)), file)


def _mount(text: str, origin: Origin) -> _Mount:
    """`/cgi-bin=/srv/cgi`, or `/srv/cgi` for every path."""
    prefix, equals, root = text.partition("=") if text.startswith("/") else ("", "", text)
    if not equals:
        prefix, root = "", text
    name = os.path.abspath(os.fsencode(root))
    if not os.path.exists(name):
        raise UsageError(f"cgi {text}: there is no {_text(name)}", origin)
    folder = name if os.path.isdir(name) else os.path.dirname(name)
    return _Mount(prefix.rstrip("/"), name, folder, os.path.realpath(name))


def _text(name: bytes) -> str:
    return os.fsdecode(name)
