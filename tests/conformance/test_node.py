"""A program in another language reads the vectors: node with its msgpack package and its crypto.

`npm ci` in tests/conformance/node, as .ci/run does it, makes it run without a network from then on.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance.vectors import files

HERE = Path(__file__).with_name("node")
PROGRAM = ("check.mjs", "logon.mjs", "package.json", "package-lock.json", ".npmrc")
NPM_SECONDS = 60
UNTESTED = (
    "not tested: that node decodes every valid frame and datagram to its values and encodes them"
    " back to the same bytes, and judges every signature of tokens, devices, users and endorsements"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with its package installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip(f"node or npm is missing; {UNTESTED}")
    if (HERE / "node_modules").is_dir():
        return HERE / "check.mjs"
    folder = tmp_path_factory.mktemp("node")
    for name in PROGRAM:
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    installed = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=NPM_SECONDS
    )
    if installed.returncode:
        pytest.skip(f"`npm ci` failed: {installed.stderr.strip()[-300:]}; {UNTESTED}")
    return folder / "check.mjs"


def check(program: Path, folder: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["node", program, folder], capture_output=True, text=True, timeout=NPM_SECONDS
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_node_agrees_with_every_vector(program: Path) -> None:
    status, lines = check(program, files.FOLDER)
    assert status == 0, "\n".join(lines)
    assert lines[-1].startswith("0 faults in ")
    assert " 0 " not in lines[-1], "it has checked nothing of some kind"


@pytest.mark.parametrize(
    ("name", "good", "planted", "fault"),
    [
        (
            "message-19-ResizeSession.json",
            '"columns": 1000',
            '"columns": 999',
            "ResizeSession/columns/most: it means something else",
        ),
        (
            "message-03-Heartbeat.json",
            '"frame": "c900000003009203',
            '"frame": "c90000000400dc000203',
            "Heartbeat/typical: ",
        ),
        (
            "tokens.json",
            '"id": "token/full", "code": "NORMAL", "signature_is_good": true, "issuer": "ls1"',
            '"id": "token/full", "code": "NORMAL", "signature_is_good": true, "issuer": "ts1"',
            "token/full: its signature",
        ),
        (
            "user-proofs.json",
            '"id": "user-proof/good", "code": "NORMAL"',
            '"id": "user-proof/good", "code": "LOGON_FAILED"',
            "user-proof/good: its signature",
        ),
    ],
)
def test_node_names_a_vector_that_is_wrong(
    program: Path, tmp_path: Path, name: str, good: str, planted: str, fault: str
) -> None:
    for written, text in files.read().items():
        (tmp_path / written).write_text(text, encoding="utf-8")
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert good in text
    (tmp_path / name).write_text(text.replace(good, planted, 1), encoding="utf-8")
    status, lines = check(program, tmp_path)
    assert status == 1
    assert lines[0].startswith(fault)


def test_the_lock_names_no_host() -> None:
    lock = (HERE / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in lock
    assert "://" not in lock
    assert "omit-lockfile-registry-resolved=true" in (HERE / ".npmrc").read_text().split()
