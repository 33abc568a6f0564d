"""TLS for a worker's sockets: contexts made from the configuration, and the CGI variables about a handshake.

Contexts are made in the zygote, before the fork: the workers of a generation share the keys of session tickets, so that
a client may resume its session with any of them. Each generation reads the files again. The master never makes
contexts: ssl must not be imported before it is patched, nor at all in a process that runs no application.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from greenwsgi.config.settings import Settings
from greenwsgi.errors import Origin, UsageError
from greenwsgi.options.table.tls import TlsOptions
from greenwsgi.options.value_types import AUTO, Certificate
from greenwsgi.wire.registry import PROTOCOLS

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

Facts = Mapping[str, str]
"""CGI variables that describe a connection's TLS."""


class ServerSide(ssl.SSLObject):
    """The server's side of one connection."""

    host = ""
    """The server name that the client asked for (SNI), in lower case; "" for none."""

    def _sslsock(self) -> ServerSide:
        """gevent's wrapper of the SNI callback calls this on the object, which it takes for a gevent.ssl socket."""
        return self


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The TLS settings of one listener."""

    context: ssl.SSLContext
    """The context of the listener's own certificate; its SNI callback chooses those of other hosts."""
    asks: bool = False
    """Clients are asked for a certificate."""


def load(settings: Settings) -> dict[str, ServerTls]:
    """The TLS settings of each socket that has a certificate, by its address as configured. Raises UsageError."""
    hosts = list(zip(settings.tls.sni, settings.origins("sni"), strict=True))
    for (host, certificate), origin in hosts:
        if certificate.client_ca:
            raise UsageError("sni: a CA for clients counts for a whole socket; name it with the socket", origin)
        if "*" in host.removeprefix("*."):
            raise UsageError(f"sni: {host} is no host and no *.host", origin)
    found: dict[str, ServerTls] = {}
    for address in settings.listeners:
        if (own := address.certificate) is None:
            continue
        http = address.protocol == AUTO or bool(PROTOCOLS[address.protocol].scheme)
        context = _context(own, settings.tls, address.origin, http=http)
        named = {
            host: _context(_beside(own, certificate), settings.tls, origin, http=http)
            for (host, certificate), origin in hosts
        }
        context.sslobject_class = ServerSide
        context.sni_callback = _chooser(named)  # type: ignore[assignment]  # it is called with a sslobject_class
        found[address.text] = ServerTls(context, bool(own.client_ca))
    return found


def _beside(own: Certificate, other: Certificate) -> Certificate:
    """The certificate of an SNI host on a socket: the CA, and ciphers unless it has its own, are the socket's."""
    return other._replace(ciphers=other.ciphers or own.ciphers, client_ca=own.client_ca, required=own.required)


def _chooser(named: Mapping[str, ssl.SSLContext]) -> Callable[[ServerSide, str | None, ssl.SSLContext], None]:
    """The SNI callback: selects the certificate of the requested host; the socket's for other hosts or none."""

    def choose(tls: ServerSide, host: str | None, _: ssl.SSLContext) -> None:
        tls.host = name = (host or "").lower()
        found = named.get(name) or named.get("*." + name.partition(".")[2])
        if found is not None:
            tls.context = found

    return choose


# Contexts


