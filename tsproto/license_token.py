"""The license token: a license server's signed statement about one device.

A terminal server verifies a token without asking anybody: the issuer's certificate comes with it,
and the farm's authority has signed that. Only the device's proof of its key (`tsproto.identity`)
ties the token to the device that shows it.

A token is the msgpack array `[claims, signature]`, both byte strings, claims itself a msgpack
array. There is one signature algorithm, and nothing in a token can choose another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, Literal, NewType, Protocol, TypeVar

import msgspec

from tsproto import limits
from tsproto.errors import (
    LicenseExpired,
    LicenseForeign,
    LicenseNotYours,
    LicenseOutdated,
    LicenseRevoked,
    LicenseTampered,
)
from tsproto.identity import IdentityError
from tsproto.messages import (
    DeviceId,
    DeviceName,
    Id16,
    LicenseKind,
    Name,
    OptionalName,
    ProductVersion,
    Role,
    Seconds,
    UserName,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tsproto.deny_list import DenyLists

TOKEN_DOMAIN = b"tsfarm license token 1\0"
# A user name of 104 four-byte characters would carry a token beyond TOKEN_BYTES.
USER_NAME_BYTES = 256
# Issuers that a farm has at one time, with their former certificates.
ISSUERS_REMEMBERED = 256
# The longest time from a token's signature to its end: full tokens last FULL_DAYS_MAX at most.
TOKEN_SECONDS_MAX = limits.TEMPORARY_DAYS * limits.DAY_SECONDS
TOKEN_KINDS = (LicenseKind.TEMPORARY, LicenseKind.FULL)

Value = TypeVar("Value")

# Holds license tokens: today always a device, by its id of 32 bytes.
Holder = NewType("Holder", bytes)


class NamesHolder(Protocol):
    """A message, a token's claims or a record of one license token."""

    @property
    def device_id(self) -> bytes: ...


def holder_of(named: NamesHolder) -> Holder:
    """The one place that says who holds, or is to hold, the token."""
    return Holder(named.device_id)


