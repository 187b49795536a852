from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from clients.device import Device, default_folder, held_licenses
from clients.files import DeviceStoreError
from tests.unit.clients.licenses import FARM, PRODUCT, token
from tsproto.identity import DeviceKey
from tsproto.messages import LicenseRequest

REQUEST = LicenseRequest(nonce=b"n" * 32, product=PRODUCT, product_version=1)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device.open(tmp_path / "store", "laptop1")


def license_file(device: Device) -> Path:
    return device.folder / "licenses" / FARM / PRODUCT


# --- key and name -------------------------------------------------------------------------------


def test_a_new_store_is_for_its_owner_alone(device: Device) -> None:
    assert device.folder.stat().st_mode & 0o777 == 0o700
    assert (device.folder / "key").stat().st_mode & 0o777 == 0o600


def test_a_device_stays_itself(device: Device) -> None:
    again = Device.open(device.folder)
    assert (again.key.device_id, again.name) == (device.key.device_id, "laptop1")


def test_a_device_is_called_as_its_host_until_it_gets_a_name(tmp_path: Path) -> None:
    assert Device.open(tmp_path).name == socket.gethostname()[:64]
    assert Device.open(tmp_path, " new\x1bname ").name == "newname"
    assert Device.open(tmp_path).name == "newname"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_use_is_refused_with_the_remedy(device: Device, mode: int) -> None:
    key = device.folder / "key"
    key.chmod(mode)
    with pytest.raises(DeviceStoreError, match=f"run `chmod 600 {key}`"):
        Device.open(device.folder)


def test_a_folder_that_others_can_write_is_refused_with_the_remedy(device: Device) -> None:
    device.folder.chmod(0o770)
    with pytest.raises(DeviceStoreError, match=f"run `chmod go-w {device.folder}`"):
        Device.open(device.folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_damaged_key_is_named(device: Device, content: bytes) -> None:
    (device.folder / "key").write_bytes(content)
    with pytest.raises(DeviceStoreError, match="key is damaged"):
        Device.open(device.folder)


def test_a_lost_key_is_not_replaced_while_licenses_hang_on_it(device: Device) -> None:
    device.store_license(FARM, token(device.key.device_id), b"der")
    (device.folder / "key").unlink()
    with pytest.raises(DeviceStoreError, match="key is missing"):
        Device.open(device.folder)


def test_a_store_that_cannot_be_made_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceStoreError, match=f"{tmp_path}/file/store"):
        Device.open(tmp_path / "file" / "store")


def test_the_default_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_folder() == Path("/data/tsfarm")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/user1")
    assert default_folder() == Path("/home/user1/.local/share/tsfarm")


# --- licenses -----------------------------------------------------------------------------------


def test_a_stored_license_is_there_when_the_store_is_opened_again(device: Device) -> None:
    held = token(device.key.device_id)
    device.store_license(FARM, held, b"der")
    info = Device.open(device.folder).license_info(FARM, REQUEST, bytes(32), "user1")
    assert (info.token, info.issuer_certificate) == (held, b"der")


def test_a_new_store_may_be_given_its_key(tmp_path: Path) -> None:
    key = DeviceKey(b"s" * 32)
    assert Device.open(tmp_path, new_key=key).key.device_id == key.device_id
    other = DeviceKey(b"t" * 32)
    assert Device.open(tmp_path, new_key=other).key.device_id == key.device_id


def test_a_license_replaces_the_one_for_its_product(device: Device) -> None:
    device.store_license(FARM, token(device.key.device_id), b"old")
    device.store_license(FARM, token(device.key.device_id, license_id=b"m" * 16), b"new")
    device.store_license(FARM, token(device.key.device_id, product="editor"), b"der")
    assert [held.claims.product for held in held_licenses(device.folder)] == ["editor", PRODUCT]
    assert held_licenses(device.folder)[1].claims.license_id == b"m" * 16


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"token": 1}', b'{"token":"AAAA","issuer_certificate":""}', b"\xff"]
)
def test_a_damaged_license_is_named_with_what_to_do(device: Device, content: bytes) -> None:
    device.store_license(FARM, token(device.key.device_id), b"der")
    license_file(device).write_bytes(content)
    with pytest.raises(DeviceStoreError, match=f"{license_file(device)} is damaged: delete it"):
        device.license_info(FARM, REQUEST, bytes(32), "user1")
    with pytest.raises(DeviceStoreError):
        held_licenses(device.folder)


def test_every_cut_of_a_license_is_noticed(device: Device) -> None:
    device.store_license(FARM, token(device.key.device_id), b"der")
    whole = license_file(device).read_bytes()
    for length in range(len(whole)):
        license_file(device).write_bytes(whole[:length])
        with pytest.raises(DeviceStoreError):
            device.license(FARM, PRODUCT)


def test_a_crash_while_storing_leaves_the_old_license(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = token(device.key.device_id)
    device.store_license(FARM, old, b"der")
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        device.store_license(FARM, token(device.key.device_id, license_id=b"m" * 16), b"der")
    monkeypatch.undo()
    [kept] = held_licenses(device.folder)
    assert kept.token == old


def test_a_full_disk_is_an_error_and_no_traceback(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeviceStoreError, match="No space left on device"):
        device.store_license(FARM, token(device.key.device_id), b"der")


@pytest.mark.parametrize("name", ["", "..", "a/b", "../../etc"])
def test_a_farm_cannot_choose_a_file_elsewhere(device: Device, name: str) -> None:
    with pytest.raises(DeviceStoreError, match="names neither a farm nor a product"):
        device.license(name, PRODUCT)


def test_looking_at_licenses_makes_no_store(tmp_path: Path) -> None:
    assert held_licenses(tmp_path / "nothing") == []
    assert not (tmp_path / "nothing").exists()
