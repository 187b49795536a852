from __future__ import annotations

import pytest

from tsproto.authorities import (
    ENDORSEMENT_DOMAIN,
    Authorities,
    endorse,
    is_endorsed,
    read_authorities,
)
from tsproto.certificates import certificate_der, create_authority, issue_certificate
from tsproto.identity import IdentityError, load_key
from tsproto.messages import Role

NOW = 1_800_000_000.0
DAY = 86_400
OLD_PEM, OLD_KEY = create_authority("lab", NOW, days=30)
NEW_PEM, NEW_KEY = create_authority("lab", NOW)
FOREIGN_PEM, FOREIGN_KEY = create_authority("other", NOW)
OLD, NEW, FOREIGN = map(certificate_der, (OLD_PEM, NEW_PEM, FOREIGN_PEM))
ENDORSEMENT = endorse(NEW, load_key(OLD_KEY))


def test_one_certificate_is_a_file_of_authorities() -> None:
    assert read_authorities(OLD_PEM) == Authorities((OLD,))
    assert Authorities((OLD,)).to_pem() == OLD_PEM


def test_a_file_keeps_the_newest_first_and_its_endorsement() -> None:
    both = Authorities((NEW, OLD), ENDORSEMENT)
    assert read_authorities(both.to_pem()) == both
    assert both.farm == "lab"
    assert both.endorsement_of(NEW) == ENDORSEMENT
    assert both.endorsement_of(OLD) == b""


def test_a_certificate_is_of_the_authority_that_signed_it() -> None:
    both = Authorities((NEW, OLD), ENDORSEMENT)
    pem, _ = issue_certificate(OLD_PEM, OLD_KEY, Role.TERMINAL_SERVER, "ts1", NOW)
    assert both.issuer_of(certificate_der(pem)) == OLD
    assert Authorities((NEW,)).issuer_of(certificate_der(pem)) is None


def test_an_endorsement_is_the_older_keys_signature_of_the_newer_certificate() -> None:
    assert ENDORSEMENT == load_key(OLD_KEY).sign(ENDORSEMENT_DOMAIN + NEW)
    assert is_endorsed(NEW, ENDORSEMENT, OLD, NOW)


@pytest.mark.parametrize(
    ("authority", "endorsement", "by", "now"),
    [
        (NEW, ENDORSEMENT, NEW, NOW),
        (NEW, b"", OLD, NOW),
        (NEW, ENDORSEMENT[:63], OLD, NOW),
        (OLD, ENDORSEMENT, OLD, NOW),
        (NEW, load_key(OLD_KEY).sign(NEW), OLD, NOW),
        (NEW, endorse(NEW, load_key(FOREIGN_KEY)), FOREIGN, NOW),
        (NEW, ENDORSEMENT, OLD, NOW + 30 * DAY),
        (b"rubbish", endorse(b"rubbish", load_key(OLD_KEY)), OLD, NOW),
    ],
    ids=["itself", "none", "short", "other", "no-domain", "other-farm", "expired", "rubbish"],
)
def test_any_other_endorsement_counts_nothing(
    authority: bytes, endorsement: bytes, by: bytes, now: float
) -> None:
    assert not is_endorsed(authority, endorsement, by, now)


def test_an_endorsement_counts_until_the_older_authority_expires() -> None:
    assert is_endorsed(NEW, ENDORSEMENT, OLD, NOW + 30 * DAY - 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no certificate in PEM form"),
        (OLD_KEY, "no certificate in PEM form"),
        (OLD_PEM * 5, "holds 5 certificates, at most 4"),
        (OLD_PEM + FOREIGN_PEM, "of several farms: lab, other"),
        (
            OLD_PEM + issue_certificate(OLD_PEM, OLD_KEY, Role.TERMINAL_SERVER, "ts1", NOW)[0],
            "not a farm's authority",
        ),
        (Authorities((NEW, OLD), b"short").to_pem(), "endorsement .* is damaged"),
        (Authorities((NEW, OLD), ENDORSEMENT).to_pem() * 2, "endorsement .* is damaged"),
    ],
    ids=["empty", "key", "too-many", "farms", "daemon", "short", "twice"],
)
def test_a_file_of_something_else_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(IdentityError, match=says):
        read_authorities(content)


def test_as_many_authorities_as_may_be_are_read() -> None:
    assert read_authorities(OLD_PEM * 4).certificates == (OLD,) * 4
