"""What an operator reads when a daemon's certificate, key or authority is not the right one."""

from __future__ import annotations

import secrets
import socket
import time
from pathlib import Path

import pytest

from daemons.clock import Clock
from daemons.config import ConfigError
from daemons.license_server.records import KeyPackRecord
from daemons.settings import DaemonSettings, IdentityFiles, Listen
from daemons.startup import Credentials, Start, config_argument, load_credentials
from daemons.store.memory import MemoryStore
from tsproto.certificates import certificate_der, create_authority, issue_certificate
from tsproto.messages import Role
from tsproto.transport import LocalIdentity

NOW = time.time()  # certificates are checked against the system's clock, as TLS does
AUTHORITY, AUTHORITY_KEY = create_authority("north", NOW)
CERTIFICATE, KEY = issue_certificate(AUTHORITY, AUTHORITY_KEY, Role.LICENSE_SERVER, "ls1", NOW)


def load(
    folder: Path,
    *,
    certificate: bytes = CERTIFICATE,
    key: bytes = KEY,
    authority: bytes = AUTHORITY,
    farm: str = "north",
) -> Credentials:
    for name, content in (("crt", certificate), ("key", key), ("ca", authority)):
        (folder / name).write_bytes(content)
    files = IdentityFiles(
        certificate=f"{folder}/crt", key=f"{folder}/key", authority=f"{folder}/ca"
    )
    return load_credentials(files, farm, Role.LICENSE_SERVER)


def test_a_daemons_name_stands_in_its_certificate(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.name == "ls1"
    assert found.certificate == certificate_der(CERTIFICATE)
    assert found.authority == certificate_der(AUTHORITY)


def test_a_certificate_of_another_role(tmp_path: Path) -> None:
    other, key = issue_certificate(AUTHORITY, AUTHORITY_KEY, Role.TERMINAL_SERVER, "ts1", NOW)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, certificate=other, key=key)
    assert str(caught.value) == (
        f"identity.certificate: {tmp_path}/crt: expected the certificate of a license-server, found"
        " that of the terminal-server ts1"
    )


def test_a_certificate_of_another_farm(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, farm="south")
    assert str(caught.value) == (
        f"identity.certificate: {tmp_path}/crt: expected a certificate of farm south, found one of"
        " north"
    )


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, key=AUTHORITY_KEY)
    assert str(caught.value) == (
        f"identity.key: {tmp_path}/key: expected the key that belongs to {tmp_path}/crt"
    )


def test_another_authority_of_the_same_farm_name(tmp_path: Path) -> None:
    other, _ = create_authority("north", NOW)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, authority=other)
    assert str(caught.value) == (
        f"identity.certificate: {tmp_path}/crt: expected a certificate that {tmp_path}/ca has"
        " signed"
    )


def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    issued_at = 1_000_000_000  # 2001-09-09
    authority, authority_key = create_authority("north", issued_at)
    old, key = issue_certificate(authority, authority_key, Role.LICENSE_SERVER, "ls1", issued_at)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, certificate=old, key=key, authority=authority)
    assert str(caught.value) == (
        f"identity.certificate: {tmp_path}/crt: expired on 2002-09-09: issue a new one with"
        " `tsfarm pki issue`"
    )


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    files = IdentityFiles(certificate=f"{tmp_path}/no", key="k", authority="a")
    with pytest.raises(ConfigError) as caught:
        load_credentials(files, "north", Role.LICENSE_SERVER)
    assert str(caught.value) == (
        f"identity.certificate: {tmp_path}/no: cannot be read: No such file or directory"
    )


def test_a_file_that_is_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, certificate=b"nonsense")
    assert (
        str(caught.value)
        == f"identity.certificate: {tmp_path}/crt: the file holds no certificate in PEM form"
    )


def test_the_one_argument_of_a_daemon() -> None:
    assert config_argument("license-server", ["--config", "a.toml"]) == Path("a.toml")


def test_without_its_argument_a_daemon_ends_with_the_status_of_a_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        config_argument("license-server", [])
    assert caught.value.code == 2


def test_what_the_store_held_is_not_kept_beside_the_core_that_took_it(tmp_path: Path) -> None:
    pack = KeyPackRecord(key_pack="p", product="x", product_version=1, tokens=1, added_at=0)
    with socket.socket() as listening:
        start = Start(
            settings=DaemonSettings(
                farm="north",
                listen=Listen(port=0),
                identity=IdentityFiles(certificate="c", key="k", authority="a"),
                state="state",
            ),
            credentials=load(tmp_path),
            identity=LocalIdentity(role=Role.LICENSE_SERVER, name="ls1", farm="north"),
            listening=listening,
            connections_max=1,
            store=MemoryStore(),
            records={KeyPackRecord: [pack]},
            clock=Clock(),
            rng=secrets.SystemRandom(),
        )
    assert start.take_records() == {KeyPackRecord: [pack]}
    assert start.records == {}
