from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from clients.files import DeviceStoreError
from clients.known_farms import KnownFarms
from tests.unit.tsproto.test_deny_list import by_authority
from tsproto import certificates, identity

AUTHORITY, _ = certificates.create_authority("lab", 0.0)
TODAY = date(2026, 11, 28)
OTHER, _ = certificates.create_authority("lab", 0.0)


def shown(pem: bytes) -> str:
    return identity.show_fingerprint(identity.fingerprint(certificates.certificate_der(pem)))


def test_a_farm_is_remembered_with_the_hosts_that_showed_it(tmp_path: Path) -> None:
    KnownFarms(tmp_path).remember("ts1", 5600, AUTHORITY)
    KnownFarms(tmp_path).remember("::1", 5600, AUTHORITY)
    known = KnownFarms(tmp_path)
    assert known.authorities(TODAY) == [AUTHORITY]
    assert known.fingerprint_of("ts1", 5600) == known.fingerprint_of("::1", 5600)
    assert known.fingerprint_of("ts1", 5600) == shown(AUTHORITY)
    assert known.fingerprint_of("ts1", 5601) is None
    assert (tmp_path / "known_farms").read_text().splitlines()[1].startswith("[::1]:5600 ")


def test_a_known_host_keeps_the_authority_it_was_met_with(tmp_path: Path) -> None:
    known = KnownFarms(tmp_path)
    known.remember("ts1", 5600, AUTHORITY)
    known.remember("ts1", 5600, OTHER)
    assert known.fingerprint_of("ts1", 5600) == shown(AUTHORITY)


def test_an_authority_is_found_by_its_fingerprint(tmp_path: Path) -> None:
    known = KnownFarms(tmp_path)
    known.remember("ts1", 5600, AUTHORITY)
    fingerprint = identity.fingerprint(certificates.certificate_der(AUTHORITY))
    assert known.authority(fingerprint) == AUTHORITY
    assert known.authority(bytes(32)) is None


def test_a_new_authority_succeeds_and_the_older_one_counts_for_ninety_days(tmp_path: Path) -> None:
    known = KnownFarms(tmp_path)
    known.remember("ts1", 5600, AUTHORITY)
    known.succeed("ts1", 5600, OTHER, TODAY)
    known.succeed("ts1", 5600, OTHER, TODAY + timedelta(days=1))
    last = TODAY + timedelta(days=90)
    assert known.file.read_text() == f"ts1:5600 {shown(OTHER)} {shown(AUTHORITY)} {last}\n"
    assert known.fingerprint_of("ts1", 5600) == shown(OTHER)
    assert known.authorities_of("ts1", 5600, TODAY) == [OTHER, AUTHORITY]
    assert known.authorities_of("ts1", 5600, last) == [OTHER, AUTHORITY]
    assert known.authorities_of("ts1", 5600, last + timedelta(days=1)) == [OTHER]
    assert sorted(known.authorities(last)) == sorted([OTHER, AUTHORITY])
    assert known.authorities(last + timedelta(days=1)) == [OTHER]
    known.remember("ts2", 5600, AUTHORITY)  # another host still has it
    assert sorted(known.authorities(last + timedelta(days=1))) == sorted([OTHER, AUTHORITY])


def test_an_authority_that_an_unknown_host_shows_is_kept_without_the_host(tmp_path: Path) -> None:
    known = KnownFarms(tmp_path)
    known.succeed("ts1", 5600, OTHER, TODAY)
    assert known.authorities(TODAY) == [OTHER]
    assert known.fingerprint_of("ts1", 5600) is None


@pytest.mark.parametrize("line", ["ts1:5600", "ts1:5600 MD5:abc", "ts1:5600 AB:CD", "a b c"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    known = KnownFarms(tmp_path)
    known.remember("ts1", 5600, AUTHORITY)
    with known.file.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DeviceStoreError, match=f"{known.file}, line 2: expected HOST:PORT"):
        known.fingerprint_of("ts1", 5600)


@pytest.mark.parametrize("content", [b"", OTHER], ids=["empty", "exchanged"])
def test_an_authority_that_is_not_what_was_accepted_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    known = KnownFarms(tmp_path)
    known.remember("ts1", 5600, AUTHORITY)
    [path] = (tmp_path / "authorities").iterdir()
    path.write_bytes(content)
    with pytest.raises(DeviceStoreError, match=f"{path} is damaged: delete it"):
        known.authorities(TODAY)


def test_a_deny_list_is_kept_beside_its_authority(tmp_path: Path) -> None:
    known = KnownFarms(tmp_path)
    assert known.deny_list(AUTHORITY) == b""
    signed = by_authority(b"\1" * 32)
    known.keep_deny_list(AUTHORITY, signed)
    assert KnownFarms(tmp_path).deny_list(AUTHORITY) == signed
    assert known.deny_list(OTHER) == b""
    assert known.authorities(TODAY) == []


def test_a_damaged_deny_list_is_named(tmp_path: Path) -> None:
    known = KnownFarms(tmp_path)
    known.keep_deny_list(AUTHORITY, b"damaged")
    with pytest.raises(DeviceStoreError, match=r"\.deny is damaged: delete it"):
        known.deny_list(AUTHORITY)
