"""File answers: the kernel sends them, as the file object stands; what is no plain file is read."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenwsgi.wsgi.file_wrapper import FileWrapper
from tests.serve.conftest import Make
from tests.serve.site import read_all, read_answer, read_head

CONTENT = bytes(range(256)) * 4000
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


def serving(open_it: Callable[[], Any], headers: tuple[tuple[str, str], ...] = ()) -> Any:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", list(headers))
        return environ["wsgi.file_wrapper"](open_it())

    return application


def test_a_file_is_sent_whole_with_its_length_and_the_connection_kept(make: Make, path: Path) -> None:
    site = make(serving(lambda: path.open("rb")))
    with site.connect(GET) as client:
        for _ in range(2):
            head, body = read_answer(client)
            assert f"Content-Length: {len(CONTENT)}\r\n".encode() in head
            assert body == CONTENT
            client.sendall(GET)


def test_it_begins_where_the_file_object_stands(make: Make, path: Path) -> None:
    def half() -> Any:
        file = path.open("rb")
        file.read(10)
        file.seek(len(CONTENT) // 2)
        return file

    with make(serving(half)).connect(GET) as client:
        assert read_answer(client)[1] == CONTENT[len(CONTENT) // 2 :]


def test_no_more_than_the_declared_length(make: Make, path: Path) -> None:
    with make(serving(lambda: path.open("rb"), (("Content-Length", "1000"),))).connect(GET) as client:
        assert read_answer(client)[1] == CONTENT[:1000]


def test_a_file_that_is_too_short_closes_the_connection(make: Make, path: Path) -> None:
    site = make(serving(lambda: path.open("rb"), (("Content-Length", str(len(CONTENT) + 1)),)))
    with site.connect(GET) as client:
        assert read_all(client).endswith(b"\r\n\r\n" + CONTENT)
    assert f"ended after {len(CONTENT)} bytes" in site.log


def test_head_has_the_length_and_no_body(make: Make, path: Path) -> None:
    with make(serving(lambda: path.open("rb"))).connect(GET.replace(b"GET", b"HEAD")) as client:
        assert f"Content-Length: {len(CONTENT)}\r\n".encode() in read_head(client)
        client.sendall(GET)
        assert read_answer(client)[1] == CONTENT


@pytest.mark.parametrize("kind", ["bytes", "gzip"])
def test_what_is_no_plain_file_is_read(make: Make, path: Path, kind: str) -> None:
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(CONTENT))
    openers: dict[str, Callable[[], Any]] = {
        "bytes": lambda: io.BytesIO(CONTENT),
        "gzip": lambda: gzip.open(packed),  # noqa: SIM115 - FileWrapper closes it
    }
    assert FileWrapper(openers[kind]()).part() is None
    headers = (("Content-Length", str(len(CONTENT))),)
    with make(serving(openers[kind], headers)).connect(GET) as client:
        assert read_answer(client)[1] == CONTENT


def test_a_pipe_is_read(make: Make) -> None:
    end, other = os.pipe()
    os.write(other, b"through a pipe")
    os.close(other)
    said = make(serving(lambda: os.fdopen(end, "rb"))).answer(CLOSE)
    assert said.endswith(b"\r\n\r\ne\r\nthrough a pipe\r\n0\r\n\r\n")


@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="there is no /proc here")
def test_a_file_that_says_it_is_empty_is_read(make: Make) -> None:
    """As those of /proc do."""
    said = make(serving(lambda: open("/proc/version", "rb"))).answer(CLOSE)  # noqa: SIM115 - FileWrapper closes it
    assert Path("/proc/version").read_bytes() in said


def test_an_empty_file(make: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with make(serving(lambda: (tmp_path / "empty").open("rb"))).connect(GET) as client:
        assert b"\r\nContent-Length: 0\r\n" in read_head(client)


def test_a_file_that_cannot_be_read_is_the_application_s_fault(make: Make, path: Path) -> None:
    def write_only() -> Any:
        file = path.open("ab")
        file.seek(0)
        return file

    site = make(serving(write_only))
    with site.connect(GET) as client:
        assert read_all(client).endswith(b"\r\n\r\n")
    assert "Bad file descriptor" in site.log
    assert "(HTTP/1.1 200)" in site.log


def test_the_file_is_closed(make: Make, path: Path) -> None:
    files: list[Any] = []

    def opened() -> Any:
        files.append(path.open("rb"))
        return files[-1]

    with make(serving(opened)).connect(GET) as client:
        read_answer(client)
        client.sendall(GET)
        read_answer(client)
    assert files[0].closed


def test_over_uwsgi_too(make: Make, path: Path) -> None:
    pairs = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "PATH_INFO": "/"}
    block = b"".join(len(text).to_bytes(2, "little") + text.encode() for pair in pairs.items() for text in pair)
    site = make(serving(lambda: path.open("rb")), protocol="uwsgi")
    assert site.answer(b"\0" + len(block).to_bytes(2, "little") + b"\0" + block).endswith(b"\r\n\r\n" + CONTENT)
