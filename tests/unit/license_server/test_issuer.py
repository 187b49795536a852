"""What a token says, and which tokens of a lender count."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from daemons.license_server.issuer import Issuer, UnusableAnswer
from daemons.license_server.records import LicenseRecord
from tests.unit.license_server.scenario import (
    DAY,
    FULL,
    LAPTOP,
    PHONE,
    PRODUCT,
    START,
    TEMPORARY,
    Server,
    acquire,
    claims,
)
from tsproto import certificates, identity
from tsproto.license_token import Verifier, holder_of
from tsproto.messages import Role


def test_the_token_names_device_user_product_and_issuer() -> None:
    said = claims(Server("a").issued(acquire()))
    assert (said.farm, said.issuer, said.device_id) == ("farm", "a", LAPTOP)
    assert (said.device_name, said.user_name, said.product) == ("laptop", "ann", PRODUCT)
    assert holder_of(said) == holder_of(acquire()) == LAPTOP


def test_a_token_is_accepted_by_the_farms_verifier() -> None:
    now = 1_800_000_000.0
    authority, authority_key = certificates.create_authority("farm", now)
    certificate_pem, key_pem = certificates.issue_certificate(
        authority, authority_key, Role.LICENSE_SERVER, "a", now
    )
    certificate = certificates.certificate_der(certificate_pem)
    issuer = Issuer("farm", "a", identity.load_key(key_pem), certificate)
    issued = issuer.issued(license_record(expires_at=int(now) + DAY))
    verified = Verifier([certificates.certificate_der(authority)], "farm").verify(
        issued.token,
        issued.issuer_certificate,
        device_id=LAPTOP,
        product=PRODUCT,
        product_version=1,
        now=now,
    )
    assert verified.license_id == issued.license_id


def license_record(**differing: Any) -> LicenseRecord:
    common: dict[str, Any] = {
        "license_id": b"license".ljust(16),
        "kind": FULL,
        "product": PRODUCT,
        "product_version": 1,
        "device_id": LAPTOP,
        "device_name": "laptop",
        "user_name": "ann",
        "issued_at": int(START),
        "expires_at": int(START) + 60 * DAY,
    }
    return LicenseRecord(**(common | differing))


def issuer_of(name: str, farm: str = "farm") -> Issuer:
    return Issuer(farm, name, Ed25519PrivateKey.from_private_bytes(bytes(32)), b"certificate")


def test_a_lenders_token_is_taken_with_what_it_says() -> None:
    answer = issuer_of("b").issued(license_record(key_pack="pack-1"))
    license = issuer_of("a").borrowed(answer, acquire(), "b", START)
    assert (license.lender, license.token, license.key_pack) == ("b", answer.token, "pack-1")
    assert issuer_of("a").issued(license).token == answer.token


@pytest.mark.parametrize(
    "differing",
    [
        {"kind": TEMPORARY},
        {"device_id": PHONE},
        {"product": "other"},
        {"product_version": 1},
        {"expires_at": int(START)},
    ],
    ids=lambda differing: next(iter(differing)),
)
def test_a_token_that_was_not_asked_for_does_not_count(differing: dict[str, Any]) -> None:
    answer = issuer_of("b").issued(license_record(**{"product_version": 2, **differing}))
    with pytest.raises(UnusableAnswer):
        issuer_of("a").borrowed(answer, acquire(version=2), "b", START)


def test_a_token_of_another_issuer_farm_or_of_ones_own_does_not_count() -> None:
    own, other_farm = issuer_of("a"), issuer_of("b", "other")
    for issuer, peer in ((issuer_of("c"), "b"), (other_farm, "b"), (own, "a")):
        with pytest.raises(UnusableAnswer):
            issuer_of("a").borrowed(issuer.issued(license_record()), acquire(), peer, START)


def test_an_answer_that_does_not_agree_with_its_token_does_not_count() -> None:
    issued = issuer_of("b").issued(license_record())
    for wrong in (
        replace(issued, expires_at=issued.expires_at + 1),
        replace(issued, license_id=b"?" * 16),
        replace(issued, token=b"no token"),
    ):
        with pytest.raises(UnusableAnswer):
            issuer_of("a").borrowed(wrong, acquire(), "b", START)


def test_a_token_that_a_lender_has_lent_itself_comes_from_its_issuer() -> None:
    answer = replace(issuer_of("c").issued(license_record()), lender="c")
    assert issuer_of("a").borrowed(answer, acquire(), "b", START).lender == "c"
