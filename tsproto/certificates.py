"""Makes and reads the certificates of a farm: its authority's, and its daemons'.

Not part of `tsproto.identity`, because X.509 takes a third of a client's start to import. A client
does without: OpenSSL verifies its host's certificate and reads the names in it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tsproto import limits
from tsproto.identity import (
    ASKS_SECRETS,
    AUTHORITY_URI,
    IDENTITY_URI,
    ROLE_WORDS,
    Identity,
    IdentityError,
    identity_among,
    key_pem,
    load_key,
    shown_address,
)
from tsproto.messages import DAEMONS, AdministratorRole, Role

# Clocks of a farm's hosts may differ: a new certificate is good at once on all of them.
BACKDATED = timedelta(days=1)
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")


def create_authority(
    farm: str, now: float, days: int = limits.AUTHORITY_DAYS
) -> tuple[bytes, bytes]:
    """A new farm's self-signed authority, as (certificate PEM, key PEM).

    Raises IdentityError when `farm` is no name.
    """
    uri = f"tsfarm://{farm}"
    if not AUTHORITY_URI.fullmatch(uri):
        raise IdentityError(
            f"{farm!r} cannot name a farm: letters, digits, '.', '_', '-', up to 64"
        )
    key = Ed25519PrivateKey.generate()
    subject = _subject(farm, "authority")
    expiry = _moment(now) + timedelta(days=days)
    names = [x509.UniformResourceIdentifier(uri)]
    builder = _builder(subject, subject, key.public_key(), now, expiry, names, is_authority=True)
    return builder.sign(key, None).public_bytes(Encoding.PEM), key_pem(key)


def issue_certificate(
    authority_pem: bytes,
    authority_key_pem: bytes,
    role: Role,
    name: str,
    now: float,
    *,
    days: int = limits.CERTIFICATE_DAYS,
    addresses: Iterable[str] = (),
    key: Ed25519PrivateKey | None = None,
    administrator_role: AdministratorRole = AdministratorRole.VIEWER,
    asks_secrets: bool = False,
) -> tuple[bytes, bytes]:
    """A certificate of the authority's farm, as (certificate PEM, key PEM), for `key` or a new one.

    The first certificate of `authority_pem` is the issuer. The new one never outlives it. A
    daemon's carries its name and `addresses`, host names and IP addresses; an administrator's is
    good for dialling only, and says `administrator_role`. `asks_secrets` lets a terminal server ask
    users for what its PAM wants to know. Raises IdentityError when the authority's files do not
    belong together, when role, name or an address cannot stand in a certificate, and when these are
    too many.
    """
    authority = parse_certificate(certificate_der(authority_pem))
    authority_key = load_key(authority_key_pem)
    if authority.public_key() != authority_key.public_key():
        raise IdentityError("the authority's certificate and key do not belong together")
    farm = _farm(authority)
    if role not in ROLE_WORDS:
        raise IdentityError("a client has no certificate: its device key proves it")
    permits = None if role in DAEMONS else administrator_role
    uri = Identity(farm, role, name, permits).uri
    found = IDENTITY_URI.fullmatch(uri)
    if found is None or found[3] != name:
        raise IdentityError(f"{name!r} is no name: letters, digits, '.', '_', '-', up to 64")
    if asks_secrets and role is not Role.TERMINAL_SERVER:
        raise IdentityError("only a terminal server asks users for secrets")
    key = key or Ed25519PrivateKey.generate()
    listens = role in DAEMONS
    if addresses and not listens:
        raise IdentityError("nobody dials an administrator: its certificate has no address")
    expiry = min(_moment(now) + timedelta(days=days), authority.not_valid_after_utc)
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if listens:
        purposes.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    subject = _subject(farm, name, role)
    others = [each for each in dict.fromkeys(map(shown_address, addresses)) if each != name]
    names = [x509.UniformResourceIdentifier(uri), *([x509.DNSName(name)] if listens else [])]
    names += map(_general_name, others)
    if asks_secrets:
        names.append(x509.UniformResourceIdentifier(ASKS_SECRETS))
    issuer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer)
    builder = (
        _builder(subject, authority.subject, key.public_key(), now, expiry, names)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(issued_by, critical=False)
    )
    certificate = builder.sign(authority_key, None)
    if len(certificate.public_bytes(Encoding.DER)) > limits.CERTIFICATE_BYTES:
        raise IdentityError(
            f"{len(others)} addresses make the certificate larger than"
            f" {limits.CERTIFICATE_BYTES} bytes: give fewer"
        )
    return certificate.public_bytes(Encoding.PEM), key_pem(key)


def identity_of(certificate_der: bytes) -> Identity:
    """Raises IdentityError when the bytes are no certificate, or not one of a farm's daemon or
    administrator; the authority itself is neither."""
    return identity_in(parse_certificate(certificate_der))


def identity_in(certificate: x509.Certificate) -> Identity:
    """As `identity_of`, for a certificate that was parsed already."""
    return identity_among(_uris(certificate))


def addresses_in(certificate: x509.Certificate) -> list[str]:
    """The host names and IP addresses that a client may dial to reach its holder."""
    names = _alternative_names(certificate)
    if names is None:
        return []
    hosts = names.get_values_for_type(x509.DNSName)
    return [*hosts, *map(str, names.get_values_for_type(x509.IPAddress))]


def seconds_left(certificate: x509.Certificate, now: float) -> float:
    """Negative once it has expired."""
    return certificate.not_valid_after_utc.timestamp() - now


def farm_of(authority_der: bytes) -> str:
    """The farm whose authority's certificate this is; IdentityError when it is none."""
    return _farm(parse_certificate(authority_der))


