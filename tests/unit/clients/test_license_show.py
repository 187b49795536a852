from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clients.cli import main
from clients.device import Device
from clients.exit_codes import ExitCode
from tests.unit.clients.licenses import FARM, token
from tsproto.messages import LicenseKind

DAY = 86_400
NOW = 1_700_000_000.0


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def licensed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    device = Device.open(tmp_path / "store", "laptop1")
    held = token(device.key.device_id, kind=LicenseKind.TEMPORARY, expires_at=int(NOW) + 90 * DAY)
    device.store_license(FARM, held, b"der")
    monkeypatch.setattr("time.time", lambda: NOW)
    return device.folder


def test_licenses_are_shown_with_the_days_left(licensed: Path) -> None:
    done = run("license", "show", "--store", licensed)
    heading, row = done.stdout.splitlines()
    assert heading.split() == "FARM PRODUCT VERSION KIND ISSUER DEVICE EXPIRES DAYS LEFT".split()
    assert row.split()[:6] == "lab terminal-server 1 temporary license-a laptop1".split()
    assert row.split()[-1] == "90"


def test_licenses_are_shown_to_programs(licensed: Path) -> None:
    [row] = json.loads(run("license", "show", "--store", licensed, "--json").stdout)
    assert (row["kind"], row["issuer"], row["days_left"]) == ("temporary", "license-a", 90)
    assert row["license_id"] == (b"l" * 16).hex()


def test_a_device_without_licenses_is_no_error(tmp_path: Path) -> None:
    assert run("license", "show", "--store", tmp_path).stdout == f"no license in {tmp_path}\n"
    assert json.loads(run("license", "show", "--store", tmp_path, "--json").stdout) == []


def test_a_damaged_license_is_an_error(licensed: Path) -> None:
    file = licensed / "licenses" / FARM / "terminal-server"
    file.write_bytes(b"{")
    done = run("license", "show", "--store", licensed)
    assert done.exit_code == ExitCode.FAILED
    assert done.stderr == (
        f"tsfarm: {file} is damaged: delete it, and the farm gives this device the same license"
        " again\n"
    )
