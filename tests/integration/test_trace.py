"""`tsfarm connect --trace` against a scripted terminal server over TLS, read by `tsfarm decode`."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clients.cli import main
from tests.integration.scripted_server import Farm, Logon, ScriptedServer
from tsproto.transport import Link

PASSWORD = b"open sesame"
OUTPUT = b"what the program prints\n"

# The process has its own loop; what is varied here is ours, and of no interest.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(Farm(tmp_path / "pki")) as server:
        server.on_logon = lambda link, request: run(server, link, request)
        yield server


def run(server: ScriptedServer, link: Link, request: Logon) -> None:
    server.accept(link, request)
    link.send_session_bytes(OUTPUT)
    server.end_session(3)


async def connected(server: ScriptedServer, folder: Path, *options: str) -> str:
    """Run one command with a trace; gives what stood on standard error."""
    (folder / "password").write_bytes(PASSWORD)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from clients.cli import main; main()"),
        *("connect", f"127.0.0.1:{server.port}", "--user", "user1"),
        *("--store", str(folder / "device"), "--ca", str(folder / "pki" / "authority.crt")),
        *("--password-file", str(folder / "password"), "--trace", str(folder / "trace")),
        *options,
        *("--", "make", "test"),
        stdin=asyncio.subprocess.PIPE,  # open until the end: its own end would be sent as input
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    output, errors = await asyncio.gather(process.stdout.read(), process.stderr.read())
    await process.communicate()  # nothing is left to read: it has ended
    assert (output, process.returncode) == (OUTPUT, 3), errors
    return errors.decode()


def decoded(folder: Path) -> list[dict[str, Any]]:
    done = CliRunner().invoke(main, ["decode", "--json", str(folder / "trace")])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


async def test_both_directions_are_recorded_frame_by_frame(
    server: ScriptedServer, tmp_path: Path
) -> None:
    await connected(server, tmp_path)
    found = [
        (each["direction"], each.get("message", "session bytes")) for each in decoded(tmp_path)
    ]
    assert [name for direction, name in found if direction == "sent"] == [
        "Hello",
        "LicenseInfo",
        "LogonStart",
        "LogonProof",
        "Goodbye",
    ]
    assert [name for direction, name in found if direction == "received"] == [
        "Welcome",
        "LicenseRequest",
        "LicenseAccepted",
        "LogonChallenge",
        "LogonAccepted",
        "session bytes",
        "SessionEnded",
    ]
    assert found.index(("sent", "Hello")) < found.index(("received", "Welcome"))


async def test_no_secret_is_in_a_trace_and_the_user_is_told(
    server: ScriptedServer, tmp_path: Path
) -> None:
    told = await connected(server, tmp_path)
    trace = tmp_path / "trace"
    assert f"trace in {trace}, without proofs and input" in told
    assert server.logons[0].is_proved_with(PASSWORD)
    for secret in (PASSWORD, server.logons[0].proof.signature):
        assert secret.hex() not in trace.read_text()
    assert stat.S_IMODE(trace.stat().st_mode) == 0o600


async def test_secrets_are_recorded_where_they_are_asked_for(
    server: ScriptedServer, tmp_path: Path
) -> None:
    told = await connected(server, tmp_path, "--trace-secrets")
    assert "with proofs and input" in told
    [proof] = [each for each in decoded(tmp_path) if each.get("message") == "LogonProof"]
    assert bytes.fromhex(proof["fields"]["signature"]) == server.logons[0].proof.signature
