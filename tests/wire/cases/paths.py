"""Targets over HTTP: (target, PATH_INFO with uWSGI 2.0.31, PATH_INFO with ours or the refusal's status, remark).

docs/paths.md shows the same table, a test compares them. REQUEST_URI is the target as it came, QUERY_STRING what
follows the first `?`, SCRIPT_NAME empty, unless the remark says otherwise.
"""

from __future__ import annotations

PATHS: list[tuple[str, str, str | int, str]] = [
    ("/", "/", "/", ""),
    ("/a%20b", "/a b", "/a b", "percent-decoded once"),
    ("/a%2Fb", "/a/b", "/a/b", "`%2F` is a slash to the application; REQUEST_URI tells them apart"),
    ("/%252e%252e/a", "/%2e%2e/a", "/%2e%2e/a", "once, not twice"),
    ("/a+b", "/a+b", "/a+b", "`+` is a space in queries only"),
    ("/a//b", "/a//b", "/a//b", "empty segments stay"),
    ("//a", "//a", "//a", "a path, not a host"),
    ("/a%2F%2Fb", "/a//b", "/a//b", ""),
    ("/a/./b", "/a/b", "/a/b", "dot segments are resolved"),
    ("/a/../b", "/b", "/b", ""),
    ("/a/b/../../../c", "/c", "/c", "never above the root"),
    ("/../../etc/passwd", "/etc/passwd", "/etc/passwd", ""),
    ("/a//../b", "/a/b", "/a/b", "`..` takes one segment, also an empty one"),
    ("/a/..", "/", "/", ""),
    ("/..", "", "/", "never empty"),
    ("/a/.", "/a/", "/a/", ""),
    ("/a/b/..", "/a/", "/a/", ""),
    ("/a/...", "/a/...", "/a/...", ""),
    ("/.hidden", "/.hidden", "/.hidden", ""),
    ("/a/..b", "/a/..b", "/a/..b", ""),
    ("/a/..;/b", "/a/..;/b", "/a/..;/b", ""),
    ("/%2e%2e/a", "/../a", "/a", "resolved after decoding: no spelling of `..` reaches the application"),
    ("/a/%2e%2e/b", "/a/../b", "/b", "the same"),
    ("/a/%2e/b", "/a/./b", "/a/b", "the same"),
    ("/..%2f..%2fetc/passwd", "/../../etc/passwd", "/etc/passwd", "the same (CVE-2018-7490)"),
    ("/a%2f%2e%2e%2fb", "/a/../b", "/b", "the same"),
    ("/caf%C3%A9", "/caf\xc3\xa9", "/caf\xc3\xa9", "UTF-8 as latin-1, as PEP 3333 wants it"),
    ("/caf\xc3\xa9", "/caf\xc3\xa9", "/caf\xc3\xa9", "raw bytes above 127 are let through"),
    ("/a%ff", "/a\xff", "/a\xff", "need not be UTF-8"),
    ("/%C3%28", "/\xc3(", "/\xc3(", "need not be UTF-8"),
    ("/a%0ab", "/a\nb", "/a\nb", "beware of it in headers and logs"),
    ("/a%3Fb?c=%41", "/a?b", "/a?b", "QUERY_STRING is `c=%41`, never decoded"),
    ("/a?b?c", "/a", "/a", "QUERY_STRING is `b?c`"),
    ("/a?", "/a", "/a", ""),
    ("/a;x=1/b", "/a;x=1/b", "/a;x=1/b", ""),
    ("/a\\b", "/a\\b", "/a\\b", ""),
    ("/a%00b", "/a\0b", 400, "no NUL"),
    ("/a%", "/a", 400, "a broken escape, refused as nginx does"),
    ("/a%2", "/a", 400, "the same"),
    ("/a%zz", "/a\0", 400, "the same; uWSGI makes a NUL of it"),
    ("/a#f", "/a", 400, "fragments are never sent (RFC 9112 3.2.1)"),
    ("/a?b#f", "/a", 400, "the same"),
    ("a/b", "a/b", 400, "no form of a target"),
    ("http://h/p/q?x=1", "http://h/p/q", "/p/q", "REQUEST_URI is `/p/q?x=1`, HTTP_HOST `h`"),
    ("http://h", "http://h", "/", "REQUEST_URI is `/`, HTTP_HOST `h`"),
    ("http://h?x", "http://h", "/", "REQUEST_URI is `/?x`, HTTP_HOST `h`"),
]


def as_markdown() -> str:
    """The table of docs/paths.md."""

    def code(text: str | int) -> str:
        if isinstance(text, int):
            return f"refused, {text}"
        return "`" + text.encode("unicode_escape").decode().replace("\\\\", "\\") + "`" if text else "empty"

    rows = [f"| {code(target)} | {code(theirs)} | {code(ours)} | {remark} |" for target, theirs, ours, remark in PATHS]
    return "\n".join(["| target | PATH_INFO, uWSGI | PATH_INFO, greenwsgi | |", "|---|---|---|---|", *rows]) + "\n"
