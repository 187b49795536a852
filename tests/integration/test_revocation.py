"""Certificates and devices that are taken back, in a lab of real processes with real certificates,
by the commands that an administrator types."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clients.cli import main
from clients.exit_codes import ExitCode
from daemons import lab
from tsproto import certificates, deny_list
from tsproto.identity import fingerprint

SECONDS = 20.0
PLAN = lab.Plan(
    terminal_servers=("ts1", "ts2"),
    license_servers=(lab.LicenseServerPlan("license-a", tokens=5),),
    shell=("/bin/sh",),
)
NAMES = ["license-a", "directory", "ts1", "ts2"]


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("lab")
    lab.up(folder, PLAN, say=lambda line: None)
    try:
        yield folder
        for daemon in lab.load(folder).daemons:
            assert "Traceback" not in (folder / daemon.name / "log").read_text()
    finally:
        lab.down(folder)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def asked(*words: str | Path) -> Any:
    """The JSON of a command that succeeds."""
    done = run(*words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def connected(farm: Path, name: str, store: Path) -> subprocess.CompletedProcess[str]:
    """`tsfarm connect` to one terminal server, by its own command."""
    trust = ("--ca", farm / "pki" / "authority.crt", "--store", store)
    password = ("--password-file", farm / "users" / "user1")
    host = lab.load(farm).daemon(name).host
    words = ("connect", host, "--user", "user1", *trust, *password, "--", "true")
    return subprocess.run(
        [str(Path(sys.executable).with_name("tsfarm")), *map(str, words)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
        check=False,
    )


def entries_of(farm: Path, kind: str) -> dict[str, int]:
    rows = asked("query", "deny-list", "--lab", farm)
    assert not any(row["lags"] for row in rows)
    return {row["server"]: row[kind] for row in rows}


def test_a_device_is_refused_everywhere_until_it_is_allowed_again(
    farm: Path, tmp_path: Path
) -> None:
    assert connected(farm, "ts1", tmp_path).returncode == 0
    (license,) = asked("query", "license", "--lab", farm)
    device_id = license["device_id"]
    ts2 = lab.load(farm).daemon("ts2")
    admin = ("--identity", farm / "pki" / "admin.crt", farm / "pki" / "admin.key")
    authority = ("--ca", farm / "pki" / "authority.crt")
    (told,) = asked("device", "revoke", device_id, "--server", ts2.host, *admin, *authority)
    assert (told["list"], told["entries"], told["told"]) == ("devices", 1, 1)
    assert entries_of(farm, "devices") == dict.fromkeys(NAMES, 1)
    assert asked("device", "list", "--lab", farm) == [{"device_id": device_id}]
    for name in ("ts1", "ts2"):
        refused = connected(farm, name, tmp_path)
        assert refused.returncode == ExitCode.NO_LICENSE
        assert f"device {device_id} was revoked; ask the farm's administrator" in refused.stderr
    assert asked("device", "allow", device_id, "--lab", farm)[0]["entries"] == 0
    assert connected(farm, "ts1", tmp_path).returncode == 0
    again = run("device", "allow", device_id, "--lab", farm)
    assert again.exit_code == ExitCode.FAILED
    assert f"not on the deny list: {device_id}" in again.stderr


def test_a_revoked_server_is_refused_by_daemons_and_clients_and_its_successor_is_not(
    farm: Path, tmp_path: Path
) -> None:
    pki = farm / "pki"
    certificate = certificates.certificate_der((pki / "ts2.crt").read_bytes())
    (told,) = asked("pki", "revoke", "ts2", "--dir", pki, "--lab", farm)
    assert (told["list"], told["entries"], told["told"]) == ("certificates", 1, 4)
    assert entries_of(farm, "certificates") == dict.fromkeys(NAMES, 1)
    states = {row["name"]: row["state"] for row in asked("query", "server", "--lab", farm)}
    assert states.get("ts2") in (None, "lost") and states["ts1"] == "ready"
    assert connected(farm, "ts1", tmp_path).returncode == 0  # and learns of the list
    refused = connected(farm, "ts2", tmp_path)
    assert refused.returncode == ExitCode.UNREACHABLE
    assert f"shows a revoked certificate (SHA-256 {fingerprint(certificate).hex()})" in (
        refused.stderr
    )
    lab.stop(farm, "ts2")
    for suffix in ("crt", "key"):
        (pki / f"ts2.{suffix}").rename(pki / f"old.{suffix}")
    at = ("--address", lab.load(farm).daemon("ts2").host)
    assert run("pki", "issue", "terminal-server", "ts2", *at, "--dir", pki).exit_code == 0
    lab.start(farm, "ts2")
    assert entries_of(farm, "certificates") == dict.fromkeys(NAMES, 1)  # kept over the restart
    assert connected(farm, "ts2", tmp_path).returncode == 0


def test_a_list_is_extended_and_never_begun_anew(farm: Path, tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    shutil.copytree(farm / "pki", pki)
    (pki / "certificates.deny").unlink(missing_ok=True)  # the farm still has it
    before = entries_of(farm, "certificates")["ts1"]
    run("pki", "issue", "terminal-server", "ts3", "--dir", pki)
    (told,) = asked("pki", "revoke", "ts3", "--dir", pki, "--lab", farm)
    assert told["entries"] == before + 1


def test_without_daemons_the_list_stays_beside_the_authority(tmp_path: Path) -> None:
    run("pki", "init", "--farm", "lab", "--dir", tmp_path)
    for name in ("ts1", "ts2"):
        run("pki", "issue", "terminal-server", name, "--dir", tmp_path)
    before = time.time() * 1_000_000
    for name in ("ts1", str(tmp_path / "ts2.crt")):
        done = run("pki", "revoke", name, "--dir", tmp_path)
        assert done.exit_code == 0
        assert "hand it to one daemon, with --server or --lab" in done.stdout
    found = deny_list.read((tmp_path / "certificates.deny").read_bytes())
    ders = [
        certificates.certificate_der((tmp_path / f"{name}.crt").read_bytes())
        for name in ("ts1", "ts2")
    ]
    assert found.entries == sorted(map(fingerprint, ders))
    assert before < found.number <= time.time() * 1_000_000


def test_a_key_that_others_may_read_denies_nothing(tmp_path: Path) -> None:
    run("pki", "init", "--farm", "lab", "--dir", tmp_path)
    run("pki", "issue", "terminal-server", "ts1", "--dir", tmp_path)
    (tmp_path / "authority.key").chmod(0o640)
    done = run("pki", "revoke", "ts1", "--dir", tmp_path)
    assert done.exit_code == ExitCode.FAILED
    assert f"run `chmod 600 {tmp_path / 'authority.key'}`" in done.stderr
    assert not (tmp_path / "certificates.deny").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["pki", "revoke", "ts9"], ExitCode.FAILED, "ts9.crt: No such file or directory"),
        (["device", "revoke", "ABC"], ExitCode.USAGE, "'ABC' is no device id: 64 digits of"),
        (["device", "revoke", "00" * 32], ExitCode.USAGE, "give --server HOST[:PORT], or --lab"),
        (["device", "list"], ExitCode.USAGE, "give --identity CERT KEY with --ca FILE, or --lab"),
        (["query", "deny-list"], ExitCode.USAGE, "give --server HOST[:PORT], or --lab DIR"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(
    words: list[str], status: ExitCode, said: str
) -> None:
    done = run(*words)
    assert done.exit_code == status
    assert said in done.stderr
