"""What holds for every device, wherever its licenses are."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.device import Device
from clients.files import DeviceStoreError
from clients.licensed_device import LicensedDevice
from clients.load.visitors.devices import LicensesInMemory
from tests.unit.clients.licenses import FARM, PRODUCT, token
from tsproto.identity import DeviceKey, verify_device_proof
from tsproto.messages import LicenseRequest

REQUEST = LicenseRequest(nonce=b"n" * 32, product=PRODUCT, product_version=1)


@pytest.fixture(params=["in files", "in memory"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> LicensedDevice:
    if request.param == "in files":
        return Device.open(tmp_path / "store", "laptop1")
    return LicensedDevice(DeviceKey(b"s" * 32), "laptop1", LicensesInMemory())


def test_a_device_without_a_license_proves_itself_all_the_same(device: LicensedDevice) -> None:
    info = device.license_info(FARM, REQUEST, b"c" * 32, "user1")
    proved = verify_device_proof(info.public_key, info.signature, REQUEST.nonce, b"c" * 32)
    assert proved == device.key.device_id
    assert (info.token, info.issuer_certificate) == (b"", b"")
    assert (info.device_name, info.user_name) == ("laptop1", "user1")


def test_a_license_is_shown_to_its_farm_and_for_its_product_only(device: LicensedDevice) -> None:
    held = token(device.key.device_id)
    assert device.store_license(FARM, held, b"der") == b"l" * 16
    info = device.license_info(FARM, REQUEST, bytes(32), "user1")
    assert (info.token, info.issuer_certificate) == (held, b"der")
    assert device.license("other", PRODUCT) is None
    assert device.license(FARM, "editor") is None


def test_a_license_takes_the_place_of_the_one_before(device: LicensedDevice) -> None:
    device.store_license(FARM, token(device.key.device_id), b"old")
    device.store_license(FARM, token(device.key.device_id, license_id=b"m" * 16), b"new")
    kept = device.license(FARM, PRODUCT)
    assert kept is not None
    assert (kept.claims.license_id, kept.issuer_certificate) == (b"m" * 16, b"new")


def test_a_license_of_another_device_or_farm_pushes_nothing_out(device: LicensedDevice) -> None:
    held = token(device.key.device_id)
    device.store_license(FARM, held, b"der")
    strange = [token(b"x" * 32), token(device.key.device_id, farm="other"), b"no token"]
    for pushed in strange:
        with pytest.raises(DeviceStoreError):
            device.store_license(FARM, pushed, b"der")
    kept = device.license(FARM, PRODUCT)
    assert kept is not None and kept.token == held
