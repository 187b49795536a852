"""Identities in a farm: its authority, the certificates of its daemons, the keys of its devices.

A daemon's role and name stand in its certificate, as the URI subject alternative name
`tsfarm://FARM/ROLE/NAME`. The id of a device is the hash of its public key, so that no device can
claim another's. All keys are Ed25519.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tsproto.errors import DeviceProofInvalid, TsfarmError
from tsproto.messages import DAEMONS, Role

# Clocks of a farm's hosts may differ: a new certificate is to be valid at once on all of them.
BACKDATED = timedelta(days=1)
YEAR = timedelta(days=365)
DEVICE_PROOF_DOMAIN = b"tsfarm device proof 1\0"
DIGEST_BYTES = 32

# The y-coordinates of points of low order on Curve25519's Edwards form (RFC 7748, RFC 8032): a key
# that is one of them accepts signatures which nobody made.
_PRIME = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER_Y = frozenset({0, 1, _PRIME - 1, _PRIME, _PRIME + 1, _ORDER_8, _PRIME - _ORDER_8})
_Y_BITS = 2**255 - 1

ROLE_WORDS: dict[Role, str] = {
    Role.TERMINAL_SERVER: "terminal-server",
    Role.LICENSE_SERVER: "license-server",
    Role.SESSION_DIRECTORY: "session-directory",
    Role.ADMINISTRATOR: "administrator",
}
_ROLES = {word: role for role, word in ROLE_WORDS.items()}
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_AUTHORITY_URI = re.compile(rf"tsfarm://({_NAME})")
_IDENTITY_URI = re.compile(rf"tsfarm://({_NAME})/([a-z-]+)/({_NAME})")


class IdentityError(TsfarmError):
    """A certificate, key or name cannot be used in a farm; the text says which and why."""


class Identity(msgspec.Struct, frozen=True):
    """Farm, role and name in a certificate, to be believed once its signature is verified."""

    farm: str
    role: Role
    name: str


def create_authority(farm: str, now: float, years: int = 20) -> tuple[bytes, bytes]:
    """A new farm's self-signed authority, as (certificate PEM, key PEM).

    Raises IdentityError when `farm` is no name.
    """
    uri = f"tsfarm://{farm}"
    if not _AUTHORITY_URI.fullmatch(uri):
        raise IdentityError(
            f"{farm!r} cannot name a farm: letters, digits, '.', '_', '-', up to 64"
        )
    key = Ed25519PrivateKey.generate()
    subject = _subject(farm, "authority")
    builder = (
        _builder(subject, subject, key.public_key(), now)
        .not_valid_after(_moment(now) + years * YEAR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(certificates=True), critical=True)
        .add_extension(_alternative_names(uri), critical=False)
    )
    return builder.sign(key, None).public_bytes(Encoding.PEM), _key_pem(key)


def issue_certificate(
    authority_pem: bytes,
    authority_key_pem: bytes,
    role: Role,
    name: str,
    now: float,
    years: int = 20,
    key: Ed25519PrivateKey | None = None,
) -> tuple[bytes, bytes]:
    """A certificate of the authority's farm, as (certificate PEM, key PEM), for `key` or a new one.

    It never outlives the authority. An administrator's is good for dialling only. Raises
    IdentityError when the authority's files do not belong together, or the role or name cannot
    stand in a certificate.
    """
    authority, authority_key = _authority(authority_pem, authority_key_pem)
    farm = _farm(authority)
    if role not in ROLE_WORDS:
        raise IdentityError("a client has no certificate: its device key proves it")
    uri = f"tsfarm://{farm}/{ROLE_WORDS[role]}/{name}"
    if not _IDENTITY_URI.fullmatch(uri):
        raise IdentityError(f"{name!r} is no name: letters, digits, '.', '_', '-', up to 64")
    key = key or Ed25519PrivateKey.generate()
    listens = role in DAEMONS
    expiry = min(_moment(now) + years * YEAR, authority.not_valid_after_utc)
    builder = (
        _builder(_subject(farm, name, role), authority.subject, key.public_key(), now)
        .not_valid_after(expiry)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(certificates=False), critical=True)
        .add_extension(_purposes(listens), critical=False)
        .add_extension(_alternative_names(uri, name if listens else ""), critical=False)
        .add_extension(_issued_by(authority), critical=False)
    )
    return builder.sign(authority_key, None).public_bytes(Encoding.PEM), _key_pem(key)


def identity_of(certificate_der: bytes) -> Identity:
    """Raises IdentityError when the bytes are no certificate, or not one of a farm's daemon or
    administrator; the authority itself is neither."""
    return identity_in(parse_certificate(certificate_der))


def identity_in(certificate: x509.Certificate) -> Identity:
    """As `identity_of`, for a certificate that was parsed already."""
    found = [match for uri in _uris(certificate) if (match := _IDENTITY_URI.fullmatch(uri))]
    if len(found) != 1 or found[0][2] not in _ROLES:
        raise IdentityError("the certificate carries no tsfarm://FARM/ROLE/NAME")
    farm, word, name = found[0].groups()
    return Identity(farm, _ROLES[word], name)


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


def load_key(pem: bytes) -> Ed25519PrivateKey:
    """A key file's key, unencrypted PKCS #8 in PEM form; IdentityError when it is anything else."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise IdentityError("the file holds no unencrypted private key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError("the key is not an Ed25519 key")
    return key


