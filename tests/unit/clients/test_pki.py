from __future__ import annotations

import os
import stat
from pathlib import Path

from click.testing import CliRunner, Result

from clients.cli import main
from clients.exit_codes import ExitCode
from tsproto import certificates, identity
from tsproto.messages import Role


def run(*arguments: str | Path, stdin: str = "") -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def test_a_farm_gets_its_certificates(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    made = run("pki", "init", "--farm", "lab", "--dir", pki)
    assert made.exit_code == 0 and "SHA256:" in made.stdout
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


def test_a_certificate_is_never_overwritten(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    run("pki", "init", "--farm", "lab", "--dir", pki)
    before = (pki / "authority.key").read_bytes()
    for arguments in (("init", "--farm", "lab"), ("issue", "administrator", "authority")):
        done = run("pki", *arguments, "--dir", pki)
        assert done.exit_code == ExitCode.FAILED
    run("pki", "issue", "administrator", "admin", "--dir", pki)
    again = run("pki", "issue", "administrator", "admin", "--dir", pki)
    assert "is not overwritten" in again.stderr
    assert (pki / "authority.key").read_bytes() == before


def test_without_an_authority_nothing_is_issued(tmp_path: Path) -> None:
    done = run("pki", "issue", "terminal-server", "ts1", "--dir", tmp_path)
    assert done.exit_code == ExitCode.FAILED
    assert "make the authority with `tsfarm pki init`" in done.stderr


def test_a_name_that_cannot_stand_in_a_certificate_is_refused(tmp_path: Path) -> None:
    run("pki", "init", "--farm", "lab", "--dir", tmp_path)
    done = run("pki", "issue", "terminal-server", "../ts1", "--dir", tmp_path)
    assert done.exit_code == ExitCode.FAILED
    assert sorted(os.listdir(tmp_path)) == ["authority.crt", "authority.key"]
