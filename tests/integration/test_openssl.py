"""The certificates of `tsfarm pki`, as OpenSSL's own commands read and verify them."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from clients.cli import main


def tsfarm_pki(*arguments: str | Path) -> str:
    words = ["pki", *map(str, arguments)]
    return CliRunner().invoke(main, words, catch_exceptions=False).stdout


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def is_verified(authority: Path, certificate: Path, *more: str) -> bool:
    done = openssl("verify", "-x509_strict", "-CAfile", authority, *more, certificate)
    return done.returncode == 0


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    tsfarm_pki("init", "--farm", "lab", "--dir", tmp_path)
    addresses = ("--address", "farm.example", "--address", "192.0.2.1", "--address", "2001:db8::1")
    tsfarm_pki("issue", "terminal-server", "ts1", *addresses, "--dir", tmp_path)
    return tmp_path


def test_a_certificate_names_the_server_and_its_addresses(pki: Path) -> None:
    text = openssl("x509", "-in", pki / "ts1.crt", "-noout", "-ext", "subjectAltName").stdout
    names = text.splitlines()[1].strip().split(", ")
    assert names == [
        "URI:tsfarm://lab/terminal-server/ts1",
        "DNS:ts1",
        "DNS:farm.example",
        "IP Address:192.0.2.1",
        "IP Address:2001:DB8:0:0:0:0:0:1",
    ]
    text = openssl("x509", "-in", pki / "ts1.crt", "-noout", "-text").stdout
    assert "Public Key Algorithm: ED25519" in text and "Signature Algorithm: ED25519" in text


def test_a_certificate_is_valid_for_a_year_from_the_day_before(pki: Path) -> None:
    text = openssl("x509", "-in", pki / "ts1.crt", "-noout", "-dates").stdout
    begins, ends = (
        datetime.strptime(line.partition("=")[2], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
        for line in text.splitlines()
    )
    assert ends - begins == timedelta(days=366)
    assert timedelta(days=1) <= datetime.now(UTC) - begins < timedelta(days=1, minutes=5)


def test_a_certificate_verifies_for_its_addresses_alone(pki: Path) -> None:
    ts1, authority = pki / "ts1.crt", pki / "authority.crt"
    for purpose in ("sslserver", "sslclient"):
        assert is_verified(authority, ts1, "-purpose", purpose)
    for name in ("ts1", "farm.example"):
        assert is_verified(authority, ts1, "-verify_hostname", name)
    assert not is_verified(authority, ts1, "-verify_hostname", "ts2")
    assert is_verified(authority, ts1, "-verify_ip", "192.0.2.1")
    assert not is_verified(authority, ts1, "-verify_ip", "192.0.2.2")


def test_a_fingerprint_is_shown_as_openssl_prints_it(pki: Path) -> None:
    printed = openssl("x509", "-in", pki / "ts1.crt", "-noout", "-fingerprint", "-sha256").stdout
    assert printed.partition("=")[2].strip() in tsfarm_pki("show", "--dir", pki)


def test_in_a_rotation_the_file_of_authorities_verifies_old_and_new(pki: Path) -> None:
    tsfarm_pki("issue", "terminal-server", "ts2", "--dir", pki)
    tsfarm_pki("rotate", "--dir", pki)
    tsfarm_pki("renew", "ts2", "--dir", pki)
    for name in ("ts1", "ts2"):
        assert is_verified(pki / "authority.crt", pki / f"{name}.crt")
    assert is_verified(pki / "authority-old.crt", pki / "ts1.crt")
    assert not is_verified(pki / "authority-old.crt", pki / "ts2.crt")
    tsfarm_pki("renew", "ts1", "--dir", pki)
    tsfarm_pki("rotate", "--finish", "--dir", pki)
    assert is_verified(pki / "authority.crt", pki / "ts1.crt")
