import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tsproto import deny_list, limits
from tsproto.certificates import certificate_der, create_authority, issue_certificate
from tsproto.deny_list import DenyKind, DenyList, DenyLists
from tsproto.errors import (
    LicenseExpired,
    LicenseForeign,
    LicenseNotYours,
    LicenseOutdated,
    LicenseRevoked,
    LicenseTampered,
)
from tsproto.identity import fingerprint, load_key
from tsproto.license_token import Claims, Verifier, issue, read_claims
from tsproto.messages import LicenseKind, Role

NOW = 1_800_000_000
EXPIRY = NOW + 60 * limits.DAY_SECONDS
DEVICE = bytes(range(32))

AUTHORITY = create_authority("lab", NOW)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)


def certificate(
    name: str = "ls1",
    *,
    role: Role = Role.LICENSE_SERVER,
    authority: tuple[bytes, bytes] = AUTHORITY,
    key: Ed25519PrivateKey = KEY,
    days: int = 20 * 365,
) -> bytes:
    return certificate_der(issue_certificate(*authority, role, name, NOW, days=days, key=key)[0])


CERTIFICATE = certificate()
CLAIMS = Claims(
    farm="lab",
    issuer="ls1",
    kind=LicenseKind.FULL,
    license_id=bytes(16),
    product="terminal-server",
    product_version=2,
    device_id=DEVICE,
    device_name="laptop1",
    user_name="user1",
    issued_at=NOW,
    expires_at=EXPIRY,
    key_pack="pack1",
)
TOKEN = issue(CLAIMS, KEY)


def token_with(key: Ed25519PrivateKey = KEY, **changes: object) -> bytes:
    return issue(msgspec.structs.replace(CLAIMS, **changes), key)


def verifier(remembered: int = 16) -> Verifier:
    return Verifier([certificate_der(AUTHORITY[0])], "lab", remembered)


def verified(
    token: bytes = TOKEN,
    issuer_certificate: bytes = CERTIFICATE,
    *,
    by: Verifier | None = None,
    device_id: bytes = DEVICE,
    product: str = "terminal-server",
    product_version: int = 2,
    now: float = NOW,
) -> Claims:
    return (by or verifier()).verify(
        token,
        issuer_certificate,
        device_id=device_id,
        product=product,
        product_version=product_version,
        now=now,
    )


def test_a_token_of_the_farm_counts() -> None:
    assert verified() == CLAIMS
    assert read_claims(TOKEN) == CLAIMS


