"""Every form of address that an operator may write."""

from __future__ import annotations

import pytest

from greenwsgi.options.listen_addresses import Abstract, Descriptor, Place, Tcp, Unix, is_public, read_place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":3031", Tcp("", 3031)),
        (":0", Tcp("", 0)),
        ("127.0.0.1:3031", Tcp("127.0.0.1", 3031)),
        ("[::1]:3031", Tcp("::1", 3031)),
        ("[fe80::1%eth0]:80", Tcp("fe80::1%eth0", 80)),
        ("web.example:65535", Tcp("web.example", 65535)),
        ("192.168.*:80", Tcp("192.168.*", 80)),
        ("/run/app.sock", Unix("/run/app.sock")),
        ("/run/a:1", Unix("/run/a:1")),
        ("app.sock", Unix("app.sock")),
        ("./a:b", Unix("./a:b")),
        ("3031", Unix("3031")),
        ("@app", Abstract("app")),
        ("@app:1", Abstract("app:1")),
        ("fd://0", Descriptor(0)),
        ("fd://17", Descriptor(17)),
    ],
)
def test_place(text: str, expected: Place) -> None:
    assert read_place(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/run/app.sock", Abstract("/run/app.sock")),
        ("app.sock", Abstract("app.sock")),
        ("@app", Abstract("app")),
        (":80", Tcp("", 80)),
    ],
)
def test_abstract_socket_is_for_paths(text: str, expected: Place) -> None:
    assert read_place(text, abstract=True) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("127.0.0.1:http", "'http' is no port; write host:port"),
        ("127.0.0.1:", "'' is no port"),
        ("127.0.0.1:65536", "'65536' is no port; the highest is 65535"),
        ("127.0.0.1:-1", "'-1' is no port"),
        ("127.0.0.1:\N{ARABIC-INDIC DIGIT THREE}", "is no port"),
        ("127.0.0.1:" + "9" * 5000, "is no port"),
        ("a.sock:x", "'x' is no port"),
        ("::1:80", r"an IPv6 address needs brackets: \[::1\]:80"),
        ("fd://", "'' is no descriptor; write fd://3"),
        ("fd://stdin", "'stdin' is no descriptor"),
        ("@", "an abstract socket needs a name"),
    ],
)
def test_no_place(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_place(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":80", True),
        ("0.0.0.0:80", True),
        ("[::]:80", True),
        ("web.example:80", True),
        ("127.0.0.1:80", False),
        ("[::1]:80", False),
        ("localhost:80", False),
        ("/run/a:80", False),
        ("@a:80", False),
        ("fd://3", False),
        ("nonsense:", False),
    ],
)
def test_is_public(text: str, expected: bool) -> None:
    assert is_public(text) is expected