def parse_certificate(der: bytes) -> x509.Certificate:
    """IdentityError when the bytes are no X.509 certificate; nothing in it is checked yet."""
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion):
        raise IdentityError("the bytes are no X.509 certificate") from None


def certificate_der(pem: bytes) -> bytes:
    """The first certificate of a PEM file; IdentityError when it holds none."""
    try:
        return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    except (ValueError, x509.InvalidVersion):
        raise IdentityError("the file holds no certificate in PEM form") from None


def is_issued_by(certificate_der: bytes, authority_der: bytes) -> bool:
    """Whether this authority signed this certificate; validity in time is not looked at."""
    try:
        authority = x509.load_der_x509_certificate(authority_der)
        x509.load_der_x509_certificate(certificate_der).verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _farm(authority: x509.Certificate) -> str:
    found = [match for uri in _uris(authority) if (match := AUTHORITY_URI.fullmatch(uri))]
    if len(found) != 1:
        raise IdentityError("the certificate is not a farm's authority: no tsfarm://FARM in it")
    return found[0][1]


def _uris(certificate: x509.Certificate) -> list[str]:
    names = _alternative_names(certificate)
    return [] if names is None else names.get_values_for_type(x509.UniformResourceIdentifier)


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    """None where it has none, or none that can be read."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        return None


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        pass
    if not _HOST_NAME.fullmatch(address):
        raise IdentityError(f"{address!r} is neither a host name nor an IP address")
    return x509.DNSName(address)


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(int(now), UTC)


# --- parts of a certificate; OpenSSL's strict verification asks for each of them ---------------


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: Ed25519PublicKey,
    now: float,
    expiry: datetime,
    names: Iterable[x509.GeneralName],
    *,
    is_authority: bool = False,
) -> x509.CertificateBuilder:
    """`names` are the subject alternative names: the tsfarm URI and the addresses of the holder."""
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    path_length = 0 if is_authority else None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(now) - BACKDATED)
        .not_valid_after(expiry)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.BasicConstraints(is_authority, path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )


def _subject(farm: str, name: str, role: Role | None = None) -> x509.Name:
    """For people to read; nothing is decided by it."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, farm)]
    if role is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ROLE_WORDS[role]))
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
