"""What `greenwsgi doctor --nginx` looks at: does nginx wait as long and take as much as we do?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from greenwsgi.config.settings import Settings
from greenwsgi.subcommands import nginx_parser
from greenwsgi.subcommands.doctor_checks import Finding
from greenwsgi.subcommands.nginx_parser import Directive

_READ_TIMEOUTS = ("uwsgi_read_timeout", "proxy_read_timeout", "fastcgi_read_timeout", "scgi_read_timeout")
_PASSES = ("uwsgi_pass", "proxy_pass", "fastcgi_pass", "scgi_pass")
_DEFAULT_TIMEOUT = 60.0
_DEFAULT_BODY = 1 << 20


def against(settings: Settings, text: str, file: str) -> Iterator[Finding]:
    """The findings; files that it includes are not looked at. Raises UsageError for what nginx would not read."""
    directives = list(nginx_parser.read(text, file))
    if not any(one.name in _PASSES for one in directives):
        yield Finding(
            f"{file}: nothing in it is passed on ({', '.join(_PASSES)})", "name the file that has the location"
        )
        return
    yield from _timeouts(settings, directives)
    yield from _bodies(settings, directives)
    yield from _heads(settings, directives)
    yield from _kept(settings, directives)


def _timeouts(settings: Settings, directives: list[Directive]) -> Iterator[Finding]:
    limits = settings.limits
    longest = max([limits.harakiri, *(seconds for _, seconds in limits.harakiri_for)])
    if not limits.harakiri:
        return
    said = [(one, _seconds(one)) for one in directives if one.name in _READ_TIMEOUTS]
    used = [one.name.removesuffix("_pass") for one in directives if one.name in _PASSES]
    for name in dict.fromkeys(f"{prefix}_read_timeout" for prefix in used):
        mine = [(one, seconds) for one, seconds in said if one.name == name and seconds is not None]
        shortest, where = min(
            ((seconds, str(one.origin)) for one, seconds in mine), default=(_DEFAULT_TIMEOUT, "default")
        )
        if shortest <= longest:
            yield Finding(
                f"{where}: {name} {shortest:g} s is not longer than harakiri {longest:g}: nginx answers 504 first, and"
                " the request runs on",
                f"{name} {longest + 5:g}s; in nginx",
            )
        else:
            yield Finding(f"{where}: {name} {shortest:g} s is longer than harakiri {longest:g}")


def _bodies(settings: Settings, directives: list[Directive]) -> Iterator[Finding]:
    ours = settings.limits.limit_post
    sizes = [(size, str(one.origin)) for one, size in _sizes(directives, "client_max_body_size", 0)]
    theirs, where = max(sizes, key=lambda one: one[0] or 1 << 62, default=(_DEFAULT_BODY, "default"))
    if ours and (not theirs or theirs > ours):
        told = theirs or "no limit"
        yield Finding(
            f"{where}: client_max_body_size {told} is more than limit-post {ours}: nginx takes uploads that are refused"
            " here",
            f"client_max_body_size {ours}; in nginx",
        )
    elif theirs == _DEFAULT_BODY and where == "default":
        yield Finding(
            "nginx refuses bodies above 1 MB (client_max_body_size is not set)",
            "client_max_body_size 64m; in nginx, or what your uploads need",
        )
    else:
        yield Finding(f"{where}: client_max_body_size {theirs or 'unlimited'} fits limit-post {ours or 'unlimited'}")


def _heads(settings: Settings, directives: list[Directive]) -> Iterator[Finding]:
    ours = settings.limits.buffer_size
    theirs, where = 4 * 8192, "default"
    for one, size in _sizes(directives, "large_client_header_buffers", 1):
        with suppress(ValueError):
            theirs, where = int(one.arguments[0]) * size, str(one.origin)
    if theirs > ours:
        yield Finding(
            f"{where}: nginx takes request heads of {theirs} bytes, but buffer-size is {ours}: the longest get 431",
            f"buffer-size = {theirs}",
        )
    else:
        yield Finding(f"{where}: nginx's longest request head, {theirs} bytes, fits buffer-size {ours}")


def _kept(settings: Settings, directives: list[Directive]) -> Iterator[Finding]:
    ours = settings.limits.keepalive_timeout
    if not any(one.name == "keepalive" and "upstream" in one.inside for one in directives):
        return
    found = [one for one in directives if one.name == "keepalive_timeout" and "upstream" in one.inside]
    theirs, where = min(
        ((seconds, str(one.origin)) for one in found if (seconds := _seconds(one)) is not None),
        default=(_DEFAULT_TIMEOUT, "default"),
    )
    if theirs >= ours:
        yield Finding(
            f"{where}: nginx keeps connections to us {theirs:g} s, not less than keepalive-timeout {ours:g}: some"
            " requests meet a connection that we close",
            f"keepalive-timeout = {theirs + 15:g}",
        )
    else:
        yield Finding(f"{where}: nginx closes kept connections after {theirs:g} s, before we do ({ours:g} s)")


def _seconds(one: Directive) -> float | None:
    try:
        return nginx_parser.seconds(one.arguments[0])
    except (ValueError, IndexError):  # a variable: its value is not known
        return None


def _sizes(directives: list[Directive], name: str, place: int) -> Iterator[tuple[Directive, int]]:
    for one in directives:
        if one.name == name and len(one.arguments) > place:
            with suppress(ValueError):
                yield one, nginx_parser.size(one.arguments[place])
