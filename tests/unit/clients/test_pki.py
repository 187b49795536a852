from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clients.cli import main
from clients.exit_codes import ExitCode
from tsproto import certificates, identity
from tsproto.authorities import is_endorsed, read_authorities
from tsproto.messages import AdministratorRole, Role

DAY = 86_400


def run(*arguments: str | Path, stdin: str = "") -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def test_a_farm_gets_its_certificates(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    made = run("pki", "init", "--farm", "lab", "--dir", pki)
    authority = certificates.certificate_der((pki / "authority.crt").read_bytes())
    shown = identity.show_fingerprint(identity.fingerprint(authority))
    assert made.stdout == f"{pki / 'authority.crt'}: {shown}\n"
    assert run("pki", "issue", "terminal-server", "ts1", "--dir", pki).exit_code == 0
    der = certificates.certificate_der((pki / "ts1.crt").read_bytes())
    assert certificates.identity_of(der) == identity.Identity("lab", Role.TERMINAL_SERVER, "ts1")
    for file in pki.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_terminal_server_may_ask_for_secrets_where_its_issuer_says_so(tmp_path: Path) -> None:
    run("pki", "init", "--farm", "lab", "--dir", tmp_path)
    issue = ("pki", "issue", "terminal-server", "ts1", "--asks-secrets", "--dir", tmp_path)
    assert run(*issue).exit_code == 0
    der = certificates.certificate_der((tmp_path / "ts1.crt").read_bytes())
    assert certificates.identity_of(der).asks_secrets


def addresses(file: Path) -> list[str]:
    der = certificates.certificate_der(file.read_bytes())
    return certificates.addresses_in(certificates.parse_certificate(der))


def fingerprint(file: Path) -> str:
    der = certificates.certificate_der(file.read_bytes())
    return identity.show_fingerprint(identity.fingerprint(der))


def issue_at(now: float, pki: Path, role: Role, name: str) -> None:
    """As `tsfarm pki issue` did at `now`."""
    pem, key = certificates.issue_certificate(
        (pki / "authority.crt").read_bytes(), (pki / "authority.key").read_bytes(), role, name, now
    )
    (pki / f"{name}.crt").write_bytes(pem)
    (pki / f"{name}.key").write_bytes(key)


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """A farm's folder with the certificate of ts1, which has two addresses."""
    run("pki", "init", "--farm", "lab", "--dir", tmp_path)
    at = ("--address", "ts1.example", "--address", "192.0.2.1")
    assert run("pki", "issue", "terminal-server", "ts1", *at, "--dir", tmp_path).exit_code == 0
    return tmp_path


def test_a_certificate_carries_the_addresses_that_were_given(pki: Path) -> None:
    assert addresses(pki / "ts1.crt") == ["ts1", "ts1.example", "192.0.2.1"]


def test_a_renewed_certificate_has_a_new_key_and_all_addresses(pki: Path) -> None:
    before = (pki / "ts1.key").read_bytes()
    done = run("pki", "renew", "ts1", "--address", "farm.example", "--days", "30", "--dir", pki)
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{pki / 'ts1.crt'}, {pki / 'ts1.key'}: valid until ")
    assert "send the daemon SIGHUP" in done.stdout
    assert addresses(pki / "ts1.crt") == ["ts1", "ts1.example", "farm.example", "192.0.2.1"]
    certificate = certificates.parse_certificate(
        certificates.certificate_der((pki / "ts1.crt").read_bytes())
    )
    key = (pki / "ts1.key").read_bytes()
    assert key != before
    assert certificate.public_key() == identity.load_key(key).public_key()
    assert 29 * DAY < certificates.seconds_left(certificate, time.time()) <= 30 * DAY
    assert stat.S_IMODE((pki / "ts1.key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "says"),
    [("ts2", "issue it with `tsfarm pki issue`"), ("authority", "carries no tsfarm://")],
)
def test_only_an_issued_certificate_is_renewed(pki: Path, name: str, says: str) -> None:
    done = run("pki", "renew", name, "--dir", pki)
    assert done.exit_code == ExitCode.FAILED and says in done.stderr


def test_a_certificate_of_another_farm_is_not_renewed(pki: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run("pki", "init", "--farm", "other", "--dir", other)
    (other / "ts1.crt").write_bytes((pki / "ts1.crt").read_bytes())
    done = run("pki", "renew", "ts1", "--dir", other)
    assert done.exit_code == ExitCode.FAILED and "is of the farm lab" in done.stderr


def test_a_folder_is_shown_with_what_is_left(pki: Path) -> None:
    rows = json.loads(run("pki", "show", "--dir", pki, "--json").stdout)
    ts1 = next(row for row in rows if row["name"] == "ts1")
    assert ts1 == {
        "file": str(pki / "ts1.crt"),
        "name": "ts1",
        "role": "terminal server",
        "addresses": ["ts1", "ts1.example", "192.0.2.1"],
        "expires_at": ts1["expires_at"],
        "days_left": 364,
        "fingerprint": fingerprint(pki / "ts1.crt"),
    }
    assert abs(ts1["expires_at"] - time.time() - 365 * DAY) < 60
    shown = run("pki", "show", "--dir", pki).stdout.splitlines()
    assert shown[0].split() == "NAME ROLE ADDRESSES EXPIRES DAYS LEFT FINGERPRINT".split()
    assert "ts1 ts1.example 192.0.2.1" in shown[2] and fingerprint(pki / "ts1.crt") in shown[2]
    assert shown[1].startswith("lab ") and "authority" in shown[1]


def test_a_new_authority_is_endorsed_by_the_old_one(pki: Path) -> None:
    before = fingerprint(pki / "authority.crt")
    done = run("pki", "rotate", "--dir", pki)
    assert done.exit_code == 0 and fingerprint(pki / "authority.crt") in done.stdout
    trusted = read_authorities((pki / "authority.crt").read_bytes())
    new, old = trusted.certificates
    assert identity.show_fingerprint(identity.fingerprint(old)) == before
    assert is_endorsed(new, trusted.endorsement, old, time.time())
    rows = json.loads(run("pki", "show", "--dir", pki, "--json").stdout)
    named = [row["fingerprint"] for row in rows if row["file"] == str(pki / "authority.crt")]
    assert named == [identity.show_fingerprint(identity.fingerprint(each)) for each in (new, old)]
    assert run("pki", "renew", "ts1", "--dir", pki).exit_code == 0
    der = certificates.certificate_der((pki / "ts1.crt").read_bytes())
    assert trusted.issuer_of(der) == new
    for file in pki.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_rotation_ends_when_no_certificate_is_of_the_old_authority(pki: Path) -> None:
    refused = run("pki", "rotate", "--finish", "--dir", pki)
    assert refused.exit_code == ExitCode.FAILED and "no rotation is under way" in refused.stderr
    run("pki", "rotate", "--dir", pki)
    again = run("pki", "rotate", "--dir", pki)
    assert again.exit_code == ExitCode.FAILED and "a rotation is under way" in again.stderr
    refused = run("pki", "rotate", "--finish", "--dir", pki)
    assert f"{pki / 'ts1.crt'} is still of the old authority" in refused.stderr
    run("pki", "renew", "ts1", "--dir", pki)
    both = read_authorities((pki / "authority.crt").read_bytes())
    assert run("pki", "rotate", "--finish", "--dir", pki).exit_code == 0
    left = read_authorities((pki / "authority.crt").read_bytes())
    assert left.certificates == both.certificates[:1]
    assert left.endorsement == both.endorsement
    assert not (pki / "authority-old.key").exists()
    assert run("pki", "issue", "terminal-server", "ts2", "--dir", pki).exit_code == 0


@pytest.mark.parametrize(("days_ago", "status"), [(89, ExitCode.FAILED), (91, ExitCode.OK)])
def test_a_rotation_ends_when_no_license_of_the_old_certificates_is_left(
    pki: Path, days_ago: int, status: ExitCode
) -> None:
    run("pki", "rotate", "--dir", pki)
    run("pki", "renew", "ts1", "--dir", pki)
    issue_at(time.time() - days_ago * DAY, pki, Role.LICENSE_SERVER, "ls1")
    done = run("pki", "rotate", "--finish", "--dir", pki)
    assert done.exit_code == status
    if status is ExitCode.FAILED:
        assert "devices may hold licenses" in done.stderr


def test_a_file_that_is_no_certificate_is_named(pki: Path) -> None:
    (pki / "wrong.crt").write_bytes(b"nonsense")
    done = run("pki", "show", "--dir", pki)
    assert done.exit_code == ExitCode.FAILED
    assert f"{pki / 'wrong.crt'}: the file holds no certificate" in done.stderr


@pytest.mark.parametrize("name", ["authority", "authority-old"])
def test_the_farms_own_files_are_no_daemons(pki: Path, name: str) -> None:
    done = run("pki", "issue", "administrator", name, "--dir", pki)
    assert done.exit_code == ExitCode.FAILED and "files of the farm's own" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], AdministratorRole.VIEWER), (["--role", "admin"], AdministratorRole.ADMIN)],
)
def test_an_administrator_is_a_viewer_unless_its_role_is_named(
    tmp_path: Path, arguments: list[str], said: AdministratorRole
) -> None:
    run("pki", "init", "--farm", "lab", "--dir", tmp_path)
    done = run("pki", "issue", "administrator", "alice", "--dir", tmp_path, *arguments)
    assert done.exit_code == 0
    der = certificates.certificate_der((tmp_path / "alice.crt").read_bytes())
    assert certificates.identity_of(der).administrator_role is said