def test_a_token_with_any_byte_changed_is_tampered_with() -> None:
    checker = verifier()
    for position in range(len(TOKEN)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(TOKEN)
            changed[position] ^= flip
            with pytest.raises(LicenseTampered):
                verified(bytes(changed), by=checker)


def test_a_token_cut_short_or_continued_is_tampered_with() -> None:
    checker = verifier()
    for length in range(len(TOKEN)):
        with pytest.raises(LicenseTampered):
            verified(TOKEN[:length], by=checker)
    for longer in (TOKEN + b"\0", TOKEN + bytes(limits.TOKEN_BYTES)):
        with pytest.raises(LicenseTampered):
            verified(longer, by=checker)


def test_a_token_has_one_encoding_only() -> None:
    claims, signature = msgspec.msgpack.decode(TOKEN)
    header = b"\x92\xc5" + len(claims).to_bytes(2, "big")
    longer_header = header + claims + b"\xc4\x40" + signature
    assert msgspec.msgpack.decode(longer_header) == [claims, signature]
    with pytest.raises(LicenseTampered):
        verified(longer_header)


def test_a_token_signed_by_another_key_is_tampered_with() -> None:
    with pytest.raises(LicenseTampered):
        verified(issue(CLAIMS, OTHER_KEY))


def test_a_signature_over_bare_claims_is_no_tokens() -> None:
    claims, _ = msgspec.msgpack.decode(TOKEN)
    with pytest.raises(LicenseTampered):
        verified(msgspec.msgpack.encode([claims, KEY.sign(claims)]))


@pytest.mark.parametrize("kind", [LicenseKind.NONE, LicenseKind.GRACE])
def test_what_is_no_token_kind_cannot_be_issued_or_read(kind: LicenseKind) -> None:
    with pytest.raises(LicenseTampered, match=kind.name):
        token_with(kind=kind)


def test_an_unreadable_certificate_is_tampered_with() -> None:
    for damaged in (b"", b"rubbish", CERTIFICATE[:-1]):
        with pytest.raises(LicenseTampered):
            verified(issuer_certificate=damaged)


def test_a_certificate_with_any_byte_changed_counts_for_nothing() -> None:
    checker = verifier()
    for position in range(0, len(CERTIFICATE), 3):
        changed = bytearray(CERTIFICATE)
        changed[position] ^= 0x01
        with pytest.raises((LicenseTampered, LicenseForeign)):
            verified(issuer_certificate=bytes(changed), by=checker)


def test_a_token_of_another_farm_is_foreign() -> None:
    other_farm = create_authority("other", NOW)
    token = token_with(OTHER_KEY, farm="other")
    with pytest.raises(LicenseForeign):
        verified(token, certificate(authority=other_farm, key=OTHER_KEY))


def test_a_farm_of_the_same_name_has_another_authority() -> None:
    with pytest.raises(LicenseForeign):
        verified(TOKEN, certificate(authority=create_authority("lab", NOW)))


@pytest.mark.parametrize("role", [Role.TERMINAL_SERVER, Role.SESSION_DIRECTORY, Role.ADMINISTRATOR])
def test_only_a_license_server_issues(role: Role) -> None:
    with pytest.raises(LicenseForeign):
        verified(TOKEN, certificate(role=role))


def test_the_authority_itself_issues_no_token() -> None:
    with pytest.raises(LicenseForeign):
        verified(TOKEN, certificate_der(AUTHORITY[0]))


def test_an_issuer_speaks_for_itself_and_its_farm_only() -> None:
    for token in (token_with(issuer="ls2"), token_with(farm="other")):
        with pytest.raises(LicenseForeign):
            verified(token)


def test_a_farms_authority_certifies_for_no_other_farm() -> None:
    elsewhere = Verifier([certificate_der(AUTHORITY[0])], "other")
    with pytest.raises(LicenseForeign):
        verified(token_with(farm="other"), by=elsewhere)


def test_an_issuer_counts_until_no_token_of_its_certificate_can_live() -> None:
    short = certificate(days=365)
    ends = NOW + (365 + 90) * limits.DAY_SECONDS
    token = token_with(expires_at=ends + 10)
    checker = verifier()
    assert verified(token, short, by=checker, now=ends - 1)
    with pytest.raises(LicenseForeign):
        verified(token, short, by=checker, now=ends)
    with pytest.raises(LicenseForeign):
        verified(token, short, by=checker, now=NOW - limits.DAY_SECONDS - 1)


def test_any_authority_of_the_farm_certifies_issuers() -> None:
    new = create_authority("lab", NOW)
    both = Verifier([certificate_der(new[0]), certificate_der(AUTHORITY[0])], "lab")
    assert verified(TOKEN, certificate(authority=AUTHORITY), by=both)
    assert verified(TOKEN, certificate(authority=new), by=both)
    with pytest.raises(LicenseForeign):
        verified(TOKEN, certificate(authority=create_authority("lab", NOW)), by=both)


def test_another_product_is_foreign() -> None:
    with pytest.raises(LicenseForeign):
        verified(product="database")


def test_a_newer_license_serves_an_older_server_and_never_the_reverse() -> None:
    assert verified(product_version=1) == CLAIMS
    with pytest.raises(LicenseOutdated):
        verified(product_version=3)


def test_a_copied_token_is_not_yours() -> None:
    with pytest.raises(LicenseNotYours):
        verified(device_id=bytes(32))


def test_a_token_has_expired_at_its_expiry() -> None:
    assert verified(now=EXPIRY - 1) == CLAIMS
    with pytest.raises(LicenseExpired):
        verified(now=EXPIRY)


def test_a_token_of_a_revoked_license_server_counts_no_more_from_the_moment_that_it_is() -> None:
    lists = DenyLists("lab", [certificate_der(AUTHORITY[0])])
    checker = Verifier([certificate_der(AUTHORITY[0])], "lab", deny_lists=lists)
    assert verified(by=checker) == CLAIMS
    denied = DenyList(
        farm="lab",
        kind=DenyKind.CERTIFICATES,
        number=int(NOW * 1_000_000),
        entries=[fingerprint(CERTIFICATE)],
    )
    lists.take(deny_list.sign(denied, load_key(AUTHORITY[1])), NOW)
    with pytest.raises(LicenseRevoked, match="certificate of license server ls1 was revoked"):
        verified(by=checker)
    with pytest.raises(LicenseOutdated):
        verified(by=checker, product_version=3)


def test_the_first_reason_is_the_one_told() -> None:
    with pytest.raises(LicenseForeign):
        verified(product="database", device_id=bytes(32), now=EXPIRY)
    with pytest.raises(LicenseNotYours):
        verified(device_id=bytes(32), product_version=3, now=EXPIRY)
    with pytest.raises(LicenseOutdated):
        verified(product_version=3, now=EXPIRY)


def test_a_remembered_token_is_still_checked_for_device_product_and_expiry() -> None:
    checker = verifier()
    assert verified(by=checker) == CLAIMS
    with pytest.raises(LicenseNotYours):
        verified(by=checker, device_id=bytes(32))
    with pytest.raises(LicenseOutdated):
        verified(by=checker, product_version=3)
    with pytest.raises(LicenseExpired):
        verified(by=checker, now=EXPIRY)
    with pytest.raises(LicenseForeign):
        verified(by=checker, issuer_certificate=certificate(role=Role.TERMINAL_SERVER))
    with pytest.raises(LicenseTampered):
        verified(by=checker, issuer_certificate=certificate(key=OTHER_KEY))


def test_a_remembered_token_is_verified_once() -> None:
    checker = verifier()
    assert verified(by=checker) is verified(by=checker)


def test_the_longest_unused_token_is_forgotten_first() -> None:
    tokens = [token_with(license_id=bytes([number]) * 16) for number in range(3)]
    checker = verifier(remembered=2)
    first, second = (verified(token, by=checker) for token in tokens[:2])
    assert verified(tokens[0], by=checker) is first
    verified(tokens[2], by=checker)
    assert verified(tokens[0], by=checker) is first
    assert verified(tokens[1], by=checker) is not second


def test_the_largest_claims_make_a_token_within_its_bound() -> None:
    token = token_with(
        farm="f" * 64,
        issuer="i" * 64,
        product="p" * 64,
        key_pack="k" * 64,
        product_version=65_535,
        device_name="\U0001f4bb" * 64,
        user_name="\U0001f600" * 104,
        issued_at=2**40,
        expires_at=2**40,
    )
    assert len(token) <= limits.TOKEN_BYTES
    assert read_claims(token).user_name == "\U0001f600" * 64
    assert read_claims(token).device_name == "\U0001f4bb" * 64


def test_claims_of_a_later_version_are_not_guessed_at() -> None:
    fields = list(msgspec.structs.astuple(CLAIMS))
    newer = msgspec.msgpack.encode([2, *fields[1:]])
    with pytest.raises(LicenseTampered):
        read_claims(msgspec.msgpack.encode([newer, bytes(64)]))