def fingerprint(certificate_der: bytes) -> bytes:
    return hashlib.sha256(certificate_der).digest()


def show_fingerprint(fp: bytes) -> str:
    """As ssh shows the fingerprint of a host: `SHA256:` and base64 without padding."""
    return "SHA256:" + base64.b64encode(fp).decode("ascii").rstrip("=")


class DeviceKey:
    """The secret key of one device, which never leaves it: without it a copied token is useless."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()
        self.device_id = hashlib.sha256(self.public_key).digest()

    @classmethod
    def from_seed(cls, seed: bytes) -> DeviceKey:
        """The key made of 32 secret random bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, pem: bytes) -> DeviceKey:
        """Raises IdentityError as `load_key` does."""
        return cls(load_key(pem))

    def to_pem(self) -> bytes:
        return _key_pem(self._key)

    def prove(self, nonce: bytes, server_certificate: bytes) -> bytes:
        """Sign a terminal server's nonce for this server alone; both arguments are 32 bytes,
        `server_certificate` the SHA-256 fingerprint of the certificate that the device saw."""
        return self._key.sign(device_proof(nonce, server_certificate))


def device_proof(nonce: bytes, server_certificate: bytes) -> bytes:
    """The bytes that a device signs. The certificate is in them so that a server in the middle
    cannot pass on a signature that was made for itself."""
    assert len(nonce) == len(server_certificate) == DIGEST_BYTES
    return DEVICE_PROOF_DOMAIN + nonce + server_certificate


def verify_device_proof(
    public_key: bytes, signature: bytes, nonce: bytes, server_certificate: bytes
) -> bytes:
    """The id of the device whose key made this proof; raises DeviceProofInvalid."""
    signed = device_proof(nonce, server_certificate)
    if int.from_bytes(public_key, "little") & _Y_BITS in _LOW_ORDER_Y:
        raise DeviceProofInvalid("the device's public key is of low order and proves nothing")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        raise DeviceProofInvalid(
            "the device's signature is not of its key, this nonce and this server's certificate"
        ) from None
    return hashlib.sha256(public_key).digest()


def _authority(
    authority_pem: bytes, authority_key_pem: bytes
) -> tuple[x509.Certificate, Ed25519PrivateKey]:
    authority = parse_certificate(certificate_der(authority_pem))
    key = load_key(authority_key_pem)
    if authority.public_key() != key.public_key():
        raise IdentityError("the authority's certificate and key do not belong together")
    return authority, key


def _farm(authority: x509.Certificate) -> str:
    found = [match for uri in _uris(authority) if (match := _AUTHORITY_URI.fullmatch(uri))]
    if len(found) != 1:
        raise IdentityError("the certificate is not a farm's authority: no tsfarm://FARM in it")
    return found[0][1]


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _key_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(int(now), UTC)


# --- parts of a certificate; OpenSSL's strict verification asks for each of them ---------------


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: Ed25519PublicKey, now: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(now) - BACKDATED)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _subject(farm: str, name: str, role: Role | None = None) -> x509.Name:
    """For people to read; nothing is decided by it."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, farm)]
    if role is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ROLE_WORDS[role]))
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _purposes(listens: bool) -> x509.ExtendedKeyUsage:
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if listens:
        purposes.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    return x509.ExtendedKeyUsage(purposes)


def _alternative_names(uri: str, host: str = "") -> x509.SubjectAlternativeName:
    """A host name is what a balancer routes on, and what a client sends as TLS server name."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    if host:
        names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _issued_by(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
