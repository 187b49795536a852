"""A daemon's identity in its files: certificate, key, and the authorities that it trusts."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemons.config import ConfigError
from daemons.files import private
from daemons.settings import DaemonSettings, IdentityFiles
from tsproto import authorities, certificates, identity, transport
from tsproto.authorities import Authorities
from tsproto.deny_list import DenyLists
from tsproto.identity import ROLE_WORDS, IdentityError
from tsproto.messages import Role
from tsproto.transport import LocalIdentity

T = TypeVar("T")


class Credentials(msgspec.Struct, frozen=True):
    """A daemon's identity. `certificate` and `authority`, which has signed it, are in DER form."""

    name: str
    certificate: bytes
    key: Ed25519PrivateKey
    authority: bytes
    trusted: Authorities

    @property
    def endorsement(self) -> bytes:
        """Of `authority` by the one before it; empty where there was none."""
        return self.trusted.endorsement_of(self.authority)


def load_credentials(files: IdentityFiles, farm: str, role: Role) -> Credentials:
    """Raises ConfigError when a file is unusable, or not of this farm, role, key or authority, or
    when others could read the key."""
    shown = f"identity.certificate: {files.certificate}"
    certificate = _read("identity.certificate", files.certificate, certificates.certificate_der)
    trusted = _read("identity.authority", files.authority, authorities.read_authorities)
    key = _read("identity.key", files.key, identity.load_key)
    if exposed := private.exposure(Path(files.key), "daemon"):
        raise ConfigError(f"identity.key: {exposed}")
    try:
        found = certificates.identity_of(certificate)
    except IdentityError as error:
        raise ConfigError(f"{shown}: {error}") from None
    if found.role is not role:
        raise ConfigError(
            f"{shown}: expected the certificate of a {ROLE_WORDS[role]}, found that of"
            f" the {ROLE_WORDS[found.role]} {found.name}"
        )
    if found.farm != farm:
        raise ConfigError(
            f"{shown}: expected a certificate of farm {farm}, found one of {found.farm}"
        )
    parsed = certificates.parse_certificate(certificate)
    if parsed.public_key() != key.public_key():
        raise ConfigError(
            f"identity.key: {files.key}: expected the key that belongs to {files.certificate}"
        )
    authority = trusted.issuer_of(certificate)
    if authority is None:
        raise ConfigError(f"{shown}: expected a certificate that {files.authority} has signed")
    if parsed.not_valid_after_utc <= datetime.now(UTC):
        raise ConfigError(
            f"{shown}: expired on {parsed.not_valid_after_utc:%Y-%m-%d}: renew it with"
            f" `tsfarm pki renew {found.name}`"
        )
    return Credentials(found.name, certificate, key, authority, trusted)


def local_identity(
    settings: DaemonSettings, credentials: Credentials, role: Role, deny_lists: DenyLists
) -> LocalIdentity:
    """The identity towards peers, with TLS contexts made anew from the files. Raises ConfigError
    when a file has changed since `credentials` were loaded."""
    listen, files = settings.listen, settings.identity
    paths = Path(files.certificate), Path(files.key), Path(files.authority)
    listen_tls = dial_tls = None
    if listen.tls:
        try:
            listen_tls, dial_tls = transport.server_tls(*paths), transport.daemon_tls(*paths)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"identity: {files.certificate}: {error.strerror}") from None
        shown = identity.fingerprint(credentials.certificate)
        if not shown == listen_tls.fingerprint == dial_tls.fingerprint:
            raise ConfigError(
                f"identity.certificate: {files.certificate}: changed while it was read"
            )
    return LocalIdentity(
        role=role,
        name=credentials.name,
        farm=settings.farm,
        listen_tls=listen_tls,
        dial_tls=dial_tls,
        plain_anywhere=listen.plain_anywhere,
        deny_lists=deny_lists,
    )


def _read(key: str, path: str, understand: Callable[[bytes], T]) -> T:
    try:
        return understand(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{key}: {path}: cannot be read: {error.strerror}") from None
    except IdentityError as error:
        raise ConfigError(f"{key}: {path}: {error}") from None