class Claims(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """What the signature covers. New fields go last, with a default; readers of an older version
    ignore them. A change that they must not ignore takes a new `version`."""

    version: Literal[1] = 1  # of the claims
    farm: Name  # farm that the license counts in
    issuer: Name  # license server that signed, as in its certificate
    kind: LicenseKind  # TEMPORARY or FULL
    license_id: Id16  # random, the same when the license is renewed
    product: Name  # what the license is for
    product_version: ProductVersion  # highest version that the license is good for
    device_id: DeviceId  # the device that it was issued to
    device_name: DeviceName
    user_name: UserName  # who used the device then, at most 256 bytes of UTF-8
    issued_at: Seconds  # when this token was signed: the issue, or the last renewal
    expires_at: Seconds  # when it ends: it is expired from this second on
    key_pack: OptionalName = ""  # key pack that a full token is of; empty for a temporary one


_claims_decoder = msgspec.msgpack.Decoder(Claims)
_parts_decoder = msgspec.msgpack.Decoder(tuple[bytes, bytes])
_encoder = msgspec.msgpack.Encoder()


def issue(claims: Claims, key: Ed25519PrivateKey) -> bytes:
    """A token of at most TOKEN_BYTES; a longer user name is clipped to USER_NAME_BYTES of UTF-8.

    Claims out of their bounds raise LicenseTampered: nobody could read such a token.
    """
    name = claims.user_name.encode()
    if len(name) > USER_NAME_BYTES:
        clipped = name[:USER_NAME_BYTES].decode(errors="ignore")
        claims = msgspec.structs.replace(claims, user_name=clipped)
    encoded = _encoder.encode(claims)
    token = _encoder.encode((encoded, key.sign(TOKEN_DOMAIN + encoded)))
    read_claims(token)
    return token


def read_claims(token: bytes) -> Claims:
    """The claims of a token, its signature unchecked; raises LicenseTampered when unreadable."""
    encoded, _ = _parts(token)
    return _claims(encoded)


class Verifier:
    """Decides whether tokens count in one farm. Any of its authorities (DER) may have signed an
    issuer's certificate.

    Verifying two signatures is costly, so it is done once a token: up to `remembered` tokens that
    passed are kept by their hash, and the least recently used is forgotten first.
    """

    def __init__(
        self,
        authorities: Sequence[bytes],
        farm: str,
        remembered: int = 65_536,
        *,
        deny_lists: DenyLists | None = None,
    ) -> None:
        self._authorities = authorities
        self._farm = farm
        self._deny_lists = deny_lists
        self._issuers: _Remembered[_Issuer] = _Remembered(ISSUERS_REMEMBERED)
        self._claims: _Remembered[Claims] = _Remembered(remembered)

    def verify(
        self,
        token: bytes,
        issuer_certificate: bytes,
        *,
        device_id: bytes,
        product: str,
        product_version: int,
        now: float,
    ) -> Claims:
        """The claims of a token that counts here, for this device and product, at `now`.

        Raises the first of these: LicenseTampered when the token or certificate is unreadable;
        LicenseForeign when the certificate is not that of one of this farm's license servers, not
        valid yet, or ended TEMPORARY_DAYS ago, because a token that it signed on its last day lives
        so long; LicenseTampered when the signature is not of that certificate's key;
        LicenseForeign when the claims name another farm, issuer or product; LicenseNotYours;
        LicenseOutdated when they name an older version of the product (a newer license serves an
        older server, never the reverse: "RDS CAL version compatibility"); LicenseRevoked when the
        issuer's certificate is on the deny list; LicenseExpired.
        """
        encoded, signature = _parts(token)
        fingerprint = hashlib.sha256(issuer_certificate).digest()
        issuer = self._issuers.get(fingerprint, lambda: self._issuer(issuer_certificate))
        if not issuer.valid_from <= now < issuer.valid_until + TOKEN_SECONDS_MAX:
            raise LicenseForeign(f"the certificate of license server {issuer.name} has expired")
        claims = self._claims.get(
            hashlib.sha256(issuer.key_bytes + token).digest(),
            lambda: self._signed(encoded, signature, issuer),
        )
        if claims.product != product:
            raise LicenseForeign(f"the license token is for {claims.product}, not for {product}")
        if claims.device_id != device_id:
            raise LicenseNotYours(
                f"the license token was issued to the device {claims.device_name!r}, not to this"
                " one: a token cannot be copied"
            )
        if claims.product_version < product_version:
            raise LicenseOutdated(
                f"the license token is for version {claims.product_version} of {product}, this"
                f" server is version {product_version}"
            )
        if self._deny_lists and self._deny_lists.denies_certificate(fingerprint):
            raise LicenseRevoked(f"the certificate of license server {issuer.name} was revoked")
        if claims.expires_at <= now:
            raise LicenseExpired("the license token has expired")
        return claims

    def _issuer(self, certificate_der: bytes) -> _Issuer:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        from tsproto.certificates import identity_in, is_issued_by, parse_certificate

        try:
            certificate = parse_certificate(certificate_der)
        except IdentityError:
            detail = "the certificate beside the license token cannot be read"
            raise LicenseTampered(detail) from None
        try:
            if not any(is_issued_by(certificate_der, each) for each in self._authorities):
                raise IdentityError("signed by no authority of the farm")
            identity = identity_in(certificate)
            key = certificate.public_key()
        except (UnsupportedAlgorithm, ValueError, IdentityError):
            raise LicenseForeign(
                f"the token's issuer is not certified by the authority of farm {self._farm}"
            ) from None
        expected = identity.farm == self._farm and identity.role is Role.LICENSE_SERVER
        if not expected or not isinstance(key, Ed25519PublicKey):
            raise LicenseForeign(f"{identity.name} is no license server of farm {self._farm}")
        return _Issuer(
            identity.name,
            key.public_bytes_raw(),
            certificate.not_valid_before_utc.timestamp(),
            certificate.not_valid_after_utc.timestamp(),
        )

    def _signed(self, encoded: bytes, signature: bytes, issuer: _Issuer) -> Claims:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key = Ed25519PublicKey.from_public_bytes(issuer.key_bytes)
        try:
            key.verify(signature, TOKEN_DOMAIN + encoded)
        except InvalidSignature:
            raise LicenseTampered(
                f"the license token's signature is not that of license server {issuer.name}"
            ) from None
        claims = _claims(encoded)
        if claims.farm != self._farm or claims.issuer != issuer.name:
            raise LicenseForeign(
                f"the license token is of {claims.issuer} in farm {claims.farm}, its certificate"
                f" of {issuer.name} in farm {self._farm}"
            )
        return claims


class _Issuer(msgspec.Struct, frozen=True, gc=False):
    name: str
    key_bytes: bytes
    valid_from: float
    valid_until: float


class _Remembered(Generic[Value]):
    """Values that are costly to compute, by hash; the least recently used is forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: dict[bytes, Value] = {}

    def get(self, key: bytes, find: Callable[[], Value]) -> Value:
        """What `find` raises is not remembered."""
        if key in self._values:
            value = self._values.pop(key)
        else:
            value = find()
            if len(self._values) >= self._limit:
                del self._values[next(iter(self._values))]
        self._values[key] = value
        return value


def _parts(token: bytes) -> tuple[bytes, bytes]:
    """Claims and signature. One token has one encoding: any other is refused."""
    if len(token) > limits.TOKEN_BYTES:
        raise LicenseTampered(f"a license token has at most {limits.TOKEN_BYTES} bytes")
    try:
        parts = _parts_decoder.decode(token)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise LicenseTampered("the license token cannot be read") from None
    if _encoder.encode(parts) != token:
        raise LicenseTampered("the license token is not written as one")
    return parts


def _claims(encoded: bytes) -> Claims:
    try:
        claims = _claims_decoder.decode(encoded)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LicenseTampered(f"the license token's claims cannot be read: {error}") from None
    if claims.kind not in TOKEN_KINDS:
        raise LicenseTampered(f"there is no token of the kind {claims.kind.name}")
    return claims
