"""The farm's deny lists: which certificates and devices are refused, signed and numbered.

There are two, each with its own signer. Certificates are denied by the farm's authority, by their
fingerprint, so that a new certificate of the same name is good. Devices are denied by an
administrator with the role admin, whose certificate comes with the list. A list replaces the one
with a lower number; numbers are the signer's time in microseconds.

A signed list is the msgpack array `[list, signature, signer]` of three byte strings. As in
`tsproto.identity`, functions import the cryptography themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from tsproto import limits
from tsproto.errors import DenyListAhead, DenyListForged, DenyListMalformed, DenyListOld
from tsproto.identity import DIGEST_BYTES, IdentityError, fingerprint
from tsproto.messages import AdministratorRole, DenyNumber, Name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

DENY_LIST_DOMAIN = b"tsfarm deny list 1\0"
MICROSECONDS = 1_000_000

Digest = Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


class DenyKind(IntEnum):
    """What the entries of a list are."""

    CERTIFICATES = 1
    DEVICES = 2

    @property
    def words(self) -> str:
        return f"deny list of {self.name.lower()}"


class DenyList(msgspec.Struct, array_like=True, kw_only=True, frozen=True):
    """What the signature covers. New fields go last, with a default; a change that readers of an
    older version must not ignore takes a new `version`."""

    version: Literal[1] = 1  # of the list
    farm: Name  # farm that the list is for
    kind: DenyKind  # CERTIFICATES or DEVICES
    number: DenyNumber  # above those of all earlier lists of this kind
    # SHA-256 of each certificate, or the id of each device; ascending, each once
    entries: list[Digest]


_list_decoder = msgspec.msgpack.Decoder(DenyList)
_parts_decoder = msgspec.msgpack.Decoder(tuple[bytes, bytes, bytes])
_encoder = msgspec.msgpack.Encoder()


def sign(deny_list: DenyList, key: Ed25519PrivateKey, signer: bytes = b"") -> bytes:
    """A signed list. `signer` is the certificate of the administrator whose `key` this is, DER;
    empty where it is the authority's.

    Raises DenyListMalformed when the list has too many entries, or is otherwise out of its bounds.
    """
    ordered = msgspec.structs.replace(deny_list, entries=sorted(set(deny_list.entries)))
    encoded = _encoder.encode(ordered)
    signed = _encoder.encode((encoded, key.sign(DENY_LIST_DOMAIN + encoded), signer))
    read(signed)
    return signed


def read(signed: bytes) -> DenyList:
    """The list, its signature unchecked; raises DenyListMalformed when it cannot be read."""
    encoded, _, _ = _parts(signed)
    try:
        found = _list_decoder.decode(encoded)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DenyListMalformed(f"the deny list cannot be read: {error}") from None
    if len(found.entries) > limits.DENY_LIST_ENTRIES_MAX:
        raise DenyListMalformed(
            f"a deny list has at most {limits.DENY_LIST_ENTRIES_MAX} entries, not"
            f" {len(found.entries)}"
        )
    if any(one >= other for one, other in zip(found.entries, found.entries[1:], strict=False)):
        raise DenyListMalformed("the entries of a deny list ascend, each once")
    return found


class DenyLists:
    """The newest deny lists that one process has, and what they deny.

    `authorities` are those of the farm, DER, any of which may sign; without one every list is
    refused. `held` are lists verified before, signed; `others` are those of other farms, whose
    certificates are denied too.
    """

    def __init__(
        self,
        farm: str = "",
        authorities: Sequence[bytes] = (),
        held: Iterable[bytes] = (),
        others: Iterable[bytes] = (),
    ) -> None:
        self._farm = farm
        self._authorities = authorities
        self._signed = dict.fromkeys(DenyKind, b"")
        self._numbers = dict.fromkeys(DenyKind, 0)
        self._certificates = self._devices = frozenset[bytes]()
        self._certificates_elsewhere = frozenset(
            entry for each in others for entry in read(each).entries
        )
        for signed in held:
            self._hold(read(signed), signed)

    @property
    def numbers(self) -> tuple[int, int]:
        """Of the lists of certificates and of devices; 0 for none."""
        return self._numbers[DenyKind.CERTIFICATES], self._numbers[DenyKind.DEVICES]

    def signed(self, kind: DenyKind) -> bytes:
        """Empty where there is none."""
        return self._signed[kind]

    def denies_certificate(self, digest: bytes) -> bool:
        return digest in self._certificates or digest in self._certificates_elsewhere

    def denies_device(self, device_id: bytes) -> bool:
        return device_id in self._devices

    def trust(self, authorities: Sequence[bytes]) -> None:
        """Any of these may sign what is taken from now on; the lists held stay."""
        self._authorities = authorities

    def take(self, signed: bytes, now: float) -> DenyList:
        """Replace the list of this kind.

        Raises the first of these, and changes nothing: DenyListMalformed; DenyListOld when the
        number is not above that of the list held; DenyListAhead when it is more than
        DENY_LIST_AHEAD_SECONDS ahead of `now`; DenyListForged when it is another farm's, or not
        signed as the kind demands.
        """
        found = read(signed)
        held = self._numbers[found.kind]
        if found.number <= held:
            raise DenyListOld(f"the {found.kind.words} has number {found.number}, held is {held}")
        if found.number > (now + limits.DENY_LIST_AHEAD_SECONDS) * MICROSECONDS:
            raise DenyListAhead(
                f"the {found.kind.words} has number {found.number}, more than a day ahead of this"
                f" clock's {int(now * MICROSECONDS)}: correct the clock that is wrong"
            )
        self._verify(found, signed)
        self._hold(found, signed)
        return found

    def _hold(self, found: DenyList, signed: bytes) -> None:
        self._signed[found.kind] = signed
        self._numbers[found.kind] = found.number
        if found.kind is DenyKind.CERTIFICATES:
            self._certificates = frozenset(found.entries)
        else:
            self._devices = frozenset(found.entries)

    def _verify(self, found: DenyList, signed: bytes) -> None:
        if found.farm != self._farm:
            raise DenyListForged(f"the deny list is of farm {found.farm}, not of {self._farm}")
        encoded, signature, signer = _parts(signed)
        match found.kind:
            case DenyKind.CERTIFICATES if not signer:
                keys = [_key_of(authority) for authority in self._authorities]
            case DenyKind.DEVICES if signer:
                keys = [self._key_of_admin(signer, found.number / MICROSECONDS)]
            case _:
                raise DenyListForged(
                    "certificates are denied by the authority, devices by an admin"
                )
        if not any(_is_signature(key, signature, DENY_LIST_DOMAIN + encoded) for key in keys):
            who = "the given administrator" if signer else "the farm's authority"
            raise DenyListForged(f"the signature of the {found.kind.words} is not that of {who}")

    def _key_of_admin(self, signer: bytes, at: float) -> Ed25519PublicKey:
        """The key of an administrator's certificate that was good when the list was signed. It may
        have expired since: the list counts until another one comes."""
        from tsproto.certificates import identity_in, is_issued_by, parse_certificate

        try:
            certificate = parse_certificate(signer)
            identity = identity_in(certificate)
        except IdentityError as error:
            raise DenyListForged(f"the signer of the deny list: {error}") from None
        who = f"{identity.role.words} {identity.name!r}"
        if identity.farm != self._farm or not any(
            is_issued_by(signer, authority) for authority in self._authorities
        ):
            raise DenyListForged(f"{who} is not certified by the authority of farm {self._farm}")
        if identity.administrator_role is not AdministratorRole.ADMIN:
            raise DenyListForged(f"{who} has not the role admin, which denying devices wants")
        if self.denies_certificate(fingerprint(signer)):
            raise DenyListForged(f"the certificate of {who} is itself on the deny list")
        starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not starts.timestamp() <= at < ends.timestamp():
            raise DenyListForged(f"the certificate of {who} was not valid when it signed")
        return _key_of(signer)


def next_number(held: int, now: float) -> int:
    """The number of a list that is to replace the one held."""
    return max(held + 1, int(now * MICROSECONDS))


def _parts(signed: bytes) -> tuple[bytes, bytes, bytes]:
    """List, signature and signer. One list has one encoding: any other is refused."""
    if len(signed) > limits.DENY_LIST_BYTES:
        raise DenyListMalformed(f"a signed deny list has at most {limits.DENY_LIST_BYTES} bytes")
    try:
        parts = _parts_decoder.decode(signed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise DenyListMalformed("the signed deny list cannot be read") from None
    if _encoder.encode(parts) != signed:
        raise DenyListMalformed("the signed deny list is not written as one")
    return parts


def _key_of(certificate: bytes) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from tsproto.certificates import parse_certificate

    try:
        key = parse_certificate(certificate).public_key()
    except (IdentityError, UnsupportedAlgorithm, ValueError):
        raise DenyListForged("the signer's certificate cannot be read") from None
    if not isinstance(key, Ed25519PublicKey):
        raise DenyListForged("the signer's key is not an Ed25519 key")
    return key


def _is_signature(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True
