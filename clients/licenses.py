"""What a device is to terminal servers: a key, a name, and the licenses that it was given.

Where licenses are kept is the store's matter: files of a person's device (`clients.device`), or the
memory of a process that plays thousands.
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
    """A token with its issuer's certificate (DER), and what the token says.

    The claims are unverified: terminal servers verify, the device only keeps.
    """

    token: bytes
    issuer_certificate: bytes
    claims: Claims


class LicenseStore(Protocol):
    """Holds one license for each product of a farm. Raises DeviceStoreError."""

    def find(self, farm: str, product: str) -> License | None: ...

    def keep(self, held: License) -> None:
        """Durable when it returns, as far as the store outlives the process at all."""


class LicensedDevice:
    """A device as a farm sees it."""

    def __init__(self, key: identity.DeviceKey, name: str, store: LicenseStore) -> None:
        self.key = key
        self.name = name
        self._store = store

    def license_info(
        self, farm: str, request: LicenseRequest, server_certificate: bytes, user_name: str
    ) -> LicenseInfo:
        """The answer to a terminal server: the device's proof, and its license where it has one.

        `server_certificate` is the SHA-256 of the server's certificate, zeros on a plain link.
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
        """Keep a token durably in place of the one for its product; gives its license id.

        Raises DeviceStoreError when the token is unreadable, or of another farm or device: it
        would only push a good one out.
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
