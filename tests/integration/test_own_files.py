"""The keeper's own files: what it knows by them, and what it does when they change."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path

import pytest

from daemons import accounts
from daemons.keeper.own_files import EARLIER_CERTIFICATES, PLAIN, OwnFiles
from tests.integration.keepers import (
    FARM,
    SERVER,
    USER,
    certificate_of,
    write_account,
    write_host,
)
from tsproto import certificates, identity
from tsproto.errors import TsfarmError
from tsproto.user_proof import Methods


class Host:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = write_host(folder)
        self.config.write_text(self.config.read_text().replace("tls = false", "tls = true"))
        self.faults: list[str] = []
        self.files = OwnFiles(self.config, self.faults.append)

    def show(self, pem: bytes) -> bytes:
        """Put another certificate in place; gives its SHA-256."""
        new = self.folder / "new"
        new.write_bytes(pem)
        os.replace(new, self.folder / "ts1.crt")
        return identity.fingerprint(certificates.certificate_der(pem))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_farm_and_name_and_certificate_and_secret_are_its_own(host: Host) -> None:
    found = host.files.host()
    pem = (host.folder / "ts1.crt").read_bytes()
    assert (found.farm, found.server) == (FARM, SERVER)
    assert found.certificates == (identity.fingerprint(certificates.certificate_der(pem)),)
    assert found.secret == accounts.read(host.folder / "accounts").header.secret
    assert found.methods == Methods.PASSWORD | Methods.SSH_KEY


def test_a_host_without_tls_shows_no_certificate(tmp_path: Path) -> None:
    files = OwnFiles(write_host(tmp_path), lambda fault: None)
    assert files.host().certificates == (PLAIN,)


def test_renewed_certificates_are_known_and_the_last_two_before(host: Host) -> None:
    assert EARLIER_CERTIFICATES == 2
    first = host.files.host().certificates[0]
    shown = [first]
    for _ in range(3):
        shown.insert(0, host.show(certificate_of(SERVER)[0]))
        found = host.files.host().certificates
        assert found == tuple(shown[:3])
    assert first not in found


def test_a_labs_clock_is_the_keepers(tmp_path: Path) -> None:
    config = write_host(tmp_path)
    (tmp_path / "clock").write_text("86400\n")
    config.write_text(f'clock_file = "{tmp_path / "clock"}"\n' + config.read_text())
    files = OwnFiles(config, lambda fault: None)
    assert 86_399 < files.now() - time.time() <= 86_400
    (tmp_path / "clock").write_text("172800\n")
    assert 172_799 < files.now() - time.time() <= 172_800


@pytest.mark.parametrize("name", ["ts1.crt", "accounts", "config.toml"])
def test_a_changed_file_that_cannot_be_used_changes_nothing(host: Host, name: str) -> None:
    before = host.files.host()
    (host.folder / name).write_text("{nonsense")
    assert host.files.host() == before
    assert host.files.accounts.find(USER) is not None
    assert len(host.faults) == 1
    assert name in host.faults[0]


@pytest.mark.parametrize("name", ["ts1.crt", "accounts", "config.toml"])
def test_without_a_file_there_is_no_keeper(tmp_path: Path, name: str) -> None:
    config = write_host(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(TsfarmError, match=name):
        OwnFiles(config, lambda fault: None)


def test_another_farms_accounts_are_refused(tmp_path: Path) -> None:
    config = write_host(tmp_path)
    config.write_text(config.read_text().replace('farm = "farm"', 'farm = "other"'))
    with pytest.raises(TsfarmError, match="accounts of farm 'farm', not of 'other'"):
        OwnFiles(config, lambda fault: None)


def test_accounts_are_found_as_they_are_now(host: Host) -> None:
    assert host.files.accounts.find("ada") is None
    write_account(host.folder, "ada", system_user="ada")
    ada = host.files.accounts.find("ada")
    assert ada is not None
    assert ada.system_user == "ada"


NOBODY = next(entry for entry in pwd.getpwall() if entry.pw_uid)


def test_without_root_accounts_of_other_users_are_refused_unless_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY.pw_uid)
    for system_user in ("", NOBODY.pw_name):
        OwnFiles(write_host(tmp_path, system_user=system_user), lambda fault: None)
    others = write_host(tmp_path, system_user="root")
    with pytest.raises(TsfarmError) as caught:
        OwnFiles(others, lambda fault: None)
    assert str(caught.value) == (
        f"accounts name other system users than {NOBODY.pw_name}, root for one: start the terminal"
        " server as root, or set sessions.shared_user = true, and the sessions of all accounts run"
        f" as {NOBODY.pw_name}"
    )
    shared = write_host(tmp_path, system_user="root", sessions={"shared_user": True})
    OwnFiles(shared, lambda fault: None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root believes root's files alone")
@pytest.mark.parametrize("name", ["ts1.crt", "accounts", "config.toml"])
def test_root_believes_only_its_own_files(tmp_path: Path, name: str) -> None:
    config = write_host(tmp_path)
    os.chown(tmp_path / name, NOBODY.pw_uid, -1)
    with pytest.raises(TsfarmError, match=f"user {NOBODY.pw_uid} owns {tmp_path / name}"):
        OwnFiles(config, lambda fault: None)
