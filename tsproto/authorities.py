"""The authorities that a farm trusts at one time, as they stand in one file, the newest first.

While a farm changes its authority, two are trusted. The old one endorses the new one: it signs its
certificate, and who trusts the old one may then trust the new one without asking a person.
"""

from __future__ import annotations

import base64
import re
from textwrap import wrap

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from tsproto import certificates, limits
from tsproto.identity import IdentityError

ENDORSEMENT_DOMAIN = b"tsfarm next authority 1\0"
ENDORSEMENT_BYTES = 64  # an Ed25519 signature

# OpenSSL skips a block of another kind between the certificates of a file.
_BEGIN, _END = "-----BEGIN TSFARM ENDORSEMENT-----", "-----END TSFARM ENDORSEMENT-----"
_BLOCK = re.compile(f"{_BEGIN}\\s+([A-Za-z0-9+/=\\s]*?){_END}".encode())


class Authorities(msgspec.Struct, frozen=True):
    """Certificates in DER form, all of one farm; the first issues what is issued from now on."""

    certificates: tuple[bytes, ...]
    endorsement: bytes = b""
    """Of the first certificate by the authority before it; empty for a farm's first authority."""

    @property
    def farm(self) -> str:
        return certificates.farm_of(self.certificates[0])

    def issuer_of(self, certificate: bytes) -> bytes | None:
        """The authority that signed this certificate (DER); None when none of them did."""
        return next(
            (each for each in self.certificates if certificates.is_issued_by(certificate, each)),
            None,
        )

    def endorsement_of(self, authority: bytes) -> bytes:
        return self.endorsement if authority == self.certificates[0] else b""

    def to_pem(self) -> bytes:
        first, *others = (
            certificates.parse_certificate(each).public_bytes(Encoding.PEM).decode()
            for each in self.certificates
        )
        lines = wrap(base64.b64encode(self.endorsement).decode(), 64)
        block = "\n".join([_BEGIN, *lines, _END, ""]) if self.endorsement else ""
        return "".join([first, block, *others]).encode()


def read_authorities(pem: bytes) -> Authorities:
    """Raises IdentityError when the file holds no authority, too many, those of several farms, or
    something else."""
    try:
        found = [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem)]
    except (ValueError, x509.InvalidVersion):
        raise IdentityError("the file holds no certificate in PEM form") from None
    if len(found) > limits.AUTHORITIES_MAX:
        raise IdentityError(
            f"the file holds {len(found)} certificates, at most {limits.AUTHORITIES_MAX}"
            " authorities can be trusted at one time"
        )
    farms = dict.fromkeys(map(certificates.farm_of, found))
    if len(farms) > 1:
        raise IdentityError(f"the authorities are of several farms: {', '.join(farms)}")
    return Authorities(tuple(found), _endorsement_in(pem))


def _endorsement_in(pem: bytes) -> bytes:
    blocks = _BLOCK.findall(pem)
    if not blocks:
        return b""
    endorsement = base64.b64decode(blocks[0])
    if len(blocks) > 1 or len(endorsement) != ENDORSEMENT_BYTES:
        raise IdentityError("the endorsement in the file of authorities is damaged")
    return endorsement


def endorse(authority: bytes, by: Ed25519PrivateKey) -> bytes:
    """The signature of an older authority's key for a new one (DER)."""
    return by.sign(ENDORSEMENT_DOMAIN + authority)


def is_endorsed(authority: bytes, endorsement: bytes, by: bytes, now: float) -> bool:
    """Whether the authority `by` (DER), of the same farm and not expired, endorses this one."""
    older = certificates.parse_certificate(by)
    key = older.public_key()
    if not isinstance(key, Ed25519PublicKey) or certificates.seconds_left(older, now) <= 0:
        return False
    try:
        key.verify(endorsement, ENDORSEMENT_DOMAIN + authority)
        return certificates.farm_of(authority) == certificates.farm_of(by)
    except (InvalidSignature, IdentityError):
        return False
