"""Keys and certificates that are the same in every run: for test vectors and nothing else."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOT_BEFORE = datetime(2025, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2045, 1, 1, tzinfo=UTC)
ENDED = datetime(2025, 6, 1, tzinfo=UTC)
ENDED_LATELY = datetime(2025, 10, 4, tzinfo=UTC)  # less than TEMPORARY_DAYS before 2026


class Certified:
    """A key made of a seed that is no secret, and its certificate (DER). `which` tells several of
    one URI apart."""

    def __init__(
        self,
        uri: str,
        issuer: Certified | None = None,
        not_after: datetime = NOT_AFTER,
        which: str = "",
    ) -> None:
        self.seed = hashlib.sha256(f"tsfarm test vector: {uri}{which}".encode()).digest()
        self.key = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public_key = self.key.public_key().public_bytes_raw()
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, uri)])
        signer = issuer or self
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(signer.subject)
            .public_key(self.key.public_key())
            .serial_number(int.from_bytes(self.seed[:8], "big") | 1)
            .not_valid_before(NOT_BEFORE)
            .not_valid_after(not_after)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
            )
            .add_extension(
                x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True
            )
            .sign(signer.key, None)
        )
        self.der = certificate.public_bytes(Encoding.DER)
