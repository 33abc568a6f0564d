"""Whom X-Forwarded-* and Forwarded are believed from, and what is believed."""

from __future__ import annotations

import pytest

from greenwsgi.wsgi.forwarded_headers import TrustList, forwarding

DIRECT = {"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "5000", "SERVER_NAME": "inner", "SERVER_PORT": "8000"}
X = ("for", "proto", "host", "port")


@pytest.mark.parametrize(
    ("entries", "address", "trusted"),
    [
        ((), "127.0.0.1", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("127.0.0.1",), "127.0.0.2", False),
        (("127.0.0.1",), "::ffff:127.0.0.1", True),
        (("10.0.0.0/8", "::1"), "10.9.8.7", True),
        (("10.0.0.0/8", "::1"), "::1", True),
        (("10.0.0.0/8",), "", False),
        (("unix",), "", True),
        (("unix",), "10.0.0.1", False),
        (("*",), "1.2.3.4", True),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("10.0.0.0/8",), "no address", False),
    ],
)
def test_who_is_trusted(entries: tuple[str, ...], address: str, trusted: bool) -> None:
    trust = TrustList(entries)
    assert (address in trust, address in trust) == (trusted, trusted)  # the second answer is a remembered one


@pytest.mark.parametrize("entry", ["localhost", "10.0.0.0/40", "300.1.1.1", "unix:/x", ""])
def test_what_is_no_entry(entry: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        TrustList([entry])


def rewritten(headers: dict[str, str], *, wanted: tuple[str, ...] = X, hops: int = 1) -> dict[str, str]:
    """What a trusted peer's headers change."""
    variables = DIRECT | {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
    before = dict(variables)
    scheme = forwarding(TrustList(["10.0.0.0/8"]), wanted, hops)(variables, "http")
    changed = {name: text for name, text in variables.items() if before.get(name) != text}
    return changed | ({"scheme": scheme} if scheme != "http" else {})


@pytest.mark.parametrize(
    ("headers", "changed"),
    [
        ({}, {}),
        ({"X-Forwarded-For": "1.2.3.4"}, {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": ""}),
        ({"X-Forwarded-For": "6.6.6.6, 1.2.3.4"}, {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": ""}),
        ({"X-Forwarded-For": "1.2.3.4:567"}, {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": "567"}),
        ({"X-Forwarded-For": "[2001:db8::1]:567"}, {"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": "567"}),
        ({"X-Forwarded-For": "2001:db8::1"}, {"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": ""}),
        ({"X-Forwarded-For": "unknown"}, {}),
        ({"X-Forwarded-For": "<script>"}, {}),
        ({"X-Forwarded-Proto": "https"}, {"scheme": "https", "SERVER_PORT": "443"}),
        ({"X-Forwarded-Proto": "http, HTTPS"}, {"scheme": "https", "SERVER_PORT": "443"}),
        ({"X-Forwarded-Proto": "gopher"}, {}),
        (
            {"X-Forwarded-Host": "shop.example"},
            {"HTTP_HOST": "shop.example", "SERVER_NAME": "shop.example", "SERVER_PORT": "80"},
        ),
        (
            {"X-Forwarded-Host": "shop.example:81", "X-Forwarded-Proto": "https"},
            {"HTTP_HOST": "shop.example:81", "SERVER_NAME": "shop.example", "SERVER_PORT": "81", "scheme": "https"},
        ),
        ({"X-Forwarded-Host": "a/b@c"}, {}),
        ({"X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https"}, {"scheme": "https", "SERVER_PORT": "8443"}),
        ({"X-Forwarded-Port": "99999"}, {}),
        ({"X-Forwarded-Port": "1" * 5000}, {}),  # more digits than int() takes
        ({"X-Forwarded-For": "1.2.3.4:" + "1" * 5000}, {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": ""}),
        ({"X-Forwarded-For": "1.2.3.4:\xb2"}, {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": ""}),
        ({"Forwarded": "for=1.2.3.4;proto=https"}, {}),  # not among the headers the proxies were said to set
    ],
)
def test_x_forwarded(headers: dict[str, str], changed: dict[str, str]) -> None:
    assert rewritten(headers) == changed


def test_only_the_headers_that_the_proxies_set_are_read() -> None:
    headers = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "evil.example"}
    assert rewritten(headers, wanted=("for",)) == {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": ""}


@pytest.mark.parametrize(("hops", "client"), [(1, "4.4.4.4"), (2, "3.3.3.3"), (3, "2.2.2.2"), (9, "2.2.2.2")])
def test_hops_count_from_the_nearest_proxy(hops: int, client: str) -> None:
    headers = {"X-Forwarded-For": "2.2.2.2, 3.3.3.3, 4.4.4.4"}
    assert rewritten(headers, hops=hops)["REMOTE_ADDR"] == client


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("for=1.2.3.4;proto=https", {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": "", "scheme": "https",
                                     "SERVER_PORT": "443"}),
        ('For="[2001:db8:cafe::17]:4711"', {"REMOTE_ADDR": "2001:db8:cafe::17", "REMOTE_PORT": "4711"}),
        ("for=6.6.6.6, for=1.2.3.4", {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": ""}),
        ('for="6.6.6.6, 7.7.7.7", for=1.2.3.4', {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": ""}),
        ("for=1.2.3.4; host=a.example", {"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": "", "HTTP_HOST": "a.example",
                                          "SERVER_NAME": "a.example", "SERVER_PORT": "80"}),
        ("for=_hidden", {}),
        ("for=unknown;by=3.3.3.3", {}),
        ("for", {}),
        ("for=1.2.3.4;;", {}),
        ('for="1.2.3.4', {}),
        ("for=6.6.6.6,", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_rfc_7239(text: str, changed: dict[str, str]) -> None:
    assert rewritten({"Forwarded": text}, wanted=("forwarded",)) == changed


HOSTILE = ["", ",", ";", '"', "=", "\\", 'for="', 'for="6.6.6.6', 'for="\\', 'for=6.6.6.6;proto="', "for=6.6.6.6;;"]


@pytest.mark.parametrize("before", HOSTILE)
@pytest.mark.parametrize("more", ["", ";proto=http", ';x="a, for=7.7.7.7"', ';x="\\", for=7.7.7.7"', ';x=""'])
def test_nothing_that_a_client_says_hides_what_the_proxies_say(before: str, more: str) -> None:
    """It stands left of them, and may open a quote there."""
    near, far = f'for="[2001:db8::1]:4711"{more}', f"for=1.2.3.4{more}"
    for separator in (",", ", "):
        text = separator.join([before, far, near])
        for hops, address in ((1, "2001:db8::1"), (2, "1.2.3.4")):
            assert rewritten({"Forwarded": text}, wanted=("forwarded",), hops=hops)["REMOTE_ADDR"] == address


def test_hops_of_rfc_7239() -> None:
    text = "for=1.1.1.1, for=2.2.2.2"
    for hops, address in ((1, "2.2.2.2"), (2, "1.1.1.1"), (9, "1.1.1.1")):
        assert rewritten({"Forwarded": text}, wanted=("forwarded",), hops=hops)["REMOTE_ADDR"] == address
    assert rewritten({"Forwarded": f"nonsense, {text}"}, wanted=("forwarded",), hops=9) == {}


def test_nobody_else_is_believed() -> None:
    variables = {"REMOTE_ADDR": "8.8.8.8", "HTTP_X_FORWARDED_FOR": "1.2.3.4", "HTTP_X_FORWARDED_PROTO": "https"}
    before = dict(variables)
    assert forwarding(TrustList(["10.0.0.0/8", "unix"]), X, 1)(variables, "http") == "http"
    assert variables == before
