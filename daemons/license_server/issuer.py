"""Turns license records into signed tokens, and a lender's answers into license records.

Ed25519 is deterministic: a license that is signed again gives the same token.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemons.copied import copied
from daemons.license_server.records import LicenseRecord
from tsproto import license_token
from tsproto.errors import LicenseError, TsfarmError
from tsproto.license_token import Claims, holder_of
from tsproto.messages import AcquireLicense, LicenseIssued, LicenseKind, RenewLicense


class UnusableAnswer(TsfarmError):
    """A lender's answer holds no full token for the device that it was asked for."""


class Issuer:
    """Signs for one license server; `certificate` (DER) belongs to `key`."""

    def __init__(self, farm: str, name: str, key: Ed25519PrivateKey, certificate: bytes) -> None:
        self._farm = farm
        self._name = name
        self._key = key
        self._certificate = certificate

    def renew(self, key: Ed25519PrivateKey, certificate: bytes) -> None:
        self._key, self._certificate = key, certificate

    def issued(self, license: LicenseRecord) -> LicenseIssued:
        """The answer that carries the license's token; the same bytes until it is renewed."""
        return LicenseIssued(
            license_id=license.license_id,
            kind=license.kind,
            expires_at=license.expires_at,
            token=license.token or self._sign(license),
            issuer_certificate=license.issuer_certificate or self._certificate,
            validated=license.validated,
            lender=license.lender,
        )

    def borrowed(
        self, answer: LicenseIssued, request: AcquireLicense | RenewLicense, peer: str, now: float
    ) -> LicenseRecord:
        """The license in the answer of `peer`, which issued or itself borrowed it.

        Raises UnusableAnswer when it does not fit the request. The signature is verified by the
        terminal server, against the certificate in the answer.
        """
        lender = answer.lender or peer
        try:
            claims = license_token.read_claims(answer.token)
        except LicenseError as error:
            raise UnusableAnswer(str(error)) from None
        is_what_was_asked = (
            claims.kind is LicenseKind.FULL
            and (claims.farm, claims.issuer) == (self._farm, lender)
            and lender != self._name
            and (holder_of(claims), claims.product) == (holder_of(request), request.product)
            and claims.product_version >= request.product_version
            and (claims.license_id, claims.expires_at) == (answer.license_id, answer.expires_at)
        )
        if not is_what_was_asked or claims.expires_at <= now:
            raise UnusableAnswer("the token is not a live full one of that server for this device")
        return copied(
            LicenseRecord,
            claims,
            validated=True,
            lender=lender,
            token=answer.token,
            issuer_certificate=answer.issuer_certificate,
        )

    def _sign(self, license: LicenseRecord) -> bytes:
        claims = Claims(
            farm=self._farm,
            issuer=self._name,
            kind=license.kind,
            license_id=license.license_id,
            product=license.product,
            product_version=license.product_version,
            device_id=license.device_id,
            device_name=license.device_name,
            user_name=license.user_name,
            issued_at=license.renewed_at or license.issued_at,
            expires_at=license.expires_at,
            key_pack=license.key_pack,
        )
        return license_token.issue(claims, self._key)
