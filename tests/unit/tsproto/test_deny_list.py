"""Deny lists: how they are written, who may sign them, which of two counts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tsproto import certificates, deny_list, limits
from tsproto.deny_list import DENY_LIST_DOMAIN, DenyKind, DenyList, DenyLists, next_number
from tsproto.errors import (
    DenyListAhead,
    DenyListError,
    DenyListForged,
    DenyListMalformed,
    DenyListOld,
    ErrorCode,
)
from tsproto.identity import fingerprint, load_key
from tsproto.messages import AdministratorRole, Role

NOW = 1_800_000_000.0
DAY = 86_400
NUMBER = int(NOW) * 1_000_000
ONE, TWO = b"\1" * 32, b"\2" * 32
CERTIFICATES, DEVICES = DenyKind

Signer = tuple[Ed25519PrivateKey, bytes]


class Farm:
    """An authority and what it certifies."""

    def __init__(self, name: str = "lab") -> None:
        self._pems = certificates.create_authority(name, NOW)
        self.authority = certificates.certificate_der(self._pems[0])
        self.key = load_key(self._pems[1])

    def signer(
        self,
        role: Role = Role.ADMINISTRATOR,
        administers: AdministratorRole = AdministratorRole.ADMIN,
        issued_at: float = NOW,
    ) -> Signer:
        certificate, key = certificates.issue_certificate(
            *self._pems, role, "alice", issued_at, days=365, administrator_role=administers
        )
        return load_key(key), certificates.certificate_der(certificate)


FARM, OTHER = Farm(), Farm()
ALICE = FARM.signer()


def by_authority(*denied: bytes, number: int = NUMBER, by: Farm = FARM, **more: Any) -> bytes:
    content: dict[str, Any] = {
        "farm": "lab",
        "kind": CERTIFICATES,
        "number": number,
        "entries": list(denied),
    }
    return deny_list.sign(DenyList(**content | more), by.key)


def by_admin(*denied: bytes, number: int = NUMBER, signer: Signer = ALICE, **more: Any) -> bytes:
    content: dict[str, Any] = {
        "farm": "lab",
        "kind": DEVICES,
        "number": number,
        "entries": list(denied),
    }
    return deny_list.sign(DenyList(**content | more), *signer)


def lists(*held: bytes, authorities: tuple[bytes, ...] = (FARM.authority,)) -> DenyLists:
    return DenyLists("lab", authorities, held)


def refusal(of: DenyLists, signed: bytes, now: float = NOW) -> DenyListError:
    """Why a list is refused; asserts that it changes nothing."""
    before = of.numbers, of.signed(CERTIFICATES), of.signed(DEVICES)
    with pytest.raises(DenyListError) as refused:
        of.take(signed, now)
    assert (of.numbers, of.signed(CERTIFICATES), of.signed(DEVICES)) == before
    return refused.value


# --- a list that counts ---------------------------------------------------------------------------


def test_without_a_list_nothing_is_denied() -> None:
    assert lists().numbers == (0, 0)
    assert not lists().denies_certificate(ONE) and not lists().denies_device(ONE)


def test_the_authority_denies_certificates() -> None:
    found = lists()
    taken = found.take(by_authority(ONE), NOW)
    assert (taken.kind, taken.number, taken.entries) == (CERTIFICATES, NUMBER, [ONE])
    assert found.denies_certificate(ONE) and not found.denies_certificate(TWO)
    assert not found.denies_device(ONE)
    assert found.numbers == (NUMBER, 0)


def test_the_authority_that_was_changed_denies_no_more_and_its_list_stays() -> None:
    found = lists(by_authority(ONE))
    assert isinstance(
        refusal(found, by_authority(TWO, by=OTHER, number=NUMBER + 1)), DenyListForged
    )
    found.trust([OTHER.authority])
    assert found.denies_certificate(ONE) and found.numbers == (NUMBER, 0)
    assert isinstance(refusal(found, by_authority(TWO, number=NUMBER + 1)), DenyListForged)
    found.take(by_authority(TWO, by=OTHER, number=NUMBER + 1), NOW)
    assert found.denies_certificate(TWO) and not found.denies_certificate(ONE)


def test_an_admin_denies_devices() -> None:
    found = lists()
    found.take(by_admin(ONE), NOW)
    assert found.denies_device(ONE) and not found.denies_certificate(ONE)
    assert found.numbers == (0, NUMBER)


def test_a_newer_list_replaces_the_one_before_it() -> None:
    found = lists()
    found.take(by_authority(ONE), NOW)
    found.take(by_authority(TWO, number=NUMBER + 1), NOW)
    assert found.denies_certificate(TWO) and not found.denies_certificate(ONE)


def test_entries_are_sorted_and_each_stands_once() -> None:
    assert deny_list.read(by_authority(TWO, ONE, TWO)).entries == [ONE, TWO]


def test_what_was_held_before_a_restart_counts_again() -> None:
    found = lists(by_authority(ONE), by_admin(TWO))
    assert found.numbers == (NUMBER, NUMBER)
    assert found.denies_certificate(ONE) and found.denies_device(TWO)
    assert found.signed(DEVICES) == by_admin(TWO)


def test_any_trusted_authority_may_sign() -> None:
    lists(authorities=(OTHER.authority, FARM.authority)).take(by_authority(ONE), NOW)


# --- lists that change nothing --------------------------------------------------------------------


@pytest.mark.parametrize("number", [NUMBER, NUMBER - 1, 0])
def test_an_older_or_equal_list_is_refused(number: int) -> None:
    held = lists(by_authority(ONE))
    error = refusal(held, by_authority(TWO, number=number))
    assert isinstance(error, DenyListOld) and error.code is ErrorCode.DENY_LIST_OLD
    assert str(error) == f"the deny list of certificates has number {number}, held is {NUMBER}"


def test_an_older_list_is_refused_before_its_signature_is_looked_at() -> None:
    held = lists(by_authority(ONE))
    assert isinstance(refusal(held, by_authority(TWO, by=OTHER)), DenyListOld)


def test_a_list_may_be_a_day_ahead_of_the_clock_and_no_more() -> None:
    a_day = NUMBER + DAY * 1_000_000
    assert lists().take(by_authority(ONE, number=a_day), NOW).number == a_day
    error = refusal(lists(), by_authority(ONE, number=a_day + 1))
    assert isinstance(error, DenyListAhead) and error.code is ErrorCode.DENY_LIST_AHEAD
    assert "correct the clock that is wrong" in str(error)


def forged() -> dict[str, bytes]:
    encoded, signature, _ = msgspec.msgpack.decode(by_authority(ONE), type=list[bytes])
    changed = signature[:-1] + bytes([signature[-1] ^ 1])
    undomained = FARM.key.sign(encoded)
    key, certificate = ALICE
    return {
        "another-authority": by_authority(ONE, by=OTHER),
        "another-farm": by_authority(ONE, farm="elsewhere"),
        "changed-signature": msgspec.msgpack.encode((encoded, changed, b"")),
        "no-signature": msgspec.msgpack.encode((encoded, b"", b"")),
        "no-domain": msgspec.msgpack.encode((encoded, undomained, b"")),
        "certificates-by-an-admin": by_admin(ONE, kind=CERTIFICATES),
        "devices-by-the-authority": by_authority(ONE, kind=DEVICES),
        "operator": by_admin(ONE, signer=FARM.signer(administers=AdministratorRole.OPERATOR)),
        "viewer": by_admin(ONE, signer=FARM.signer(administers=AdministratorRole.VIEWER)),
        "terminal-server": by_admin(ONE, signer=FARM.signer(Role.TERMINAL_SERVER)),
        "admin-of-another-authority": by_admin(ONE, signer=OTHER.signer()),
        "admin-with-another-key": by_admin(ONE, signer=(OTHER.key, certificate)),
        "authority-as-admin": by_admin(ONE, signer=(FARM.key, FARM.authority)),
        "no-certificate": by_admin(ONE, signer=(key, b"no certificate")),
        "expired-admin": by_admin(ONE, signer=FARM.signer(issued_at=NOW - 366 * DAY)),
    }


@pytest.mark.parametrize(("case", "signed"), forged().items(), ids=forged().keys())
def test_a_list_that_is_not_signed_by_one_who_may_is_refused(case: str, signed: bytes) -> None:
    error = refusal(lists(), signed)
    assert isinstance(error, DenyListForged) and error.code is ErrorCode.DENY_LIST_FORGED


def test_an_admin_whose_certificate_has_expired_since_has_signed_well() -> None:
    a_year_later = NOW + 400 * DAY
    assert lists().take(by_admin(ONE), a_year_later).entries == [ONE]


def test_a_denied_admin_denies_no_device() -> None:
    found = lists(by_authority(fingerprint(ALICE[1])))
    assert "is itself on the deny list" in str(refusal(found, by_admin(ONE)))


def test_without_an_authority_no_list_counts() -> None:
    error = refusal(lists(authorities=()), by_authority(ONE))
    assert str(error) == (
        "the signature of the deny list of certificates is not that of the farm's authority"
    )


def malformed() -> dict[str, bytes]:
    def signed(content: object) -> bytes:
        encoded = msgspec.msgpack.encode(content)
        return msgspec.msgpack.encode((encoded, FARM.key.sign(DENY_LIST_DOMAIN + encoded), b""))

    many = [number.to_bytes(32, "big") for number in range(limits.DENY_LIST_ENTRIES_MAX + 1)]
    return {
        "empty": b"",
        "rubbish": b"rubbish",
        "two-parts": msgspec.msgpack.encode((b"", b"")),
        "a-byte-more": by_authority(ONE) + b"\xc0",
        "wider-array": b"\xdc\x00\x03" + by_authority(ONE)[1:],
        "version-2": signed([2, "lab", 1, NUMBER, [ONE]]),
        "kind-3": signed([1, "lab", 3, NUMBER, [ONE]]),
        "number-below-0": signed([1, "lab", 1, -1, [ONE]]),
        "number-above-2^53": signed([1, "lab", 1, 2**53 + 1, [ONE]]),
        "farm-that-is-no-name": signed([1, "", 1, NUMBER, [ONE]]),
        "short-entry": signed([1, "lab", 1, NUMBER, [ONE[:-1]]]),
        "long-entry": signed([1, "lab", 1, NUMBER, [ONE + b"\1"]]),
        "descending": signed([1, "lab", 1, NUMBER, [TWO, ONE]]),
        "twice": signed([1, "lab", 1, NUMBER, [ONE, ONE]]),
        "too-many": signed([1, "lab", 1, NUMBER, many]),
        "too-long": signed([1, "lab", 1, NUMBER, [ONE], bytes(limits.DENY_LIST_BYTES)]),
    }


@pytest.mark.parametrize(("case", "signed"), malformed().items(), ids=malformed().keys())
def test_what_is_no_list_is_refused(case: str, signed: bytes) -> None:
    error = refusal(lists(), signed)
    assert isinstance(error, DenyListMalformed) and error.code is ErrorCode.DENY_LIST_MALFORMED


def test_the_longest_list_of_the_longest_signer_fits() -> None:
    many = [number.to_bytes(32, "big") for number in range(limits.DENY_LIST_ENTRIES_MAX)]
    longest = len(by_admin(*many, farm="f" * 64)) - len(ALICE[1]) + limits.CERTIFICATE_BYTES
    assert limits.DENY_LIST_BYTES - 2_000 < longest <= limits.DENY_LIST_BYTES
    assert limits.DENY_LIST_BYTES < limits.FRAME_BYTES_LOGON


def test_a_signer_cannot_make_a_list_that_nobody_could_read() -> None:
    many = [number.to_bytes(32, "big") for number in range(limits.DENY_LIST_ENTRIES_MAX + 1)]
    with pytest.raises(DenyListMalformed, match="at most 1000 entries, not 1001"):
        by_authority(*many)


def test_fields_of_a_newer_version_are_ignored() -> None:
    encoded = msgspec.msgpack.encode([1, "lab", 1, NUMBER, [ONE], "new"])
    signature = FARM.key.sign(DENY_LIST_DOMAIN + encoded)
    assert lists().take(msgspec.msgpack.encode((encoded, signature, b"")), NOW).entries == [ONE]


def test_the_next_number_is_the_time_and_above_what_is_held() -> None:
    assert next_number(0, NOW) == NUMBER
    assert next_number(NUMBER - 1, NOW) == NUMBER
    assert next_number(NUMBER + 5, NOW) == NUMBER + 6
