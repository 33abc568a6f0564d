"""Certificates for tests, made by trustme: an authority, a server's, a client's, and such as nobody should accept."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)


class Certificates:
    """Files in a folder: `ca.pem`, `cert.pem` and `key.pem` of localhost, `client.pem` of Ann; others on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))
        self.cert, self.key = self.issue("cert", "localhost", "127.0.0.1")
        self.client = self._client(self._authority, "client.pem")

    def issue(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """A certificate for these hosts and its key; written anew if it is there already."""
        suffix = "" if name == "cert" else f"-{name}"
        cert, key = self.folder / f"cert{suffix}.pem", self.folder / f"key{suffix}.pem"
        issued = self._authority.issue_cert(*hosts)
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return cert, key

    @cached_property
    def stranger(self) -> Path:
        """A client's certificate and key that our authority has not signed."""
        return self._client(trustme.CA(), "stranger.pem")

    def encrypted_key(self, password: bytes) -> Path:
        """The server's key under a password."""
        key = load_pem_private_key(self.key.read_bytes(), None)
        path = self.folder / "key-encrypted.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password)))
        return path

    def _client(self, authority: trustme.CA, name: str) -> Path:
        path = self.folder / name
        issued = authority.issue_cert("ann@example.com", common_name="Ann, the 1st", organization_name="Example")
        path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        return path
