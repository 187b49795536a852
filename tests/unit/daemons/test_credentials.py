"""What an operator reads when a daemon's certificate, key or authority is not the right one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from daemons.config import ConfigError
from daemons.credentials import Credentials, load_credentials, local_identity
from daemons.settings import DaemonSettings, IdentityFiles, Listen
from tsproto.authorities import Authorities, endorse
from tsproto.certificates import certificate_der, create_authority, issue_certificate
from tsproto.deny_list import DenyLists
from tsproto.identity import fingerprint, load_key
from tsproto.messages import Role
from tsproto.transport.tls import FarmContext

NOW = time.time()  # certificates are checked against the system's clock, as TLS does
AUTHORITY, AUTHORITY_KEY = create_authority("north", NOW)
ANOTHER = issue_certificate(AUTHORITY, AUTHORITY_KEY, Role.LICENSE_SERVER, "ls1", NOW)
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
    (folder / "key").chmod(0o600)
    files = IdentityFiles(
        certificate=f"{folder}/crt", key=f"{folder}/key", authority=f"{folder}/ca"
    )
    return load_credentials(files, farm, Role.LICENSE_SERVER)


def test_a_daemons_name_stands_in_its_certificate(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.name == "ls1"
    assert found.certificate == certificate_der(CERTIFICATE)
    assert found.authority == certificate_der(AUTHORITY)
    assert found.endorsement == b""


def rotated() -> tuple[bytes, bytes, Authorities]:
    """A new authority's certificate and key in PEM form, and the file in which both stand."""
    new, new_key = create_authority("north", NOW)
    ders = certificate_der(new), certificate_der(AUTHORITY)
    return new, new_key, Authorities(ders, endorse(ders[0], load_key(AUTHORITY_KEY)))


def test_in_a_rotation_a_certificate_of_either_authority_is_good(tmp_path: Path) -> None:
    new, new_key, both = rotated()
    old_one = load(tmp_path, authority=both.to_pem())
    assert (old_one.authority, old_one.endorsement) == (certificate_der(AUTHORITY), b"")
    renewed, key = issue_certificate(new, new_key, Role.LICENSE_SERVER, "ls1", NOW)
    new_one = load(tmp_path, certificate=renewed, key=key, authority=both.to_pem())
    assert (new_one.authority, new_one.endorsement) == (certificate_der(new), both.endorsement)
    assert old_one.trusted == new_one.trusted == both


def test_authorities_of_several_farms(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, authority=AUTHORITY + create_authority("south", NOW)[0])
    assert str(caught.value) == (
        f"identity.authority: {tmp_path}/ca: the authorities are of several farms: north, south"
    )


def test_a_certificate_that_is_exchanged_while_it_is_read(tmp_path: Path) -> None:
    credentials = load(tmp_path)
    settings = DaemonSettings(
        farm="north",
        listen=Listen(port=0),
        identity=IdentityFiles(
            certificate=f"{tmp_path}/crt", key=f"{tmp_path}/key", authority=f"{tmp_path}/ca"
        ),
        state="state",
    )
    deny_lists = DenyLists()
    found = local_identity(settings, credentials, Role.LICENSE_SERVER, deny_lists)
    assert found.deny_lists is deny_lists
    assert isinstance(found.listen_tls, FarmContext)
    assert found.listen_tls.fingerprint == fingerprint(credentials.certificate)
    load(tmp_path, certificate=ANOTHER[0], key=ANOTHER[1])
    with pytest.raises(ConfigError) as caught:
        local_identity(settings, credentials, Role.LICENSE_SERVER, deny_lists)
    assert str(caught.value) == (f"identity.certificate: {tmp_path}/crt: changed while it was read")
    (tmp_path / "key").write_bytes(KEY)
    with pytest.raises(ConfigError, match="the key does not belong to the certificate"):
        local_identity(settings, credentials, Role.LICENSE_SERVER, deny_lists)


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
        f"identity.certificate: {tmp_path}/crt: expired on 2002-09-09: renew it with `tsfarm"
        " pki renew ls1`"
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
