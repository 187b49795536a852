from __future__ import annotations

from pathlib import Path

import pytest

from clients.load.visitors.devices import Devices
from tests.unit.clients.licenses import FARM, PRODUCT, token


def test_a_person_keeps_the_device_that_they_got_last() -> None:
    devices = Devices(1, None)
    first = devices.usual("user1")
    second = devices.fresh("user1")
    assert first.key.device_id != second.key.device_id
    assert devices.usual("user1").key.device_id == second.key.device_id
    assert (first.name, second.name) == ("user1-0", "user1-1")


def test_the_first_fresh_device_is_the_first_of_all() -> None:
    assert Devices(1, None).fresh("user1").name == "user1-0"


def test_no_two_people_share_a_device_and_no_two_seeds() -> None:
    made = [
        Devices(seed, None).usual(owner).key.device_id
        for seed in (1, 2)
        for owner in ("user1", "user2", "1 user1")
    ]
    assert len(set(made)) == 6


@pytest.mark.parametrize("kept", [False, True])
def test_the_same_seed_makes_the_same_devices(tmp_path: Path, kept: bool) -> None:
    runs = [Devices(7, tmp_path / str(run) if kept else None) for run in range(2)]
    first, second = (run.fresh("user1") for run in runs)
    assert first.key.device_id == second.key.device_id


def test_a_kept_device_has_its_license_in_the_next_run(tmp_path: Path) -> None:
    device = Devices(1, tmp_path).fresh("user1")
    device.store_license(FARM, token(device.key.device_id), b"der")
    again = Devices(1, tmp_path).usual("user1")
    assert again.key.device_id == device.key.device_id
    assert again.license(FARM, PRODUCT) is not None


def test_a_fresh_device_is_one_that_no_run_has_kept(tmp_path: Path) -> None:
    Devices(1, tmp_path).fresh("user1")
    Devices(1, tmp_path).fresh("user1")
    devices = Devices(1, tmp_path)
    assert devices.fresh("user1").name == "user1-2"
    assert devices.fresh("user2").name == "user2-0"


def test_a_persons_name_cannot_choose_a_folder_elsewhere(tmp_path: Path) -> None:
    Devices(1, tmp_path / "devices").usual("../../user1")
    assert [path.name for path in tmp_path.iterdir()] == ["devices"]
