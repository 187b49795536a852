"""Tokens that tests hand to devices."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tsproto import license_token
from tsproto.messages import LicenseKind

ISSUER_KEY = Ed25519PrivateKey.from_private_bytes(b"i" * 32)
FARM = "lab"
PRODUCT = "terminal-server"


def token(
    device_id: bytes,
    *,
    farm: str = FARM,
    product: str = PRODUCT,
    kind: LicenseKind = LicenseKind.FULL,
    license_id: bytes = b"l" * 16,
    expires_at: int = 10_000_000,
) -> bytes:
    claims = license_token.Claims(
        farm=farm,
        issuer="license-a",
        kind=kind,
        license_id=license_id,
        product=product,
        product_version=1,
        device_id=device_id,
        device_name="laptop1",
        user_name="user1",
        issued_at=0,
        expires_at=expires_at,
    )
    return license_token.issue(claims, ISSUER_KEY)
