"""A client in another language logs on to a lab: node, its crypto, and a library for argon2id."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from daemons import accounts, lab

PROGRAM = Path(__file__).parents[1] / "conformance" / "node" / "logon.mjs"
PLAN = lab.Plan(
    terminal_servers=("ts1", "ts2"),
    license_servers=(lab.LicenseServerPlan("license"),),
    users=("user1",),
    shell=("/bin/sh",),
)
SECONDS = 60
REFUSED = 255

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (PROGRAM.parent / "node_modules" / "hash-wasm").is_dir(),
    reason="node, or `npm ci` in tests/conformance/node, is missing; not tested: that a client in"
    " another language logs on",
)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab whose user1 has an SSH key too, in the file `ssh_key`."""
    folder = tmp_path_factory.mktemp("lab")
    made = lab.up(folder, PLAN, say=lambda line: None)
    key = Ed25519PrivateKey.generate()
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "ssh_key").write_bytes(pem)
    accounts.change(
        folder / "accounts",
        made.farm,
        lambda known: [msgspec.structs.replace(known["user1"], ssh_keys=(line,))],
    )
    yield folder
    lab.down(folder)


def log_on(farm: Path, host: str, method: str, secret: str | Path) -> tuple[int, str, list[str]]:
    daemon = lab.load(farm).daemon(host)
    done = subprocess.run(
        [
            *("node", PROGRAM, daemon.host, str(daemon.port), farm / "pki" / "authority.crt"),
            *("user1", method, str(secret), "echo hello; exit 3"),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


def test_node_logs_on_with_the_key_of_a_password(farm: Path) -> None:
    password = (farm / "users" / "user1").read_text().strip()
    assert log_on(farm, "ts1", "password", password) == (
        3,
        "hello\n",
        ["user1 on ts1 by password"],
    )


def test_node_logs_on_with_an_ssh_key(farm: Path) -> None:
    assert log_on(farm, "ts2", "ssh", farm / "ssh_key") == (3, "hello\n", ["user1 on ts2 by ssh"])


def test_node_is_refused_with_another_password(farm: Path) -> None:
    status, output, errors = log_on(farm, "ts1", "password", "wrong")
    assert (status, output) == (REFUSED, "")
    assert errors[0].startswith("refused with 300: ")
