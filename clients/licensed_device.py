"""A device towards terminal servers: its key, its name, and its licenses.

A store keeps the licenses: files of a person's device (`clients.device`), or the memory of a
process that plays thousands of devices.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from clients.files import DeviceStoreError
from tsproto import identity
from tsproto.errors import LicenseError
from tsproto.license_token import Claims, read_claims
from tsproto.messages import LicenseInfo, LicenseRequest


class License(msgspec.Struct, frozen=True):
    """A token with its issuer's certificate (DER) and its claims.

    The claims are unverified: terminal servers verify them.
    """

    token: bytes
    issuer_certificate: bytes
    claims: Claims


class LicenseStore(Protocol):
    """Keeps one license for each product of a farm. Raises DeviceStoreError."""

    def find(self, farm: str, product: str) -> License | None: ...

    def keep(self, held: License) -> None:
        """Durable when it returns, if the store is on disk."""


class LicensedDevice:
    """A device as a farm sees it."""

    def __init__(self, key: identity.DeviceKey, name: str, store: LicenseStore) -> None:
        self.key = key
        self.name = name
        self._store = store

    def license_info(
        self, farm: str, request: LicenseRequest, server_certificate: bytes, user_name: str
    ) -> LicenseInfo:
        """The answer to LicenseRequest: the device's proof, and its license if it has one.

        `server_certificate` is the SHA-256 of the server's certificate, zero bytes on a plain link.
        """
        held = self.license(farm, request.product)
        return LicenseInfo(
            public_key=self.key.public_key,
            signature=self.key.prove(request.nonce, server_certificate),
            device_name=self.name,
            user_name=user_name,
            token=held.token if held else b"",
            issuer_certificate=held.issuer_certificate if held else b"",
        )

    def license(self, farm: str, product: str) -> License | None:
        return self._store.find(farm, product)

    def store_license(self, farm: str, token: bytes, issuer_certificate: bytes) -> bytes:
        """Keeps a token durably in place of the one for its product; returns its license id.

        Raises DeviceStoreError when the token is unreadable, or of another farm or device: it would
        only replace a good one.
        """
        try:
            claims = read_claims(token)
        except LicenseError as error:
            raise DeviceStoreError(f"the farm sent an unreadable license: {error}") from None
        if claims.device_id != self.key.device_id or claims.farm != farm:
            raise DeviceStoreError(
                "the farm sent a license that is not this device's, so it was not stored: tell the"
                " farm's administrator"
            )
        self._store.keep(License(token, issuer_certificate, claims))
        return claims.license_id
