"""Commands as a user types them: real processes, their output, their exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemons.lab.making import make
from daemons.lab.plan import Plan
from tests.integration.farm import Farm
from tsproto.messages import Role

TSFARM = str(Path(sys.executable).with_name("tsfarm"))
SECONDS = 20.0


def tsfarm(
    *words: str | bytes, cwd: Path, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [TSFARM, *words], cwd=cwd, input=given, capture_output=True, timeout=SECONDS
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--", ""), b"COMMAND is empty"),
        (("--app", "editor", "--", "true"), b"give --app or COMMAND, not both"),
        (("--user", b"\xff", "--", "true"), b"not text in UTF-8"),
        (("--user", "u", "--", b"\xff"), b"COMMAND is not text in UTF-8"),
        (("--user", "u" * 105, "--", "true"), b"longer than 104 characters"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_refused(
    tmp_path: Path, words: tuple[str | bytes, ...], said: bytes
) -> None:
    done = tsfarm("connect", "127.0.0.1", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_query_of_no_lab_says_so(tmp_path: Path) -> None:
    done = tsfarm("query", "pool", "--lab", "nolab", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(b"tsfarm: no lab in nolab")


@pytest.mark.parametrize("shape", [(), ("--json",)])
def test_a_query_that_nobody_answers_prints_no_rows(tmp_path: Path, shape: tuple[str, ...]) -> None:
    farm = Farm(tmp_path)
    certificate, key, authority = map(str, farm.files(Role.ADMINISTRATOR, "admin"))
    who = ("--identity", certificate, key, "--ca", authority)
    done = tsfarm("query", "pool", "--server", "127.0.0.1:1", *who, *shape, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (5, b"")
    assert done.stderr == b"tsfarm: 127.0.0.1:1: Connection refused\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        ("connect", "--help"),
        ("license", "show", "--store", "."),
        ("decode", "frames"),
        ("lab", "status", "--dir", "."),
        ("conformance", "10.0.0.1:5600", "--role", "client", "--only", "LIC-02", "--dry-run"),
    ],
    ids=" ".join,
)
def test_a_pipe_that_its_reader_has_closed_is_status_141(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    make(tmp_path, Plan())
    (tmp_path / "frames").write_bytes(bytes.fromhex("c900000003 00 920300"))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [TSFARM, *words], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, timeout=SECONDS
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_each_lab_is_a_farm_of_its_own(tmp_path: Path) -> None:
    farms = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        farms.append(make(tmp_path / name, Plan()).farm)
    assert farms[0] != farms[1]
