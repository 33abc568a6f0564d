"""The certificates that a configuration names: the operator's mistakes, an encrypted key, names as they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenwsgi.errors import UsageError
from greenwsgi.serve import tls_contexts
from tests.certificates import Certificates
from tests.serve.test_tls_contexts import settings


def test_an_encrypted_key(files: Certificates, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("tell nobody\n")
    context = settings(
        f"https-socket = :0,{files.cert},{files.encrypted_key(b'tell nobody')}", f"tls-password-file = {password}"
    )
    assert tls_contexts.load(context)[":0"].asks is False


def test_mistakes_are_one_line_with_their_place(files: Certificates, tmp_path: Path) -> None:
    empty, wrong = tmp_path / "empty", tmp_path / "wrong"
    empty.write_text("")
    wrong.write_text("wrong\n")
    other = files.issue("other", "other.example")
    encrypted = files.encrypted_key(b"secret")
    cases = {
        f"https-socket = :0,/no/cert,{files.key}": "TLS: certificate /no/cert: No such file or directory",
        f"https-socket = :0,{files.cert},/no/key": "TLS: key /no/key: No such file or directory",
        f"https-socket = :0,{empty},{files.key}": f"TLS: {empty} holds no certificate in PEM",
        f"https-socket = :0,{files.cert},{empty}": f"TLS: the key {empty} cannot be read: ",
        f"https-socket = :0,{files.cert},{other[1]}": f"TLS: the key {other[1]} is not that of the certificate ",
        f"https-socket = :0,{files.cert},{encrypted}": f"TLS: the key {encrypted} is encrypted: name a file",
        f"https-socket = :0,{files.cert},{files.key},NOSUCH": "TLS: no cipher is meant by 'NOSUCH'",
        f"https-socket = :0,{files.cert},{files.key},,/no/ca": "TLS: CA /no/ca: No such file or directory",
        f"https-socket = :0,{files.cert},{files.key},,{empty}": f"TLS: {empty} holds no certificate in PEM",
        f"sni = a.example {files.cert},{files.key},,{files.ca}": "sni: a CA for clients counts for a whole socket",
        f"sni = a.*.example {files.cert},{files.key}": "sni: a.*.example is no host and no *.host",
        f"sni = a.example /no/cert,{files.key}": "TLS: certificate /no/cert: No such file or directory",
    }
    for line, expected in cases.items():
        with pytest.raises(UsageError) as caught:
            tls_contexts.load(settings(f"https-socket = :1,{files.cert},{files.key}", line))
        assert str(caught.value).startswith(f"x.ini:2: {expected}"), line
        assert "\n" not in str(caught.value)
    line = f"https-socket = :0,{files.cert},{encrypted}"
    with pytest.raises(UsageError, match=r"cannot be read: wrong password \(tls-password-file .*wrong\)"):
        tls_contexts.load(settings(line, f"tls-password-file = {wrong}"))


def test_names_are_written_as_rfc_4514_wants_it() -> None:
    name = ((("countryName", "IT"),), (("commonName", ' #a+b,"c"\\ '), ("emailAddress", "a@b")))
    assert tls_contexts.distinguished_name(name) == r"CN=\ #a\+b\,\"c\"\\\ +emailAddress=a@b,C=IT"