def test_a_renewed_administrator_keeps_its_role(pki: Path) -> None:
    run("pki", "issue", "administrator", "alice", "--role", "operator", "--dir", pki)
    assert run("pki", "renew", "alice", "--dir", pki).exit_code == 0
    der = certificates.certificate_der((pki / "alice.crt").read_bytes())
    assert certificates.identity_of(der).administrator_role is AdministratorRole.OPERATOR


def test_a_daemons_certificate_takes_no_administrators_role(tmp_path: Path) -> None:
    run("pki", "init", "--farm", "lab", "--dir", tmp_path)
    done = run("pki", "issue", "terminal-server", "ts1", "--dir", tmp_path, "--role", "admin")
    assert done.exit_code == ExitCode.USAGE
    assert not (tmp_path / "ts1.crt").exists()


def test_a_certificate_is_never_overwritten(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    run("pki", "init", "--farm", "lab", "--dir", pki)
    before = (pki / "authority.key").read_bytes()
    done = run("pki", "init", "--farm", "lab", "--dir", pki)
    assert done.exit_code == ExitCode.FAILED
    run("pki", "issue", "administrator", "admin", "--dir", pki)
    again = run("pki", "issue", "administrator", "admin", "--dir", pki)
    assert "is not overwritten" in again.stderr
    assert (pki / "authority.key").read_bytes() == before


def test_without_an_authority_nothing_is_issued(tmp_path: Path) -> None:
    done = run("pki", "issue", "terminal-server", "ts1", "--dir", tmp_path)
    assert done.exit_code == ExitCode.FAILED
    assert "make the authority with `tsfarm pki init`" in done.stderr


def test_an_authoritys_key_that_others_could_read_signs_nothing(pki: Path) -> None:
    (pki / "authority.key").chmod(0o640)
    for arguments in (("issue", "terminal-server", "ts2"), ("renew", "ts1"), ("rotate",)):
        done = run("pki", *arguments, "--dir", pki)
        assert done.exit_code == ExitCode.FAILED
        assert f"{pki / 'authority.key'} is open to others (mode 0640)" in done.stderr


def test_a_name_that_cannot_stand_in_a_certificate_is_refused(tmp_path: Path) -> None:
    run("pki", "init", "--farm", "lab", "--dir", tmp_path)
    done = run("pki", "issue", "terminal-server", "../ts1", "--dir", tmp_path)
    assert done.exit_code == ExitCode.FAILED
    assert sorted(os.listdir(tmp_path)) == ["authority.crt", "authority.key"]