def _context(certificate: Certificate, options: TlsOptions, origin: Origin, *, http: bool) -> ssl.SSLContext:
    """Make a context. http: offer http/1.1 by ALPN. Raises UsageError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[options.tls_min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_pair(context, certificate, options.tls_password_file, origin)
    if ciphers := certificate.ciphers or options.tls_ciphers:
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError:
            raise UsageError(f"TLS: no cipher is meant by {ciphers!r}", origin) from None
    if certificate.client_ca:
        try:
            context.load_verify_locations(_readable(certificate.client_ca, "CA", origin))
        except ssl.SSLError:
            raise UsageError(f"TLS: {certificate.client_ca} holds no certificate in PEM", origin) from None
        context.verify_mode = ssl.CERT_REQUIRED if certificate.required else ssl.CERT_OPTIONAL
    if http:
        context.set_alpn_protocols(["http/1.1"])
    return context


def _load_pair(context: ssl.SSLContext, files: Certificate, password_file: str, origin: Origin) -> None:
    path = _readable(files.certificate, "certificate", origin)
    key = _readable(files.key, "key", origin)
    try:
        context.load_cert_chain(path, key, lambda: _password(password_file, key, origin))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(f"TLS: the key {key} is not that of the certificate {path}", origin) from None
        if not _holds_certificate(path):
            raise UsageError(f"TLS: {path} holds no certificate in PEM", origin) from None
        why = error.reason.lower().replace("_", " ") if error.reason else "no private key in PEM"
        if password_file and _is_encrypted(key):
            why = f"wrong password (tls-password-file {password_file})"
        raise UsageError(f"TLS: the key {key} cannot be read: {why}", origin) from None


def _readable(path: str, what: str, origin: Origin) -> str:
    try:
        with open(path, "rb"):
            return path
    except OSError as error:
        raise UsageError(f"TLS: {what} {path}: {error.strerror}", origin) from None


def _password(path: str, key: str, origin: Origin) -> str:
    """The password of an encrypted key. OpenSSL would ask at the terminal if this did not raise without a file."""
    if not path:
        raise UsageError(f"TLS: the key {key} is encrypted: name a file with its password (tls-password-file)", origin)
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"TLS: tls-password-file {path}: {error}", origin) from None


def _holds_certificate(path: str) -> bool:
    with open(path, "rb") as file:
        return b"-----BEGIN CERTIFICATE-----" in file.read()


def _is_encrypted(path: str) -> bool:
    with open(path, "rb") as file:
        return b"ENCRYPTED" in file.read()


# Variables for the application

_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
"""The short names of RFC 4514 3. Other attributes, such as emailAddress, keep OpenSSL's long names."""

_Name = tuple[tuple[tuple[str, str], ...], ...]


def facts(tls: ServerSide, server: ServerTls) -> dict[str, str]:
    """The variables of a connection after its handshake, with the names of mod_ssl, nginx and uWSGI.

    SSL_CLIENT_* are included if clients are asked for a certificate.
    """
    cipher, _, bits = tls.cipher() or ("", "", 0)
    found = {
        "HTTPS": "on",
        "SSL_PROTOCOL": tls.version() or "",
        "SSL_CIPHER": cipher,
        "SSL_CIPHER_USEKEYSIZE": str(bits),
        "SSL_SESSION_RESUMED": "Resumed" if tls.session_reused else "Initial",
    }
    if tls.host:
        found["SSL_TLS_SNI"] = tls.host
    if server.asks:
        found |= _client(tls)
    return found


def _client(tls: Any) -> dict[str, str]:
    der = tls.getpeercert(binary_form=True)
    if der is None:
        return {"SSL_CLIENT_VERIFY": "NONE"}
    said: dict[str, Any] = tls.getpeercert() or {}
    pem = ssl.DER_cert_to_PEM_cert(der)
    serial, subject = said.get("serialNumber", ""), said.get("subject", ())
    names = [value for group in subject for kind, value in group if kind == "commonName"]
    found = {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_S_DN": distinguished_name(subject),
        "SSL_CLIENT_I_DN": distinguished_name(said.get("issuer", ())),
        "SSL_CLIENT_S_DN_CN": names[-1] if names else "",
        "SSL_CLIENT_M_SERIAL": serial,
        "SSL_CLIENT_SERIAL": serial,
        "SSL_CLIENT_V_START": said.get("notBefore", ""),
        "SSL_CLIENT_V_END": said.get("notAfter", ""),
        "SSL_CLIENT_CERT": pem,
        "HTTPS_DN": "".join(f"/{_SHORT.get(kind, kind)}={value}" for group in subject for kind, value in group),
        "HTTPS_CN": names[-1] if names else "",
        "HTTPS_CC": pem,
    }
    return {name: value.encode("utf-8").decode("latin-1") for name, value in found.items()}  # PEP 3333


def distinguished_name(name: _Name) -> str:
    """RFC 4514: the most specific part first, `CN=Ann,O=Example`, as mod_ssl and nginx write it."""
    groups = ("+".join(f"{_SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in group) for group in name)
    return ",".join(reversed(list(groups)))


def _escaped(value: str) -> str:
    """RFC 4514 2.4."""
    text = "".join("\\" + char if char in '"+,;<>\\' else char for char in value)
    if text.startswith(("#", " ")):
        text = "\\" + text
    return text[:-1] + "\\ " if text.endswith(" ") and len(text) > 1 else text
